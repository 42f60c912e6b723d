"""Connections, ApiVersions, Metadata, DescribeTopicPartitions, DescribeCluster, and what is not served."""
import struct
from wire import *

CASES = []


def case(fn):
    CASES.append(fn)
    return fn


@case
def api_versions(s):
    for version in range(0, 5):
        answer = s.ask("ApiVersions", version, {"ClientSoftwareName": "tester", "ClientSoftwareVersion": "1.0"}, quiet=True)
        s.tell(f"error v{version}", answer.get("ErrorCode"))
        s.tell(f"features v{version}", [answer.get("SupportedFeatures"), answer.get("FinalizedFeatures")])
        shared = [key for key in answer["ApiKeys"] if key["ApiKey"] in s.common]
        s.tell(f"keys v{version}", shared)
        # 71 and 72 are Kafka's when a receiver is configured, 93 is 4.4's
        s.tell(f"which v{version}", [key["ApiKey"] for key in answer["ApiKeys"] if key["ApiKey"] not in not_served_yet() | {71, 72, 93}])
        s.tell(f"order v{version}", answer["ApiKeys"] == sorted(answer["ApiKeys"], key=lambda k: k["ApiKey"]))
        s.tell(f"the rest v{version}", {k: v for k, v in answer.items() if k not in ("ApiKeys", "FinalizedFeaturesEpoch", "SupportedFeatures", "FinalizedFeatures")})
    for name, software in (("", "1"), ("a_b", "1"), ("-a", "1"), ("a", ""), ("a", "1.0-x"), ("\u00e4", "1"), ("a.b-c9", "9"), (" ", "1"), ("a-", "1")):
        answer = s.ask("ApiVersions", 3, {"ClientSoftwareName": name, "ClientSoftwareVersion": software}, quiet=True)
        s.tell(f"software {name!r} {software!r}", [answer.get("ErrorCode"), len(answer.get("ApiKeys", [])) > 0, answer.get("FinalizedFeaturesEpoch", 0) >= 0])
    for version in (99, -1, 32767):
        s.frame(struct.pack(">hhih", 18, version, 7, 1) + b"x" + b"\0\2a\2b\0", f"ApiVersions v{version}")
    s.frame(struct.pack(">hhih", 18, 99, 7, 1) + b"x", "ApiVersions v99 with the old header")
    conn = s.new_connection()
    s.tell("the connection goes on", [s.ask("ApiVersions", 6, {}, conn=conn, quiet=True).get("ErrorCode"),
                                      s.ask("Metadata", 1, {"Topics": []}, conn=conn, quiet=True).get("ThrottleTimeMs", 0)])


@case
def what_is_not_served(s):
    for key in (-1, 4, 5, 6, 7, 52, 53, 62, 63, 70, 95, 999, 32767):
        s.frame(struct.pack(">hhih", key, 0, 7, -1) + b"\0" * 8, f"key {key}")
    for key, (low, high) in sorted(s.common.items()):
        if key != 18:
            for version in (low - 1, -1, 99):
                s.frame(struct.pack(">hhih", key, version, 7, -1) + b"\0" * 8, f"key {key} v{version}")
    s.frame(b"", "nothing")
    s.frame(b"\0\3\0", "a piece of a header")
    for name, version in (("Metadata", 12), ("Produce", 9), ("Fetch", 12), ("CreateTopics", 7), ("DescribeConfigs", 4), ("ListOffsets", 10)):
        whole = encode_request(name, version, {"Topics": []} if name in ("Metadata", "CreateTopics", "Fetch", "ListOffsets") else {})
        for cut in (1, 3):
            s.frame(whole[:-cut], f"{name} v{version} without its last {cut}")
    s.frame(encode_request("Metadata", 12, {}, body=b"\xff\xff\xff\xff\x7f"), "a huge count")
    s.frame(encode_request("Metadata", 12, {}, body=b"\xff\xff\xff\xff\xff\xff"), "a bad varint")
    s.frame(encode_request("Metadata", 1, {}, body=b"\x7f\xff\xff\xff"), "a huge count, fixed")
    s.frame(encode_request("Metadata", 1, {}, body=b"\x00\x00\x00\x01\xff\xff"), "a null name where none may be")
    for size in (-1, 104857601):
        conn = s.new_connection()
        conn.send_bytes(struct.pack(">i", size))
        try:
            conn.receive_frame()
            s.tell(f"frame size {size}", "answered")
        except Closed:
            s.tell(f"frame size {size}", "closed")
        except AssertionError:
            s.tell(f"frame size {size}", "open")


