"""ListOffsets, OffsetForLeaderEpoch, DeleteRecords, InitProducerId, DescribeProducers; rolling and retention."""
import time
from wire import *

CASES = []
TS = 1700000000000


def case(fn):
    CASES.append(fn)
    return fn


def offsets(s, version, topic, asks, note, replica=-1, isolation=0, **more):
    s.ask("ListOffsets", version, {"ReplicaId": replica, "IsolationLevel": isolation, "TimeoutMs": 5000, "Topics": [
        {"Name": topic, "Partitions": [{"PartitionIndex": i, "Timestamp": t, **more} for i, t in asks]}]}, note)


@case
def list_offsets(s):
    s.create("lo", 2)
    for delta in (1, 3, 2, 5, 4):
        s.produce("lo", batch([record(value=b"%d" % delta)], base_ts=TS + delta * 1000))
    s.produce("lo", batch([record(ts_delta=d, offset_delta=i) for i, d in enumerate((500, 100, 900))], base_ts=TS + 6000, max_ts=TS + 6900))
    s.produce("lo", batch([record(ts_delta=d, offset_delta=i) for i, d in enumerate((0, 7))], base_ts=TS + 7000, max_ts=TS + 7007, attributes=1, compress=gzip))
    for v in s.versions("ListOffsets"):
        for special in range(-8, 0):
            offsets(s, v, "lo", [(0, special)], f"special {special}")
            offsets(s, v, "lo", [(1, special)], f"special {special} of an empty one")
        for ts in (0, TS, TS + 1000, TS + 1001, TS + 2000, TS + 2001, TS + 3001, TS + 5000, TS + 5001, TS + 6200, TS + 6901, TS + 7001, TS + 7008, 1 << 62):
            offsets(s, v, "lo", [(0, ts)], f"time {ts - TS if ts < 1 << 60 else 'far'}")
        offsets(s, v, "lo", [(0, -1), (0, -2)], "the same twice")
        offsets(s, v, "lo", [(5, -1), (-1, -1)], "no such partition")
        offsets(s, v, "nope", [(0, -1)], "no such topic")
        offsets(s, v, "", [(0, -1)], "empty name")
        for isolation in (1, 2, -1):
            offsets(s, v, "lo", [(0, -1), (1, TS)], f"isolation {isolation}", isolation=isolation)
        for replica in (-2, 1, 77):
            offsets(s, v, "lo", [(0, -1)], f"replica {replica}", replica=replica)
        for epoch in (0, 1, -1, -9):
            offsets(s, v, "lo", [(0, -1), (1, -2)], f"epoch {epoch}", CurrentLeaderEpoch=epoch)
    s.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": []}, "nothing")


@case
def list_offsets_on_append_time(s):
    s.create("lol", 1, {"message.timestamp.type": "LogAppendTime"})
    for _ in range(2):
        s.produce("lol", batch(records(3), base_ts=TS))
        before = int(time.time() * 1000)
        s.until(lambda: int(time.time() * 1000) > before + 1, "the clock goes on")
    for special in (-1, -2, -3, 0, TS, 1 << 61):
        offsets(s, 8, "lol", [(0, special)], f"special {special}")


@case
def list_offsets_over_segments(s):
    s.create("los", 1, {"internal.segment.bytes": "1000"})
    for delta in (5, 1, 9, 3, 7, 2):
        s.produce("los", batch([record(value=b"x" * 600)], base_ts=TS + delta * 1000))
    for step in range(0, 11):
        offsets(s, 8, "los", [(0, TS + step * 1000)], f"time {step}")
    offsets(s, 8, "los", [(0, -3)], "largest")
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "los", "Partitions": [{"PartitionIndex": 0, "Offset": 3}]}], "TimeoutMs": 10000}, "up to 3")
    for step in (0, 4, 5, 6, 8, 9):
        offsets(s, 8, "los", [(0, TS + step * 1000)], f"time {step} above the start")
    for special in (-1, -2, -4):
        offsets(s, 8, "los", [(0, special)], f"special {special} above the start")


