"""CreateTopics, DeleteTopics, CreatePartitions, DescribeLogDirs, AlterReplicaLogDirs, DescribeQuorum, UpdateFeatures."""
from wire import *

CASES = []
UNKNOWN = "11111111-2222-3333-4444-555555555555"


def case(fn):
    CASES.append(fn)
    return fn


def topic(name, partitions=1, factor=1, assignments=(), **configs):
    return {"Name": name, "NumPartitions": partitions, "ReplicationFactor": factor,
            "Assignments": [{"PartitionIndex": i, "BrokerIds": ids} for i, ids in assignments],
            "Configs": [{"Name": k.replace("_", "."), "Value": v} for k, v in configs.items()]}


def create(s, version, topics, note, timeout=30000, validate=False, **options):
    return s.ask("CreateTopics", version, {"Topics": topics, "TimeoutMs": timeout, "ValidateOnly": validate}, note, **options)


@case
def create_topics(s):
    for v in s.versions("CreateTopics"):
        p = f"ct{v}-"
        create(s, v, [topic(p + "plain", 2)], "plain")
        create(s, v, [topic(p + "plain", 2)], "there already")
        create(s, v, [topic(p + "defaults", -1, -1)], "defaults")
        create(s, v, [topic(p + "v1"), topic(p + "v2", 3)], "validate only", validate=True)
        create(s, v, [topic(p + "dup"), topic(p + "dup"), topic(p + "single")], "duplicate")
        create(s, v, [topic(p + "dup"), topic(p + "dup"), topic(p + "dup", 3)], "three times")
        create(s, v, [topic("__cluster_metadata")], "the metadata log")
        create(s, v, [topic(n) for n in ("", ".", "..", "a b", "n" * 249 if v == 2 else "n" * 250, "\u00fc", "a/b", "x" * 300)], "names")
        create(s, v, [topic(p + "a.b_c")], "dots")
        create(s, v, [topic(p + "a_b.c"), topic(p + "a_b_c"), topic(p + "a.b_c")], "collide")
        create(s, v, [topic(p + "x.y"), topic(p + "x_y")], "collide in one")
        create(s, v, [topic(p + f"n{n}", n) for n in (0, -2, -5, 10001)], "partition counts")
        create(s, v, [topic(p + f"n{n}", n) for n in (0, -2, 3)], "small partition counts")
        create(s, v, [topic(p + f"f{n}", 1, n) for n in (0, -2, 2, 3, 32767)], "factors")
        create(s, v, [topic(p + "fn", 0, 0)], "both wrong")
        create(s, v, [topic(p + "m1", -1, -1, [(0, [1]), (1, [1])])], "assigned")
        create(s, v, [topic(p + "m2", 1, -1, [(0, [1])]), topic(p + "m3", -1, 1, [(0, [1])]), topic(p + "m4", 1, 1, [(0, [1])]),
                      topic(p + "m5", -1, -1, [(0, [1]), (0, [1])]), topic(p + "m6", -1, -1, [(0, [])]), topic(p + "m7", -1, -1, [(0, [9])]),
                      topic(p + "m8", -1, -1, [(0, [1, 1])]), topic(p + "m9", -1, -1, [(1, [1]), (2, [1])]), topic(p + "m10", -1, -1, [(0, [1]), (2, [1])]),
                      topic(p + "m11", -1, -1, [(0, [1]), (1, [1, 9])]), topic(p + "m12", -1, -1, [(0, [-1])]), topic(p + "m13", -1, -1, [(-1, [1])])], "assignments")
        create(s, v, [], "nothing")
        create(s, v, [topic(p + "t0")], "no time", timeout=0)
        create(s, v, [topic(p + "t1"), topic(p + "t1")], "no time, duplicates", timeout=-1)
        create(s, v, [topic(p + "c1", 1, 1, retention_ms="1000", cleanup_policy="compact")], "configs")
        create(s, v, [topic(p + "c2", 1, 1, retention_ms=None), topic(p + "c3", 1, 1, nope="1"), topic(p + "c4", 1, 1, retention_ms="abc"), topic(p + "c5", 1, 1, retention_ms="")], "bad configs")
        create(s, v, [{**topic(p + "c6"), "Configs": [{"Name": "retention.ms", "Value": "1"}, {"Name": "retention.ms", "Value": "2"}]}], "a config twice")
        create(s, v, [topic(p + "order", 0, 1, nope="1"), topic("bad name", 0, 0), topic(p + "plain", 0, 0)], "which error first")


