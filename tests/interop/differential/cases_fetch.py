"""Fetch: sessions, limits, waiting, epochs, errors, isolation, re-created topics."""
import time
from wire import *

CASES = []
UNKNOWN = "11111111-2222-3333-4444-555555555555"
LONG_MS = 40000  # longer than any machine takes for an answer, and shorter than the cases wait for one


def case(fn):
    CASES.append(fn)
    return fn


def part(index=0, offset=0, size=1 << 20, **more):
    return {"Partition": index, "FetchOffset": offset, "PartitionMaxBytes": size, **more}


def fetch(s, version, topics, note, session=(0, -1), forget=(), wait=0, least=0, most=1 << 24, isolation=0, replica=-1, **options):
    """topics: [(name, [part])]"""
    ids = lambda name: s.id(name) or UNKNOWN
    values = {"ReplicaId": replica, "MaxWaitMs": wait, "MinBytes": least, "MaxBytes": most, "IsolationLevel": isolation,
              "SessionId": session[0], "SessionEpoch": session[1],
              "Topics": [{"Topic": name, "TopicId": ids(name), "Partitions": parts} for name, parts in topics],
              "ForgottenTopicsData": [{"Topic": name, "TopicId": ids(name), "Partitions": list(indexes)} for name, indexes in forget],
              **options.pop("more", {})}
    if replica >= 0 and version >= 15:
        values["ReplicaState"] = {"ReplicaId": replica, "ReplicaEpoch": -1}
    answer = s.ask("Fetch", version, values, note, quiet=True, **options)
    shown = {k: v for k, v in answer.items() if k != "SessionId"} if answer else "closed"
    s.log.append((f"{s.case}: Fetch v{version} {note}", "Fetch", [s.normal("Fetch", shown), "session" if answer.get("SessionId") else "no session"]))
    return answer


@case
def fetch_versions(s):
    s.create("fv", 2)
    s.create("fe", 1)
    for i in range(3):
        s.produce("fv", batch(records(2, value=b"%d" % i * 100)))
    for v in s.versions("Fetch"):
        fetch(s, v, [("fv", [part(), part(1)])], "two")
        fetch(s, v, [("fv", [part(0, 1)])], "inside a batch")
        fetch(s, v, [("fv", [part(0, 6)])], "at the end")
        fetch(s, v, [("fv", [part(0, 7)])], "beyond the end")
        fetch(s, v, [("fv", [part(0, -1)])], "negative offset")
        fetch(s, v, [("nope", [part()]), ("fe", [part()])], "unknown and empty")
        fetch(s, v, [("fv", [part(5), part(-1), part(0)])], "no such partitions")
        fetch(s, v, [], "nothing")
        fetch(s, v, [("fv", [part(), part(0, 2)])], "the same twice")
        fetch(s, v, [("fv", [part()])], "committed", isolation=1)
        fetch(s, v, [("fv", [part(0, 6)])], "committed at the end", isolation=1)
        fetch(s, v, [("fe", [part()])], "empty, committed", isolation=1)
        fetch(s, v, [("fv", [part()])], "isolation 2", isolation=2)
        for epoch in (-1, 0, 1, 5, -7):
            fetch(s, v, [("fv", [part(CurrentLeaderEpoch=epoch)])], f"epoch {epoch}")
            fetch(s, v, [("fv", [part(0, 3, LastFetchedEpoch=epoch)])], f"last epoch {epoch}")
        fetch(s, v, [("fv", [part(0, 9, LastFetchedEpoch=0)])], "diverging")
        fetch(s, v, [("fv", [part()])], "as a follower that is none", replica=77)
        fetch(s, v, [("fv", [part()])], "as itself", replica=1)
        fetch(s, v, [("fv", [part()])], "as a debugger", replica=-2)


