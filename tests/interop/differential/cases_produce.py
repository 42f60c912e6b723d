"""Produce: request checks, batch checks, record checks, idempotence, answer fields."""
import struct, time
from wire import *

CASES = []
TS = 1700000000000
NOW = int(time.time() * 1000)


def case(fn):
    CASES.append(fn)
    return fn


def good(count=1, **fields):
    return batch(records(count), **fields)


def full(s, version, data, note, acks=-1, timeout=30000, **options):
    """data: [(topic, [(index, bytes)])]"""
    return s.ask("Produce", version, {"Acks": acks, "TimeoutMs": timeout, "TopicData": [
        {"Name": topic, "TopicId": s.id(topic) or "11111111-2222-3333-4444-555555555555",
         "PartitionData": [{"Index": i, "Records": raw} for i, raw in parts]} for topic, parts in data], **options.pop("more", {})}, note, **options)


@case
def produce_versions(s):
    s.create("pv", 2)
    for v in s.versions("Produce"):
        for acks in (1, -1):
            full(s, v, [("pv", [(0, good(3))])], f"acks {acks}", acks)
        full(s, v, [("pv", [(0, good()), (1, good(2))])], "two partitions")
        full(s, v, [("pv", [(7, good()), (1, good(2))])], "no such partition")
        full(s, v, [("pv", [(-1, good())])], "negative partition")
        full(s, v, [("nope", [(0, good())]), ("pv", [(0, good())])], "no such topic")
        full(s, v, [("a b", [(0, good())])], "bad name")
        full(s, v, [("", [(0, good())])], "empty name")
        full(s, v, [], "nothing")
        full(s, v, [("pv", [])], "no partitions")
        for acks in (2, -2, 32767):
            full(s, v, [("pv", [(0, good())]), ("nope", [(0, good())])], f"acks {acks}", acks)
        for timeout in (0, -1):
            full(s, v, [("pv", [(0, good())])], f"timeout {timeout}", timeout=timeout)
    full(s, 11, [("pv", [(0, good(1)), (0, good(2))])], "the same partition twice")
    full(s, 11, [("pv", [(0, good())])], "with a transactional id", more={"TransactionalId": "t"})


@case
def produce_frames(s):
    s.create("pf", 2)
    cases = [("empty", b""), ("zeros", b"\0" * 20), ("short", good()[:40]), ("cut", good()[:-1]), ("long", good() + b"x"),
             ("long by 11", good() + b"x" * 11), ("zeros behind", good() + b"\0" * 20), ("two batches", good() + good()),
             ("many zeros behind", good() + b"\0" * 61), ("length 13", batch(records(1), length=13)), ("length 14", batch(records(1), length=14)),
             ("length negative", batch(records(1), length=-5)), ("length too large", batch(records(1), length=1 << 30)),
             ("magic 3", good(magic=3)), ("magic -1", good(magic=-1)), ("magic 1", good(magic=1)), ("magic 0", good(magic=0)),
             ("message v1", old_message(1)), ("message v0", old_message(0)), ("a set of v1", old_message(1) + old_message(1, offset=1)),
             ("header only", batch([], count=0)), ("50 bytes", struct.pack(">qiib", 0, 38, -1, 2) + b"\0" * 33),
             ("26 bytes", struct.pack(">qiib", 0, 14, -1, 2) + b"\0" * 9), ("55 bytes", struct.pack(">qiib", 0, 43, -1, 2) + b"\0" * 38),
             ("good then bad magic", good() + batch(records(1), magic=9))]
    for note, raw in cases:
        for v in (3, 8, 11, 13):
            full(s, v, [("pf", [(0, raw), (1, good())])], note)
    for v in (3, 9, 13):
        full(s, v, [("pf", [(0, good(attributes=0x10, pid=5, pepoch=0, seq=0)), (1, good())])], "transactional without an id")
        full(s, v, [("pf", [(0, good(attributes=0x10))])], "transactional without a producer, without an id")