TOPIC_VALUES = {
    "cleanup.policy": ["compact", "delete", "compact,delete", "delete, compact", "", "COMPACT", "x", "delete,delete", "compact,x", ","],
    "compression.type": ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer", "none", "GZIP", ""],
    "compression.gzip.level": ["-1", "1", "9", "0", "10", "x"], "compression.lz4.level": ["1", "17", "0", "18", "-1"],
    "compression.zstd.level": ["-131072", "22", "23", "-131073", "0"],
    "delete.retention.ms": ["0", "-1", "9223372036854775807", "9223372036854775808", "1.5", " 5 ", "+5", "0x10", ""],
    "file.delete.delay.ms": ["0", "-1", "1"], "flush.messages": ["1", "0", "-1"], "flush.ms": ["0", "-1"], "index.interval.bytes": ["0", "-1", "2147483648"],
    "leader.replication.throttled.replicas": ["*", "0:1,1:1", "", "x", "0", "0:1,", "none"], "follower.replication.throttled.replicas": ["*", "a:b", "0:1"],
    "local.retention.bytes": ["-2", "-3", "-1", "5", "99999999999"], "local.retention.ms": ["-2", "-3", "0", "99999999999999"],
    "max.compaction.lag.ms": ["1", "0", "9223372036854775807"], "max.message.bytes": ["0", "-1", "2147483647", "2147483648", "1e3"],
    "message.timestamp.after.max.ms": ["0", "-1"], "message.timestamp.before.max.ms": ["0", "-1"], "message.timestamp.type": ["CreateTime", "LogAppendTime", "createtime", ""],
    "min.cleanable.dirty.ratio": ["0", "1", "0.5", "1.1", "-0.1", "NaN", "x", ".5", "1e-1"], "min.compaction.lag.ms": ["0", "-1"], "min.insync.replicas": ["1", "0", "100"],
    "preallocate": ["true", "false", "TRUE", "yes", "", " true "], "remote.storage.enable": ["false", "true", "x"], "remote.log.copy.disable": ["true", "false"],
    "remote.log.delete.on.disable": ["true", "false"], "retention.bytes": ["-1", "-2", "0", "x"], "retention.ms": ["-1", "-2", "0", "x", "1.0"],
    "segment.bytes": ["1048576", "1048575", "14", "2147483647", "2147483648"], "segment.index.bytes": ["4", "3", "0"], "segment.jitter.ms": ["0", "-1"],
    "segment.ms": ["1", "0", "-1"], "unclean.leader.election.enable": ["true", "x"], "internal.segment.bytes": ["1000", "0", "-1", "x"],
    "message.format.version": ["3.0-IV1"], "message.timestamp.difference.max.ms": ["1"], "message.downconversion.enable": ["true"], "errors.deadletterqueue.group.enable": ["true"],
    "": ["1"], "retention.ms ": ["1"], "RETENTION.MS": ["1"],
}


