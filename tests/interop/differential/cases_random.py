"""Requests drawn from a seed, the same for both servers: batches with several things wrong at once, fetches, searches,
topics and settings in combinations that nobody thought of. DIFFER_SEED gives another seed, DIFFER_ROUNDS more of them."""
import os, random
from wire import *
from cases_admin import TOPIC_VALUES
from cases_data import retention_has_run

CASES = []
SEED = int(os.environ.get("DIFFER_SEED", "7"))
ROUNDS = int(os.environ.get("DIFFER_ROUNDS", "150"))
TS = 1700000000000


def case(fn):
    CASES.append(fn)
    return fn


def some_records(r):
    count = r.choice([1, 1, 2, 3, 10])
    items = [record(r.choice([b"k", b"k", b"", None]), r.choice([b"v", b"", None, b"x" * 300]), ts_delta=r.choice([0, 0, 0, 5, -5, 1000]),
                    offset_delta=i, headers=r.choice([(), (), [(b"h", b"v")], [(b"", None)]]), attributes=r.choice([0, 0, 0, 1, -1])) for i in range(count)]
    if r.random() < 0.1:
        items[r.randrange(count)] = r.choice([record(offset_delta=77), record()[:-1], record() + b"\0", varlong(-1), varlong(0), b"\xff" * 11])
    return items


def some_batch(r, pids):
    items = some_records(r)
    fields = {"base_ts": r.choice([TS, TS, TS, TS, -1, 0, 5])}
    codec = r.choice([0, 0, 0, 1])
    fields["attributes"] = codec
    if codec:
        fields["compress"] = gzip
    for chance, change in ((0.05, {"base_offset": r.choice([1, -1, 1 << 40])}), (0.05, {"crc": r.getrandbits(32)}), (0.05, {"count": r.choice([0, -1, len(items) + 1, len(items) - 1, 1 << 30])}),
                           (0.05, {"last_delta": r.choice([0, -1, len(items), 1 << 30, (1 << 31) - 1])}), (0.05, {"max_ts": r.choice([-1, 0, TS + 9])}), (0.03, {"epoch": r.choice([0, 5])}),
                           (0.03, {"magic": r.choice([0, 1, 3, -128])}), (0.04, {"length": r.choice([13, 14, 49, 60, 1 << 20])}),
                           (0.08, {"attributes": codec | r.choice([8, 0x20, 0x40, 0x100, 5, 6, 7, 2, 3, 4])})):
        if r.random() < chance:
            fields.update(change)
    if r.random() < 0.5:
        pid = r.choice(sorted(pids))
        epoch, seq = pids[pid]
        move = r.random()
        if move < 0.7:
            pids[pid] = (epoch, seq + len(items))
        elif move < 0.8:
            seq -= len(items)
        elif move < 0.9:
            epoch, seq = epoch + r.choice([1, -1]), r.choice([0, seq])
        else:
            seq += r.choice([1, 100, -100])
        fields.update(pid=pid, pepoch=epoch, seq=seq)
    elif r.random() < 0.1:
        fields.update(pid=r.choice([-1, 5]), pepoch=r.choice([-1, 0]), seq=r.choice([-1, 0]))
    return batch(items, **fields)


@case
def random_batches(s):
    r = random.Random(SEED)
    topics = {"rb-plain": {}, "rb-compact": {"cleanup.policy": "compact"}, "rb-gzip": {"compression.type": "gzip"}, "rb-none": {"compression.type": "uncompressed", "max.message.bytes": "800"},
              "rb-log": {"message.timestamp.type": "LogAppendTime"}, "rb-limit": {"message.timestamp.before.max.ms": "1000"}}
    pids = {name: {6000 + i: (0, 0) for i in range(3)} for name in topics}
    for name, configs in topics.items():
        s.create(name, 1, configs)
    for i in range(ROUNDS * 3):
        name = r.choice(sorted(topics))
        data = some_batch(r, pids[name])
        if r.random() < 0.06:
            data = data[:r.randrange(len(data) + 1)]
        elif r.random() < 0.06:
            data += bytes(r.choice([b"\0" * 5, b"\0" * 80, data, b"x" * 30]))
        version = r.choice(list(s.versions("Produce")))
        s.produce(name, data, version=version, acks=r.choice([1, -1]), quiet=False, note=f"{i} {name}")
    for name in topics:
        offset = 0
        for _ in range(20):
            answer = s.ask("Fetch", 11, {"ReplicaId": -1, "MinBytes": 0, "Topics": [{"Topic": name, "Partitions": [
                {"Partition": 0, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}]}]}, f"{name} is stored from {offset}")
            found = [b for b in batches(answer["Responses"][0]["Partitions"][0]["Records"] or b"") if "base" in b]
            if not found:
                break
            offset = found[-1]["base"] + found[-1]["last_delta"] + 1
        s.ask("DescribeProducers", 0, {"Topics": [{"Name": name, "PartitionIndexes": [0]}]}, name)