@case
def produce_batches(s):
    s.create("pb", 2)
    item = records(1)
    cases = [("base offset 5", good(base_offset=5)), ("bad crc", good(crc=1)), ("base offset and crc", good(base_offset=5, crc=1)),
             ("count 0", batch(item, count=0)), ("count 2", batch(item, count=2)), ("count -1", batch(item, count=-1)), ("delta 5", batch(item, last_delta=5)),
             ("delta -1", batch(item, last_delta=-1)), ("delta -5", batch(item, last_delta=-5)), ("delta max", batch(item, last_delta=2147483647)),
             ("count and delta 3 of 1", batch(item, count=3, last_delta=2)), ("count 1 of 3", batch(records(3), count=1, last_delta=0)),
             ("control", good(attributes=0x20)), ("control with a producer", good(attributes=0x20, pid=1, pepoch=0, seq=0)),
             ("producer without sequence", good(pid=1, pepoch=0)), ("sequence without producer", good(seq=5)), ("epoch without producer", good(pepoch=3)),
             ("append time bit", good(attributes=8)), ("delete horizon bit", good(attributes=0x40)), ("unknown bits", good(attributes=0x7f80 - 0x8000 + 0x8000 & 0x7f80)),
             ("codec 5", good(attributes=5)), ("codec 6", good(attributes=6)), ("codec 7", good(attributes=7)), ("codec gzip, plain bytes", good(attributes=1)),
             ("codec snappy, plain bytes", good(attributes=2)), ("codec lz4, plain bytes", good(attributes=3)), ("codec zstd, plain bytes", good(attributes=4)),
             ("gzip", batch(records(3), attributes=1, compress=gzip)), ("gzip cut", batch(records(3), attributes=1, compress=lambda p: gzip(p)[:-9])),
             ("gzip, count too high", batch(records(3), attributes=1, compress=gzip, count=4, last_delta=3)),
             ("gzip, count too low", batch(records(3), attributes=1, compress=gzip, count=2, last_delta=1)),
             ("gzip, wrong deltas", batch([record(offset_delta=4), record(offset_delta=9)], attributes=1, compress=gzip)),
             ("wrong deltas", batch([record(offset_delta=4), record(offset_delta=9)])), ("leader epoch 9", good(epoch=9)),
             ("max timestamp wrong", good(max_ts=5)), ("max timestamp -1", good(max_ts=-1)), ("base timestamp -1", good(base_ts=-1)),
             ("record attributes", batch([record(attributes=77)])), ("headers", batch([record(headers=[(b"h", b"v"), (b"n", None), (b"", b"")])])),
             ("null key and value", batch([record(None, None)])), ("timestamp deltas", batch([record(ts_delta=5), record(ts_delta=-3, offset_delta=1)])),
             ("record cut", batch([record()[:-1]])), ("record and rest", batch([record() + b"zz"])), ("negative length", batch([varlong(-3) + b"abc"])),
             ("huge length", batch([varlong(1 << 20) + b"abc"])), ("key longer than the record", batch([varlong(8) + b"\0\0\0" + varlong(50) + b"abcd"])),
             ("headers below 0", batch([varlong(8) + b"\0\0\0\1\1" + varlong(-2) + b"\0\0"])), ("empty record", batch([varlong(0)])),
             ("many headers", batch([varlong(10) + b"\0\0\0\1\1" + varlong(1 << 24) + b"\0"])),
             ("too large", batch([record(value=b"x" * 300100)])), ("too large and bad crc", batch([record(value=b"x" * 300100)], crc=1)),
             ("as large as allowed", batch([record(value=b"x" * (300000 - 61 - 12))]))]
    for note, raw in cases:
        for v in (3, 11) if "codec" in note or "gzip" in note else (11,):
            full(s, v, [("pb", [(0, raw), (1, good())])], note)
    end = s.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": "pb", "Partitions": [{"PartitionIndex": i, "Timestamp": -1} for i in (0, 1)]}]}, "ends")
    s.ask("Fetch", 11, {"ReplicaId": -1, "MinBytes": 0, "MaxBytes": 1 << 20, "Topics": [{"Topic": "pb", "Partitions": [
        {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}]}]}, "what is stored")