@case
def leader_epochs(s):
    s.create("le", 2)
    for _ in range(3):
        s.produce("le", batch(records(2)))
    ask = lambda v, note, topic="le", index=0, epoch=0, current=-1, replica=-2: s.ask("OffsetForLeaderEpoch", v, {"ReplicaId": replica, "Topics": [
        {"Topic": topic, "Partitions": [{"Partition": index, "CurrentLeaderEpoch": current, "LeaderEpoch": epoch}]}]}, note)
    for v in s.versions("OffsetForLeaderEpoch"):
        for epoch in (0, 1, 5, -1, -2, 2147483647):
            ask(v, f"epoch {epoch}", epoch=epoch)
            ask(v, f"epoch {epoch} of an empty one", epoch=epoch, index=1)
        for current in (0, 1, 9, -1, -3):
            ask(v, f"current {current}", current=current)
        ask(v, "no such topic", topic="nope")
        ask(v, "no such partition", index=9)
        for replica in (-1, 1, 77):
            ask(v, f"replica {replica}", replica=replica)
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "le", "Partitions": [{"PartitionIndex": 0, "Offset": 6}]}], "TimeoutMs": 10000}, "all")
    ask(4, "after deleting all")


@case
def delete_records(s):
    s.create("dr", 2)
    s.create("drc", 1, {"cleanup.policy": "compact"})
    s.create("drcd", 1, {"cleanup.policy": "compact,delete"})
    s.create("dre", 1, {"cleanup.policy": ""})
    for topic in ("dr", "drc", "drcd", "dre"):
        for _ in range(3):
            s.produce(topic, batch(records(3)))
    for v in s.versions("DeleteRecords"):
        for note, topic, parts in (("3", "dr", [(0, 3)]), ("1", "dr", [(0, 1)]), ("beyond", "dr", [(0, 10)]), ("-2", "dr", [(0, -2)]), ("min", "dr", [(0, -(1 << 63))]),
                                   ("two", "dr", [(0, 4), (1, 0)]), ("no such partition", "dr", [(9, 0), (-1, 0)]), ("no such topic", "nope", [(0, 0)]),
                                   ("compacted", "drc", [(0, 1)]), ("both", "drcd", [(0, 1)]), ("neither", "dre", [(0, 1)]), ("the same twice", "dr", [(0, 4), (0, 5)])):
            s.ask("DeleteRecords", v, {"Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": i, "Offset": o} for i, o in parts]}], "TimeoutMs": 10000}, note)
        s.ask("DeleteRecords", v, {"Topics": [], "TimeoutMs": 10000}, "nothing")
        s.ask("DeleteRecords", v, {"Topics": [{"Name": "dr", "Partitions": [{"PartitionIndex": 0, "Offset": 6}]}], "TimeoutMs": 0}, "no time")
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "dr", "Partitions": [{"PartitionIndex": 0, "Offset": -1}]}], "TimeoutMs": 10000}, "-1")
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "dr", "Partitions": [{"PartitionIndex": 1, "Offset": -1}]}], "TimeoutMs": 10000}, "-1 of an empty one")


@case
def init_producer_id(s):
    plain = {"TransactionalId": None, "TransactionTimeoutMs": 1000}
    s.until(lambda: s.ask("InitProducerId", 0, plain, quiet=True)["ErrorCode"] == 0, "a block of producer ids")
    for v in s.versions("InitProducerId"):
        s.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 1000}, "plain")
        s.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 0}, "no timeout")
        s.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": -1}, "negative timeout")
        s.ask("InitProducerId", v, {"TransactionalId": "", "TransactionTimeoutMs": 1000}, "empty id")
        if v >= 3:
            for pid, epoch in ((5, 3), (-1, 3), (5, -1), (-5, -5), (1 << 40, 32767)):
                s.ask("InitProducerId", v, {"TransactionalId": None, "TransactionTimeoutMs": 1000, "ProducerId": pid, "ProducerEpoch": epoch}, f"producer {pid} {epoch}")


def segments(s, topic):
    """What DescribeLogDirs and ListOffsets tell of it."""
    s.ask("DescribeLogDirs", 1, {"Topics": [{"Topic": topic, "Partitions": [0]}]}, f"{topic} size")
    offsets(s, 8, topic, [(0, -2)], f"{topic} start")
    offsets(s, 8, topic, [(0, -1)], f"{topic} end")


def start_of(s, topic):
    return s.ask("ListOffsets", 7, {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0, "Timestamp": -2}]}]}, quiet=True)["Topics"][0]["Partitions"][0]["Offset"]


def retention_has_run(s):
    """It has looked at every log since this was called: at one of them three times, and at each other one in between."""
    mark = f"mark-{s.case}"
    s.create(mark, 1, {"retention.bytes": "0"})
    for end in (1, 2, 3):
        s.produce(mark, batch(records(1), base_ts=TS))
        s.until(lambda: start_of(s, mark) == end, "retention does not run")