@case
def frames(s):
    """Bytes left over, unknown tags, ids echoed, several requests in one write, a null client id."""
    body = encode_body("Metadata", 12, {"Topics": []})
    for note, raw in (("rest", encode_request("Metadata", 12, {}, body=body + b"rest")),
                      ("null client", encode_request("Metadata", 12, {"Topics": []}, client_id=None)),
                      ("tags in the header", encode_request("Metadata", 12, {"Topics": []}, header_tags=[(5, b"abc")])),
                      ("tags in the body", encode_request("Metadata", 12, {"Topics": [], "_tags": [(100, b"abc"), (7, b"")]}))):
        conn = s.new_connection()
        conn.send_frame(raw)
        try:
            s.tell(note, decode_response("Metadata", 12, conn.receive_frame())[1])
        except Closed:
            s.tell(note, "closed")
    conn = s.new_connection()
    frames = [encode_request("Metadata", 12, {"Topics": []}, correlation=c) for c in (7, 7, -5, 2147483647)]
    conn.send_bytes(b"".join(struct.pack(">i", len(f)) + f for f in frames))
    s.tell("several", [decode_response("Metadata", 12, conn.receive_frame())[0] for _ in frames])
    conn = s.new_connection()
    bad = struct.pack(">hhih", 999, 0, 1, -1)
    conn.send_bytes(b"".join(struct.pack(">i", len(f)) + f for f in (frames[0], bad, frames[1])))
    s.tell("before the bad one", decode_response("Metadata", 12, conn.receive_frame())[0])
    try:
        conn.receive_frame()
        s.tell("behind the bad one", "answered")
    except Closed:
        s.tell("behind the bad one", "closed")


@case
def metadata(s):
    s.create("m1", 3)
    s.create("m.2", 1)
    for v in s.versions("Metadata"):
        if v == 0:
            continue  # all topics, or auto creation
        unknown = "nope" if v >= 4 else f"nope{v}"  # below v4 it is created
        for note, topics in (("one", ["m1"]), ("two", ["m1", "m.2"]), ("the same twice", ["m1", "m1"]), ("unknown", [unknown]),
                             ("invalid", ["a b"]), ("empty name", [""]), ("long", ["n" * 250]), ("dots", [".."]), ("internal", ["__share_group_state"] if v >= 4 else [".."])):
            s.ask("Metadata", v, {"Topics": [{"Name": t} for t in topics], "AllowAutoTopicCreation": False}, note)
        s.ask("Metadata", v, {"Topics": [], "AllowAutoTopicCreation": False}, "none") if v > 0 else None
        if v >= 8:
            s.ask("Metadata", v, {"Topics": [{"Name": "m1"}, {"Name": "nope"}], "AllowAutoTopicCreation": False, "IncludeClusterAuthorizedOperations": True,
                                  "IncludeTopicAuthorizedOperations": True}, "operations")
        if v >= 10:
            s.ask("Metadata", v, {"Topics": [{"TopicId": s.id("m1"), "Name": None}], "AllowAutoTopicCreation": False}, "by id")
            s.ask("Metadata", v, {"Topics": [{"TopicId": s.id("m1"), "Name": None}, {"Name": "m.2"}], "AllowAutoTopicCreation": False}, "id and name")
            s.ask("Metadata", v, {"Topics": [{"TopicId": "11111111-2222-3333-4444-555555555555", "Name": None}], "AllowAutoTopicCreation": False}, "unknown id")
            s.ask("Metadata", v, {"Topics": [{"TopicId": s.id("m1"), "Name": "m.2"}], "AllowAutoTopicCreation": False}, "id of another name")
            s.ask("Metadata", v, {"Topics": [{"Name": None}], "AllowAutoTopicCreation": False}, "null name, zero id")