@case
def produce_timestamps(s):
    s.create("ts-log", 1, {"message.timestamp.type": "LogAppendTime"})
    s.create("ts-limit", 1, {"message.timestamp.before.max.ms": "1000000", "message.timestamp.after.max.ms": "5000"})
    s.create("ts-plain")
    far = NOW + 10 * 365 * 86400_000
    for topic in ("ts-log", "ts-limit", "ts-plain"):
        for note, raw in (("now", good(2, base_ts=NOW)), ("old", good(base_ts=TS)), ("future", good(base_ts=far)), ("-1", good(base_ts=-1)), ("-2", good(base_ts=-2)),
                          ("min", good(base_ts=-(1 << 63))), ("zero", good(base_ts=0)),
                          ("mixed", batch([record(), record(ts_delta=TS - NOW, offset_delta=1), record(offset_delta=2)], base_ts=NOW)),
                          ("bit", good(attributes=8, base_ts=NOW)), ("bit and -1", good(attributes=8, base_ts=-1)),
                          ("gzip", batch(records(2), attributes=1, compress=gzip, base_ts=NOW)), ("gzip old", batch(records(2), attributes=1, compress=gzip, base_ts=TS))):
            for v in (7, 8, 13):
                full(s, v, [(topic, [(0, raw)])], f"{topic} {note}")
        s.ask("Fetch", 11, {"ReplicaId": -1, "MinBytes": 0, "MaxBytes": 1 << 20, "Topics": [{"Topic": topic, "Partitions": [
            {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}]}]}, "what is stored")


@case
def produce_compacted(s):
    s.create("pc", 1, {"cleanup.policy": "compact"})
    s.create("pcd", 1, {"cleanup.policy": "compact,delete", "message.timestamp.before.max.ms": "1000"})
    items = [record(b"k"), record(None, offset_delta=1), record(b"", offset_delta=2), record(None, None, offset_delta=3)]
    for topic in ("pc", "pcd"):
        for v in (3, 7, 8, 12):
            full(s, v, [(topic, [(0, batch(items))])], "without keys")
            full(s, v, [(topic, [(0, batch(items, base_ts=NOW))])], "without keys, now")
            full(s, v, [(topic, [(0, batch([record(None)] + items[2:3], base_ts=TS))])], "one")
            full(s, v, [(topic, [(0, batch([record(None, offset_delta=i) for i in range(5)], attributes=1, compress=gzip))])], "gzip")