@case
def topic_config_values(s):
    for key, values in TOPIC_VALUES.items():
        topics = [{"Name": f"tcv-{i}", "NumPartitions": 1, "ReplicationFactor": 1, "Configs": [{"Name": key, "Value": value}]} for i, value in enumerate(values)]
        create(s, 7, topics, f"{key} {values}", validate=True)
    for configs in ({"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "5"}, {"local.retention.ms": "10", "retention.ms": "5"}, {"remote.storage.enable": "true", "cleanup.policy": "compact"},
                    {"remote.log.copy.disable": "true", "remote.storage.enable": "false"}, {"nope": "1", "retention.ms": "x"}, {"segment.bytes": "1048576", "internal.segment.bytes": "1000"}):
        create(s, 7, [{"Name": "tcv-x", "NumPartitions": 1, "ReplicationFactor": 1, "Configs": [{"Name": k, "Value": v} for k, v in configs.items()]}], f"together {configs}", validate=True)


@case
def delete_topics(s):
    for v in s.versions("DeleteTopics"):
        for i in range(3):
            s.create(f"dt{v}-{i}")
        if v < 6:
            ask = lambda note, names, timeout=30000: s.ask("DeleteTopics", v, {"TopicNames": names, "TimeoutMs": timeout}, note)
        else:
            ask = lambda note, names, timeout=30000: s.ask("DeleteTopics", v, {"Topics": [{"Name": n} for n in names], "TimeoutMs": timeout}, note)
        ask("nothing", [])
        ask("unknown", ["nope", "a b", ""])
        ask("no time", [f"dt{v}-0"], 0)
        ask("duplicate", [f"dt{v}-0", f"dt{v}-0", "nope", "nope"])
        ask("one", [f"dt{v}-0"])
        s.wait_gone(f"dt{v}-0")
        ask("one again", [f"dt{v}-0"])
        ask("two", [f"dt{v}-1", f"dt{v}-2"])
    for i in range(4):
        s.create(f"dti-{i}")
    id = s.id
    s.ask("DeleteTopics", 6, {"TimeoutMs": 30000, "Topics": [
        {"Name": None}, {"Name": "dti-0", "TopicId": id("dti-0")}, {"Name": None, "TopicId": UNKNOWN}, {"Name": None, "TopicId": UNKNOWN},
        {"Name": "dti-1"}, {"Name": None, "TopicId": id("dti-1")}, {"Name": None, "TopicId": id("dti-2")}, {"Name": None, "TopicId": id("dti-2")},
        {"Name": None, "TopicId": id("dti-3")}, {"Name": "nope"}]}, "all kinds")
    s.wait_gone("dti-3")
    s.ask("Metadata", 9, {"Topics": [{"Name": f"dti-{i}"} for i in range(4)], "AllowAutoTopicCreation": False}, "what is left")


@case
def create_partitions(s):
    s.create("cp", 3)
    for v in s.versions("CreatePartitions"):
        grow = lambda note, topics, validate=False, timeout=30000: s.ask("CreatePartitions", v, {"TimeoutMs": timeout, "ValidateOnly": validate, "Topics": [
            {"Name": n, "Count": c, "Assignments": None if a is None else [{"BrokerIds": b} for b in a]} for n, c, a in topics]}, note)
        grow("equal", [("cp", 3, None)], True)
        grow("less", [("cp", 2, None)])
        grow("none", [("cp", 0, None)])
        grow("negative", [("cp", -1, None)])
        grow("unknown", [("nope", 4, None), ("a b", 4, None), ("", 3, None)])
        grow("duplicate", [("cp", 4, None), ("cp", 5, None)])
        grow("validate", [("cp", 20, None)], True)
        grow("empty assignments", [("cp", 20, [])])
        grow("too few assignments", [("cp", 20, [[1]])])
        grow("bad broker", [("cp", 4 + v, [[9]] * (v + 1) if False else [[9]])], True)
        grow("twice", [("cp", 4 + v, [[1, 1]])], True)
        grow("empty list", [("cp", 4 + v, [[]])], True)
        grow("nothing", [])
        grow("no time", [("cp", 20, None)], timeout=0)
        grow("one more", [("cp", 4 + v, [[1]])])
        grow("far too many", [("cp", 20000, None)], True)
    s.published()
    s.ask("Metadata", 9, {"Topics": [{"Name": "cp"}], "AllowAutoTopicCreation": False}, "after")


@case
def log_dirs(s):
    s.create("ld-a", 2)
    s.create("ld-b", 1)
    for v in s.versions("DescribeLogDirs"):
        s.ask("DescribeLogDirs", v, {"Topics": []}, "no topics")
        s.ask("DescribeLogDirs", v, {"Topics": [{"Topic": "nope", "Partitions": [0]}, {"Topic": "ld-a", "Partitions": [7]}]}, "unknown")
        answer = s.ask("DescribeLogDirs", v, {"Topics": [{"Topic": "ld-a", "Partitions": [0, 1]}, {"Topic": "ld-b", "Partitions": [0]}]}, quiet=True)
        s.tell(f"partitions v{v}", [[t["Name"], p["PartitionIndex"], p["PartitionSize"], p["OffsetLag"], p["IsFutureKey"]]
                                    for r in answer["Results"] for t in r["Topics"] for p in t["Partitions"]])
    dirs = [r["LogDir"] for r in s.ask("DescribeLogDirs", 4, {"Topics": []}, quiet=True)["Results"]]
    where = lambda: next(r["LogDir"] for r in s.ask("DescribeLogDirs", 4, {"Topics": [{"Topic": "ld-b", "Partitions": [0]}]}, quiet=True)["Results"]
                         if any(not p["IsFutureKey"] for t in r["Topics"] for p in t["Partitions"]))
    for v in s.versions("AlterReplicaLogDirs"):
        move = lambda note, *moves: s.ask("AlterReplicaLogDirs", v, {"Dirs": [{"Path": path, "Topics": [{"Name": n, "Partitions": p} for n, p in topics]} for path, topics in moves]}, note)
        move("nothing")
        move("no topics", (dirs[0], []))
        move("unknown directory", ("/nope", [("ld-b", [0])]))
        move("a slash", (dirs[0] + "/", [("ld-b", [0])]))
        move("unknown topic", (dirs[0], [("nope", [0])]))
        move("unknown partition", (dirs[0], [("ld-b", [5])]))
        move("a long name", (dirs[0], [("n" * 214, [0]), ("n" * 213, [0])]))
        move("where it is", (where(), [("ld-b", [0])]))
        other = dirs[0] if where() == dirs[1] else dirs[1]
        move("elsewhere", (other, [("ld-b", [0])]))
        s.until(lambda: where() == other, "it has moved")


@case
def describe_quorum(s):
    ask = lambda v, note, topics: s.ask("DescribeQuorum", v, {"Topics": [{"TopicName": t, "Partitions": [{"PartitionIndex": p} for p in parts]} for t, parts in topics]}, note)
    for v in s.versions("DescribeQuorum"):
        ask(v, "right", [("__cluster_metadata", [0])])
        ask(v, "wrong partition", [("__cluster_metadata", [1])])
        ask(v, "wrong topic", [("nope", [0])])
        ask(v, "two partitions", [("__cluster_metadata", [0, 1])])
        ask(v, "two topics", [("__cluster_metadata", [0]), ("nope", [0])])
        ask(v, "nothing", [])
        ask(v, "no partitions", [("__cluster_metadata", [])])


@case
def update_features(s):
    def ask(v, note, *updates, validate=True):
        s.ask("UpdateFeatures", v, {"TimeoutMs": 30000, "ValidateOnly": validate, "FeatureUpdates": [
            {"Feature": f, "MaxVersionLevel": level, "AllowDowngrade": kind != 1, "UpgradeType": kind} for f, level, kind in updates]}, note)
    for v in s.versions("UpdateFeatures"):
        ask(v, "same", ("metadata.version", 30, 1))
        for kind in (0, 1, 2, 3, 4):
            for feature, level in (("metadata.version", 29), ("metadata.version", 28), ("metadata.version", 22), ("metadata.version", 31), ("metadata.version", 6), ("metadata.version", 0),
                                   ("metadata.version", -1), ("group.version", 0), ("group.version", 1), ("group.version", 2), ("transaction.version", 1), ("transaction.version", 3),
                                   ("kraft.version", 0), ("kraft.version", 1), ("kraft.version", 2), ("nope", 0), ("nope", 1), ("share.version", 0), ("streams.version", 0),
                                   ("eligible.leader.replicas.version", 0), ("", 1)):
                ask(v, f"{feature} {level} kind {kind}", (feature, level, kind))
        ask(v, "nothing")
        ask(v, "twice", ("group.version", 1, 1), ("group.version", 0, 2))
        ask(v, "good and bad", ("group.version", 1, 1), ("nope", 3, 1))
        ask(v, "two good", ("group.version", 1, 1), ("share.version", 1, 1))
    ask(1, "for real", ("share.version", 0, 2), validate=False)
    ask(2, "and back", ("share.version", 1, 1), validate=False)
    ask(2, "no change", ("share.version", 1, 1), validate=False)
    s.published()