@case
def auto_creation(s):
    for name in ("auto1", "a b", "__transaction_state2"):
        s.ask("Metadata", 9, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": True}, "first")
    s.wait_leader("auto1", 0)
    s.ask("Metadata", 9, {"Topics": [{"Name": "auto1"}], "AllowAutoTopicCreation": True}, "then")
    s.ask("Metadata", 0, {"Topics": [{"Name": "auto2"}]}, "v0 creates too")
    s.wait_leader("auto2", 0)
    s.create("auto.x_1")
    s.ask("Metadata", 9, {"Topics": [{"Name": "auto_x.1"}], "AllowAutoTopicCreation": True}, "collides")
    s.ask("Metadata", 9, {"Topics": [{"Name": "auto_x.1"}], "AllowAutoTopicCreation": True}, "collides again")
    s.ask("Metadata", 4, {"Topics": [{"Name": "auto3"}], "AllowAutoTopicCreation": False}, "not allowed")


@case
def describe_topic_partitions(s):
    for name in ("dtp-a", "dtp-b", "dtp-c"):
        s.create(name, 3)
    ask = lambda note, **values: s.ask("DescribeTopicPartitions", 0, values, note)
    names = lambda *list: [{"Name": n} for n in list]
    ask("one", Topics=names("dtp-a"))
    ask("sorted", Topics=names("dtp-c", "dtp-a", "dtp-c"))
    for unknown in ("nope", "a b", "..", "n" * 250):
        ask(f"unknown {unknown}", Topics=names(unknown, "dtp-a"))
    ask("an empty name", Topics=names("", "dtp-a"))
    for limit in (-1, 0, 1, 2, 3, 4, 6, 7, 2000, 5000):
        ask(f"limit {limit}", Topics=names("dtp-a", "dtp-b", "nope", "dtp-c"), ResponsePartitionLimit=limit)
    for topic, partition in (("dtp-a", 1), ("dtp-b", 0), ("dtp-b", 2), ("dtp-b", 3), ("dtp-b", 99), ("dtp-b", -1), ("zzz", 0), ("nope", 0), ("", 0)):
        ask(f"cursor {topic} {partition}", Topics=names("dtp-a", "dtp-b", "dtp-c"), Cursor={"TopicName": topic, "PartitionIndex": partition}, ResponsePartitionLimit=4)
    answer = s.ask("DescribeTopicPartitions", 0, {"Topics": [], "Cursor": {"TopicName": "dtp-b", "PartitionIndex": 1}, "ResponsePartitionLimit": 3}, quiet=True)
    s.tell("all, from a cursor", [[t["Name"], [p["PartitionIndex"] for p in t["Partitions"]]] for t in answer["Topics"]])
    s.tell("next", answer.get("NextCursor"))
    answer = s.ask("DescribeTopicPartitions", 0, {"Topics": [], "Cursor": {"TopicName": "dtp-aa", "PartitionIndex": 1}, "ResponsePartitionLimit": 3}, quiet=True)
    s.tell("all, from a cursor whose topic is not there", [[t["Name"], [p["PartitionIndex"] for p in t["Partitions"]]] for t in answer["Topics"]])


@case
def describe_cluster(s):
    for v in s.versions("DescribeCluster"):
        for operations in (False, True):
            for endpoint in (1, 2, 3, 0, -1):
                s.ask("DescribeCluster", v, {"IncludeClusterAuthorizedOperations": operations, "EndpointType": endpoint}, f"operations {operations} endpoint {endpoint}")
        s.ask("DescribeCluster", v, {"IncludeFencedBrokers": True}, "fenced")