@case
def produce_limits(s):
    s.create("pl-small", 1, {"max.message.bytes": "500"})
    s.create("pl-none", 1, {"max.message.bytes": "5000", "compression.type": "uncompressed"})
    s.create("pl-gzip", 1, {"compression.type": "gzip"})
    s.create("pl-zero", 1, {"max.message.bytes": "0"})
    s.create("pl-seg", 1, {"internal.segment.bytes": "1000"})
    s.create("pl-isr", 1, {"min.insync.replicas": "2"})
    for note, topic, raw in (("over", "pl-small", batch([record(value=b"x" * 500)])), ("equal", "pl-small", batch([record(value=b"x" * (500 - 61 - 10))])),
                             ("gzip under", "pl-small", batch([record(value=b"x" * 5000)], attributes=1, compress=gzip)),
                             ("grows over", "pl-none", batch([record(value=b"x" * 20000)], attributes=1, compress=gzip)),
                             ("grows", "pl-none", batch([record(value=b"x" * 2000)], attributes=1, compress=gzip)),
                             ("wrong deltas", "pl-none", batch([record(offset_delta=4), record(offset_delta=9)], attributes=1, compress=gzip)),
                             ("timestamp -2 converted", "pl-gzip", good(base_ts=-2)), ("keeps attributes", "pl-none", batch([record(attributes=7)], attributes=1 | 0x40, compress=gzip)),
                             ("zero", "pl-zero", good()), ("larger than a segment", "pl-seg", batch([record(value=b"x" * 2000)])), ("isr", "pl-isr", good())):
        for v in (5, 8, 13):
            for acks in (1, -1):
                full(s, v, [(topic, [(0, raw)])], f"{topic} {note} acks {acks}", acks)
    s.ask("Fetch", 11, {"ReplicaId": -1, "MinBytes": 0, "MaxBytes": 1 << 20, "Topics": [{"Topic": "pl-none", "Partitions": [
        {"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}]}]}, "what is stored")


@case
def produce_idempotent(s):
    s.create("pi")
    put = lambda note, seq, count=1, pid=4000, epoch=0, **more: full(s, 11, [("pi", [(0, batch(records(count), pid=pid, pepoch=epoch, seq=seq, **more))])], note)
    put("an unknown producer begins anywhere", 7)
    put("again", 7)
    put("next", 8, 3)
    put("again", 8, 3)
    put("part of it", 8, 2)
    put("its end", 10, 1)
    put("a gap", 15)
    put("below", 3)
    for i in range(7):
        put("more", 11 + i)
    for i in range(8):
        put("repeat", 10 + i)
    put("epoch 1, not at 0", 18, epoch=1)
    put("epoch 1", 0, epoch=1)
    put("epoch 0 again", 18, epoch=0)
    put("epoch 1 again", 0, epoch=1)
    put("epoch -1", 1, epoch=-1)
    put("epoch 3", 0, epoch=3)
    put("another producer", 0, pid=4001)
    put("wraps", 2147483646, 3, pid=4002)
    put("wrapped", 1, pid=4002)
    put("not wrapped", 2147483647, pid=4003)
    put("wrapped to 0", 0, pid=4003)
    put("compressed", 0, 2, pid=4004, attributes=1, compress=gzip)
    put("compressed again", 0, 2, pid=4004, attributes=1, compress=gzip)
    put("gap and other error", 99, pid=4004, base_offset=3)
    put("append time", 0, pid=4005)
    s.create("pi-log", 1, {"message.timestamp.type": "LogAppendTime"})
    for _ in range(2):
        full(s, 11, [("pi-log", [(0, batch(records(2), pid=4000, pepoch=0, seq=0))])], "on append time")
    s.ask("DescribeProducers", 0, {"Topics": [{"Name": "pi", "PartitionIndexes": [0]}, {"Name": "nope", "PartitionIndexes": [0]}, {"Name": "pi", "PartitionIndexes": [5, -1]}]})
    s.ask("DescribeProducers", 0, {"Topics": []}, "none")
    for pid in (9000, 9001):
        full(s, 11, [("pi", [(0, batch(records(1), pid=pid, pepoch=0, seq=0, attributes=0x10))])], "transactional, no id")


@case
def produce_without_answer(s):
    s.create("p0", 2)
    for v in (3, 9, 11, 13):
        for note, data in (("good", [("p0", [(0, good())])]), ("unknown topic", [("nope", [(0, good())])]), ("bad crc", [("p0", [(0, good(crc=1)), (1, good())])]),
                           ("bad magic", [("p0", [(0, good(magic=9))])]), ("empty", [("p0", [(0, b"")])]), ("no partitions", [])):
            conn = s.new_connection()
            raw = encode_request("Produce", v, {"Acks": 0, "TimeoutMs": 1000, "TopicData": [
                {"Name": t, "TopicId": s.id(t) or "11111111-2222-3333-4444-555555555555", "PartitionData": [{"Index": i, "Records": r} for i, r in parts]} for t, parts in data]})
            try:
                conn.send_frame(raw)
                conn.send_frame(encode_request("Metadata", 12, {"Topics": []}, correlation=9))
                s.tell(f"v{v} {note}", decode_response("Metadata", 12, conn.receive_frame())[0])
            except Closed:
                s.tell(f"v{v} {note}", "closed")
    ask = {"ReplicaId": -1, "Topics": [{"Name": "p0", "Partitions": [{"PartitionIndex": i, "Timestamp": -1} for i in (0, 1)]}]}
    ends = lambda: [p["Offset"] for p in s.ask("ListOffsets", 7, ask, quiet=True)["Topics"][0]["Partitions"]]
    s.until(lambda: ends() == [4, 4], "what was good is there")


@case
def produce_internal(s):
    """The topic is made anew, and no coordinator can read it afterwards."""
    if s.ask("DeleteTopics", 6, {"Topics": [{"Name": "__consumer_offsets"}], "TimeoutMs": 30000}, quiet=True)["Responses"][0]["ErrorCode"] == 0:
        s.wait_gone("__consumer_offsets")
    s.ask("CreateTopics", 7, {"Topics": [{"Name": "__consumer_offsets", "NumPartitions": 1, "ReplicationFactor": 1}], "TimeoutMs": 30000}, quiet=True)
    s.wait_leader("__consumer_offsets", 0)
    for version, client in ((11, "x"), (11, "__admin_client"), (11, None), (9, "__admin_client")):
        full(s, version, [("__consumer_offsets", [(0, good())])], f"client {client}", client_id=client)
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "__consumer_offsets", "Partitions": [{"PartitionIndex": 0, "Offset": 0}]}], "TimeoutMs": 1000})


produce_internal.comes_last = True