@case
def fetch_limits(s):
    s.create("fl", 4)
    sizes = []
    for index in (1, 2):
        for i in range(3):
            s.produce("fl", batch([record(value=b"x" * 1000)]), index)
    one = 12 + 61 - 12 + 1000 + 10
    for v in (4, 11, 13, 17):
        for most in (-1, 0, 1, 100, 1069, 1500, 2138, 2500, 1 << 30):
            fetch(s, v, [("fl", [part(0), part(1), part(2)])], f"most {most}", most=most)
        for size in (-1, 0, 1, 1000, 1071, 1500, 2200, 1 << 30):
            fetch(s, v, [("fl", [part(0, 0, size), part(1, 0, size), part(2, 0, size)])], f"partition most {size}")
        fetch(s, v, [("fl", [part(1, 1, 1500), part(2, 2, 5000)])], "from the middle", most=2000)
        for least in (-1, 0, 1, 1 << 20):
            fetch(s, v, [("fl", [part(1)])], f"least {least}", least=least)


@case
def fetch_over_segments(s):
    s.create("fs", 1, {"internal.segment.bytes": "3000"})
    for i in range(12):
        s.produce("fs", batch([record(value=b"%d" % i * 500)]))
    offset = 0
    for step in range(12):
        answer = fetch(s, 11, [("fs", [part(0, offset)])], f"step {step} from {offset}")
        found = [b for b in batches(answer["Responses"][0]["Partitions"][0]["Records"] or b"") if "base" in b]
        if not found:
            break
        offset = found[-1]["base"] + 1
    for offset in (0, 5, 11):
        fetch(s, 11, [("fs", [part(0, offset, 700)])], f"700 from {offset}")
    fetch(s, 11, [("fs", [part(0, 0)])], "little in all", most=800)
    s.ask("DescribeLogDirs", 1, {"Topics": [{"Topic": "fs", "Partitions": [0]}]}, "size")


@case
def fetch_waits(s):
    s.create("fw", 2)
    s.produce("fw", batch(records(1)), 1)

    def waits(note, topics, least=1):
        begin = time.monotonic()
        fetch(s, 11, topics, note, wait=700, least=least)
        took = time.monotonic() - begin
        s.tell(f"{note} waits", "for its time" if took > 0.69 else f"{took:.2f} s")

    def does_not(note, topics, least=1):
        begin = time.monotonic()
        fetch(s, 11, topics, note, wait=LONG_MS, least=least)
        s.tell(f"{note} does not wait", time.monotonic() - begin < LONG_MS / 1000)
    waits("empty", [("fw", [part()])])
    does_not("enough", [("fw", [part(), part(1)])])
    waits("not enough", [("fw", [part(), part(1)])], least=1000)
    does_not("least 0", [("fw", [part()])], least=0)
    waits("unknown beside idle", [("fw", [part()]), ("nope", [part()])])
    does_not("only unknown", [("nope", [part()])])
    does_not("out of range beside idle", [("fw", [part(), part(1, 50)])])
    does_not("nothing", [])
    does_not("wrong epoch", [("fw", [part(CurrentLeaderEpoch=9)])])
    conn = s.new_connection()
    begin = time.monotonic()
    conn.send_frame(encode_request("Fetch", 11, {"ReplicaId": -1, "MaxWaitMs": LONG_MS, "MinBytes": 1, "Topics": [{"Topic": "fw", "Partitions": [part()]}]}))
    fetch(s, 11, [("fw", [part()])], "one that waits less, and began later", wait=200, least=1)
    s.produce("fw", batch(records(2)))
    answer = decode_response("Fetch", 11, conn.receive_frame())[1]
    s.tell("woken by an append", [s.normal("Fetch", answer), time.monotonic() - begin < LONG_MS / 1000])