@case
def random_fetches(s):
    r = random.Random(SEED + 1)
    s.create("rf", 3, {"internal.segment.bytes": "4000"})
    for index in (0, 1):
        for i in range(20):
            s.produce("rf", batch([record(value=b"x" * r.choice([10, 300, 1500]), offset_delta=k) for k in range(r.choice([1, 2, 5]))], base_ts=TS + r.randrange(1000)), index)
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "rf", "Partitions": [{"PartitionIndex": 1, "Offset": 7}]}], "TimeoutMs": 10000}, quiet=True)
    retention_has_run(s)
    for i in range(ROUNDS * 2):
        version = r.choice(list(s.versions("Fetch")))
        parts = [{"Partition": r.choice([0, 1, 2, 2, 3]), "FetchOffset": r.choice([0, 1, 5, 6, 7, 8, 20, 39, r.randrange(70), -1, 1 << 40]), "PartitionMaxBytes": r.choice([0, 1, 61, 400, 1000, 3000, 1 << 20]),
                  "CurrentLeaderEpoch": r.choice([-1, -1, -1, 0, 1]), "LastFetchedEpoch": r.choice([-1, -1, -1, 0, 1])} for _ in range(r.choice([0, 1, 1, 2, 3, 4]))]
        s.ask("Fetch", version, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": r.choice([0, 1]), "MaxBytes": r.choice([0, 1, 500, 2000, 1 << 24]), "IsolationLevel": r.choice([0, 1]),
                                 "SessionId": 0, "SessionEpoch": -1, "Topics": [{"Topic": "rf", "TopicId": s.id("rf"), "Partitions": parts}] if parts else []}, f"{i} {parts}")
    for i in range(ROUNDS):
        version = r.choice(list(s.versions("ListOffsets")))
        s.ask("ListOffsets", version, {"ReplicaId": r.choice([-1, -1, -2]), "IsolationLevel": r.choice([0, 1]), "TimeoutMs": 1000, "Topics": [{"Name": "rf", "Partitions": [
            {"PartitionIndex": k, "Timestamp": r.choice([-1, -2, -3, -4, TS + r.randrange(-5, 1005)]), "CurrentLeaderEpoch": r.choice([-1, -1, 0, 1])} for k in r.sample(range(4), r.choice([1, 2, 3]))]}]}, f"{i}")


@case
def random_topics(s):
    r = random.Random(SEED + 2)
    keys = sorted(k for k in TOPIC_VALUES if k)
    for i in range(ROUNDS):
        topics = []
        for t in range(r.choice([1, 2, 3])):
            configs = [{"Name": key, "Value": r.choice(TOPIC_VALUES[key] + [None] * (r.random() < 0.1))} for key in r.sample(keys, r.choice([0, 1, 2, 4]))]
            assigned = [{"PartitionIndex": r.choice([p, p, p, 7]), "BrokerIds": r.choice([[1], [1], [1], [], [1, 1], [9], [1, 9]])} for p in range(r.choice([0, 0, 0, 1, 2]))]
            topics.append({"Name": r.choice([f"rt{i}-{t}", f"rt{i}-{t}", "rb.plain", f"rt {t}", "", "..", f"rt{i}-0"]), "NumPartitions": r.choice([-1, 1, 1, 2, 0, -2]) if not assigned or r.random() < 0.2 else -1,
                           "ReplicationFactor": r.choice([-1, 1, 1, 0, 2]) if not assigned or r.random() < 0.2 else -1, "Assignments": assigned, "Configs": configs})
        s.ask("CreateTopics", r.choice(list(s.versions("CreateTopics"))), {"Topics": topics, "TimeoutMs": r.choice([30000] * 9 + [0]), "ValidateOnly": r.random() < 0.8}, f"{i}")


@case
def random_configs(s):
    r = random.Random(SEED + 3)
    s.create("rc", 1)
    keys = sorted(k for k in TOPIC_VALUES if k)
    for i in range(ROUNDS):
        configs = [{"Name": key, "ConfigOperation": r.choice([0, 0, 0, 1, 2, 3]), "Value": r.choice(TOPIC_VALUES[key])} for key in r.sample(keys, r.choice([1, 2, 3]))]
        s.ask("IncrementalAlterConfigs", r.choice([0, 1]), {"ValidateOnly": False, "Resources": [{"ResourceType": 2, "ResourceName": "rc", "Configs": configs}]}, f"{i} {configs}")
    s.create("rc-after")  # when it is there, what was written before has been seen
    s.ask("DescribeConfigs", 4, {"IncludeSynonyms": True, "Resources": [{"ResourceType": 2, "ResourceName": "rc", "ConfigurationKeys": None}]}, "afterwards")