@case
def retention(s):
    now = int(time.time() * 1000)
    s.create("ret-size", 1, {"internal.segment.bytes": "400", "retention.bytes": "700", "file.delete.delay.ms": "0"})
    s.create("ret-time", 1, {"internal.segment.bytes": "400", "retention.ms": "3600000", "file.delete.delay.ms": "0"})
    s.create("ret-future", 1, {"internal.segment.bytes": "400", "retention.ms": "3600000", "file.delete.delay.ms": "0"})
    s.create("ret-none", 1, {"internal.segment.bytes": "400", "retention.ms": "-1", "retention.bytes": "-1", "file.delete.delay.ms": "0"})
    s.create("ret-empty", 1, {"internal.segment.bytes": "400", "cleanup.policy": "", "retention.bytes": "0", "file.delete.delay.ms": "0"})
    s.create("ret-all", 1, {"internal.segment.bytes": "400", "retention.ms": "1", "file.delete.delay.ms": "0"})
    s.create("ret-zero", 1, {"internal.segment.bytes": "400", "retention.bytes": "0", "retention.ms": "-1", "file.delete.delay.ms": "0"})
    s.create("ret-log", 1, {"internal.segment.bytes": "400", "retention.ms": "-1", "file.delete.delay.ms": "0"})
    value = b"x" * 300
    for i in range(5):
        old, new = TS, now
        s.produce("ret-size", batch([record(value=value)], base_ts=new))
        s.produce("ret-time", batch([record(value=value)], base_ts=old if i in (0, 1, 3) else new))
        s.produce("ret-future", batch([record(value=value)], base_ts=now + 3000_000 if i == 0 else old))
        for topic in ("ret-none", "ret-empty", "ret-log"):
            s.produce(topic, batch([record(value=value)], base_ts=old))
        s.produce("ret-all", batch([record(value=value)], base_ts=old))
        s.produce("ret-zero", batch([record(value=value)], base_ts=new))
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "ret-log", "Partitions": [{"PartitionIndex": 0, "Offset": 3}]}], "TimeoutMs": 10000}, quiet=True)
    s.until(lambda: start_of(s, "ret-size") == 3 and start_of(s, "ret-time") == 2 and start_of(s, "ret-all") == 5 and start_of(s, "ret-zero") == 5,
            "retention has run")
    retention_has_run(s)
    for topic in ("ret-size", "ret-time", "ret-future", "ret-none", "ret-empty", "ret-all", "ret-zero", "ret-log"):
        segments(s, topic)


@case
def rolling(s):
    """Where segments begin, as a fetch that never crosses them shows."""
    def bases(topic):
        found, offset = [], 0
        while True:
            answer = s.ask("Fetch", 11, {"ReplicaId": -1, "MinBytes": 0, "Topics": [{"Topic": topic, "Partitions": [
                {"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": 1 << 24}]}]}, quiet=True)
            got = [b for b in batches(answer["Responses"][0]["Partitions"][0]["Records"] or b"") if "base" in b]
            if not got:
                s.tell(f"{topic} segments", [found])
                return
            found.append([b["base"] for b in got])
            offset = got[-1]["base"] + got[-1]["last_delta"] + 1
    s.create("roll-time", 1, {"segment.ms": "1000", "retention.ms": "-1"})
    for delta in (0, 1000, 500, 1001, 1500, 2001, 2002):
        s.produce("roll-time", batch(records(1), base_ts=TS + delta))
    s.create("roll-size", 1, {"internal.segment.bytes": "710", "retention.ms": "-1"})
    for size in (284, 284, 284, 100, 500, 10, 10):
        s.produce("roll-size", batch([record(value=b"x" * size)], base_ts=TS))
    s.create("roll-index", 1, {"segment.index.bytes": "24", "index.interval.bytes": "0", "retention.ms": "-1"})
    for i in range(9):
        s.produce("roll-index", batch(records(1), base_ts=TS + i))
    s.create("roll-index2", 1, {"segment.index.bytes": "60", "index.interval.bytes": "100", "retention.ms": "-1"})
    for i in range(12):
        s.produce("roll-index2", batch(records(3), base_ts=TS + (i if i % 2 else 0)))
    for topic in ("roll-time", "roll-size", "roll-index", "roll-index2"):
        bases(topic)