@case
def fetch_sessions(s):
    s.create("fx", 3)
    s.create("fy", 1)
    for index in (0, 1):
        s.produce("fx", batch(records(1)), index)
    for v in (7, 11, 12, 13, 16):
        whole = [("fx", [part(0), part(1), part(2)])]
        id = fetch(s, v, whole, "a new one", (0, 0)).get("SessionId")
        fetch(s, v, [], "nothing new", (id, 1))
        fetch(s, v, [], "the same epoch again", (id, 1))
        fetch(s, v, [], "an epoch ahead", (id, 5))
        fetch(s, v, [("fx", [part(0, 1), part(1, 1)])], "moved on", (id, 2))
        s.produce("fx", batch(records(1)), 2)
        fetch(s, v, [], "news", (id, 3))
        fetch(s, v, [], "the same news", (id, 4))
        fetch(s, v, [("fx", [part(2, 1)])], "read", (id, 5))
        fetch(s, v, [("fy", [part()])], "one more", (id, 6))
        fetch(s, v, [], "still", (id, 7))
        fetch(s, v, [], "forget", (id, 8), forget=[("fx", [0, 1]), ("nope", [0])])
        s.produce("fx", batch(records(1)), 0)
        fetch(s, v, [], "without those", (id, 9))
        fetch(s, v, [("fx", [part(0, 1)])], "back", (id, 10))
        fetch(s, v, [("fx", [part(7), part(0, 99)]), ("nope", [part()])], "bad ones", (id, 11))
        fetch(s, v, [], "bad ones again", (id, 12))
        fetch(s, v, [], "all forgotten", (id, 13), forget=[("fx", [0, 1, 2, 7]), ("fy", [0]), ("nope", [0])])
        fetch(s, v, [], "it is gone", (id, 14))
        for other in ((id, 0), (12345, 1), (0, 1), (0, 5), (-1, 1), (-5, 0), (12345, -1), (7, -5)):
            fetch(s, v, [("fx", [part(0)])], f"session {'of before' if other[0] == id else other[0]} {other[1]}", other)
        id = fetch(s, v, whole, "a new one", (0, 0)).get("SessionId")
        fetch(s, v, [("fy", [part()])], "closed", (id, -1))
        fetch(s, v, [], "after closing", (id, 1))
        id = fetch(s, v, [], "an empty one", (0, 0)).get("SessionId")
        fetch(s, v, whole, "then filled", (id, 1))
        fetch(s, v, [], "closed", (id, -1))
    id = fetch(s, 12, [("fx", [part(0)])], "by name", (0, 0)).get("SessionId")
    fetch(s, 13, [], "goes on by id", (id, 1))
    fetch(s, 12, [], "goes on by name", (id, 1))
    for bad in (2147483640, 2147483647, -268435455, -2147483648):
        fetch(s, 13, [], f"id {bad}", (bad, 1))


@case
def fetch_session_rotation(s):
    s.create("fr", 3)
    for index in (0, 1, 2):
        for _ in range(2):
            s.produce("fr", batch([record(value=b"x" * 1000)]), index)
    id = fetch(s, 12, [("fr", [part(0), part(1), part(2)])], "first", (0, 0), most=1).get("SessionId")
    for epoch in range(1, 7):
        fetch(s, 12, [], f"then {epoch}", (id, epoch), most=1)


@case
def fetch_after_deletion(s):
    s.create("fd", 1)
    s.produce("fd", batch(records(1)))
    old = s.id("fd")
    ids = {}
    for v in (12, 13):
        ids[v] = fetch(s, v, [("fd", [part()])], "before", (0, 0)).get("SessionId")
    s.ask("DeleteTopics", 5, {"TopicNames": ["fd"], "TimeoutMs": 30000}, "delete")
    s.wait_gone("fd")
    for v in (12, 13):
        fetch(s, v, [], "deleted", (ids[v], 1))
    fetch(s, 13, [("fd", [part()])], "the old id")
    del s.ids[old]
    s.create("fd", 1)
    for v in (12, 13):
        fetch(s, v, [], "made again", (ids[v], 2))
        fetch(s, v, [("fd", [part()])], "replaced", (ids[v], 3))
    s.ids[old] = "fd-old"
    fetch(s, 13, [("fd-old", [part()])], "the old id again")


@case
def fetch_after_delete_records(s):
    s.create("fdr", 1)
    for _ in range(3):
        s.produce("fdr", batch(records(3)))
    s.ask("DeleteRecords", 2, {"Topics": [{"Name": "fdr", "Partitions": [{"PartitionIndex": 0, "Offset": 4}]}], "TimeoutMs": 10000}, "up to 4")
    for offset in (0, 3, 4, 5, 8, 9):
        fetch(s, 12, [("fdr", [part(0, offset)])], f"from {offset}")
        fetch(s, 12, [("fdr", [part(0, offset, LastFetchedEpoch=0)])], f"from {offset} with an epoch")
