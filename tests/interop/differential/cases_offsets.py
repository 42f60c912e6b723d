"""FindCoordinator, OffsetCommit, OffsetFetch, OffsetDelete, ListGroups, DeleteGroups: every version, good and bad values, groups in
several states, topics that go and come back, and the records that come of it."""
import random
from cases_classic import Member, group_records, ready
from wire import *

CASES = []
NO_ID = "00000000-0000-0000-0000-00000000beef"


def case(fn):
    CASES.append(fn)
    return fn


def commit(s, v, group, topics, note="", member="", generation=-1, quiet=False, **other):
    """topics: [(name, [(partition, offset, metadata, leader epoch)])]"""
    return s.ask("OffsetCommit", v, {"GroupId": group, "GenerationIdOrMemberEpoch": generation, "MemberId": member, **other, "Topics": [
        {**({"TopicId": s.id(name) or name} if v >= 10 else {"Name": name}), "Partitions": [
            {"PartitionIndex": p, "CommittedOffset": o, "CommittedMetadata": m, **({"CommittedLeaderEpoch": e} if v >= 6 else {})} for p, o, m, e in partitions]}
        for name, partitions in topics]}, note, quiet=quiet)


def fetch(s, v, group, topics, note="", stable=False, **other):
    """topics: [(name, [partitions])], None: all"""
    named = None if topics is None else [
        {**({"TopicId": s.id(name) or name} if v >= 10 else {"Name": name}), "PartitionIndexes": partitions} for name, partitions in topics]
    values = {"Groups": [{"GroupId": group, "Topics": named, **other}]} if v >= 8 else {"GroupId": group, "Topics": named}
    if v >= 7:
        values["RequireStable"] = stable
    return s.ask("OffsetFetch", v, values, note)


def fetch_all_versions(s, group, topics, note):
    for v in s.versions("OffsetFetch"):
        if topics is not None or v >= 2:
            fetch(s, v, group, topics, note)
            if v >= 7:
                fetch(s, v, group, topics, note + " stable", stable=True)


@case
def find_coordinator(s):
    ready(s, "fc")
    for v in s.versions("FindCoordinator"):
        for kind in (0, 1, 2, 3, -1, 127) if v >= 1 else (None,):
            if kind == 1 or kind == 2:
                continue  # their topics are made at the first call: below
            for key in ("fc", "", "x" * 300, "\u00e4\u20ac\U0001f600"):
                s.ask("FindCoordinator", v, {**({} if kind is None else {"KeyType": kind}), **({"CoordinatorKeys": [key]} if v >= 4 else {"Key": key})},
                      f"type {kind} key {key[:5]}")
    s.ask("FindCoordinator", 6, {"KeyType": 0, "CoordinatorKeys": []}, "no keys")
    s.ask("FindCoordinator", 6, {"KeyType": 0, "CoordinatorKeys": ["a", "a", "", "b"]}, "several keys")
    s.ask("FindCoordinator", 5, {"KeyType": 2, "CoordinatorKeys": ["g:AAAAAAAAAAAAAAAAAAAAAQ:0"]}, "share key too early")
    for key in ("", "g", "g:x", "g:x:0", "g:AAAAAAAAAAAAAAAAAAAAAQ:", "g:AAAAAAAAAAAAAAAAAAAAAQ:x", ":AAAAAAAAAAAAAAAAAAAAAQ:0", "::0",
                "g:AAAAAAAAAAAAAAAAAAAAAQ:99999999999", "  :AAAAAAAAAAAAAAAAAAAAAQ:0"):
        s.ask("FindCoordinator", 6, {"KeyType": 2, "CoordinatorKeys": [key]}, f"share key {key}")


@case
def offset_commit_of_no_member(s):
    s.create("oc", 3)
    ready(s, "oc1")
    for v in s.versions("OffsetCommit"):
        commit(s, v, "oc1", [("oc", [(0, v, "m", 7), (1, -7, "", -1), (2, 1 << 62, None, -9)])], "plain")
        commit(s, v, "oc1", [("oc", [(0, v, "m", 7), (3, 1, "", -1), (-1, 1, "", -1)])], "no such partition")
        commit(s, v, "oc1", [("oc", [(9, 1, "", -1)])], "nothing is left")
        commit(s, v, "oc1", [("oc", [(0, 1, "a", -1), (0, 2, "b", -1)])], "the same twice")
        commit(s, v, "oc1", [("oc", [(0, 1, "a", -1)]), ("oc", [(1, 3, "b", -1), (77, 0, "", -1)])], "a topic twice")
        commit(s, v, "oc1", [], "nothing")
        commit(s, v, "oc1", [("oc", [])], "no partitions")
        if v < 10:
            commit(s, v, "oc1", [("nope", [(0, 1, "", -1), (1, 1, "", -1)]), ("oc", [(0, 5, "", -1)]), ("", [(0, 1, "", -1)])], "no such topic")
        else:
            commit(s, v, "oc1", [(NO_ID, [(0, 1, "", -1)]), (ZERO_UUID, [(0, 1, "", -1)]), ("oc", [(0, 5, "", -1)])], "no such id")
        for group in ("", "new%d" % v):
            commit(s, v, group, [("oc", [(0, 1, "", -1)])], f"group '{group}'")
        commit(s, v, "unknown%d" % v, [("oc", [(0, 1, "", -1), (9, 1, "", -1)])], "generation without a group", generation=0)
        commit(s, v, "unknown%d" % v, [("oc", [(0, 1, "", -1)])], "member without a group", member="who", generation=3)
        commit(s, v, "oc1", [("oc", [(0, 1, "", -1)])], "generation in an empty group", generation=0)
        commit(s, v, "oc1", [("oc", [(0, 1, "", -1)])], "member in an empty group", member="who")
        if v >= 7:
            commit(s, v, "oc1", [("oc", [(0, 1, "", -1)])], "instance in an empty group", GroupInstanceId="i")
    for size in (4096, 4097, 0):
        commit(s, 9, "oc2", [("oc", [(0, 1, "x" * size, -1), (1, 1, "\u20ac" * size, -1), (2, 1, "\U0001f600" * (size // 2), -1)])], f"metadata of {size}")
    fetch_all_versions(s, "oc1", None, "what was committed")
    fetch_all_versions(s, "oc2", None, "what was committed")
    group_records(s, "oc1", "of it")
    group_records(s, "", "of the empty id")


@case
def offset_commit_with_retention(s):
    s.create("ocr", 1)
    ready(s, "ocr")
    for v in (2, 3, 4):
        for ms in (-1, 0, 1000, -2, 1 << 40):
            commit(s, v, "ocr", [("ocr", [(0, v, "m", -1)])], f"for {ms} ms", RetentionTimeMs=ms)


@case
def offset_commit_of_members(s):
    s.create("ocm", 2)
    ready(s, "ocm")
    a = Member(s, "ocm", "a", topics=("ocm",)).join()
    a.joined()
    topics = [("ocm", [(0, 5, "m", -1)])]
    for v in s.versions("OffsetCommit"):
        commit(s, v, "ocm", topics, "before the sync", member=a.id, generation=a.generation)
    s.ask("SyncGroup", 5, a.sync_values(5, [(a.id, b"a")]), conn=a.talks)
    for v in s.versions("OffsetCommit"):
        commit(s, v, "ocm", topics, "a member", member=a.id, generation=a.generation)
        commit(s, v, "ocm", topics, "an old generation", member=a.id, generation=a.generation - 1)
        commit(s, v, "ocm", topics, "a coming generation", member=a.id, generation=a.generation + 1)
        commit(s, v, "ocm", topics, "no generation", member=a.id)
        commit(s, v, "ocm", topics, "no member", generation=a.generation)
        commit(s, v, "ocm", topics, "another member", member="who", generation=a.generation)
        commit(s, v, "ocm", topics, "nobody")
        if v >= 7:
            commit(s, v, "ocm", topics, "an instance that is none", member=a.id, generation=a.generation, GroupInstanceId="i")
    for v in s.versions("OffsetFetch"):
        if v >= 9:
            for member, epoch in ((a.id, a.generation), (a.id, 99), ("who", 1), (None, -1), ("", 0)):
                fetch(s, v, "ocm", [("ocm", [0, 1])], f"epoch {epoch}", MemberId=member, MemberEpoch=epoch)
    for topic in ("ocm", "nope"):
        s.ask("OffsetDelete", 0, {"GroupId": "ocm", "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": 0}, {"PartitionIndex": 9}]}]}, f"of {topic}")
    s.ask("DeleteGroups", 2, {"GroupsNames": ["ocm"]}, "with a member")
    s.ask("LeaveGroup", 5, {"GroupId": "ocm", "Members": [{"MemberId": a.id}]}, conn=a.talks)
    s.ask("OffsetDelete", 0, {"GroupId": "ocm", "Topics": [{"Name": "ocm", "Partitions": [{"PartitionIndex": 0}]}]}, "when it is empty")
    commit(s, 9, "ocm", topics, "the member that left", member=a.id, generation=a.generation)
    commit(s, 9, "ocm", topics, "nobody, when it is empty")
    group_records(s, "ocm", "of it")


@case
def offset_commit_of_other_types(s):
    s.create("oco", 1)
    ready(s, "oco")
    a = Member(s, "oco", "a").join(ProtocolType="connect")
    a.joined()
    s.ask("SyncGroup", 5, a.sync_values(5, [(a.id, b"a")], ProtocolType="connect"), conn=a.talks)
    commit(s, 9, "oco", [("oco", [(0, 5, "m", -1)])], "a member", member=a.id, generation=a.generation)
    s.ask("OffsetDelete", 0, {"GroupId": "oco", "Topics": [{"Name": "oco", "Partitions": [{"PartitionIndex": 0}]}]}, "of a group that connects")
    for v in s.versions("ListGroups"):
        s.ask("ListGroups", v, {}, quiet=True)
    fetch(s, 9, "oco", None, "all")


@case
def offset_fetch(s):
    s.create("of", 4)
    s.create("of2", 2)
    ready(s, "of")
    commit(s, 9, "of", [("of", [(0, 5, "five", 3), (2, 6, "", -1)]), ("of2", [(1, 7, "seven", 0)])], "first")
    fetch_all_versions(s, "of", [("of", [0, 1, 2, 3, 9, -1])], "some that are not")
    fetch_all_versions(s, "of", [("of", [0, 0]), ("of2", [1]), ("of", [2])], "twice")
    fetch_all_versions(s, "of", [], "none")
    fetch_all_versions(s, "of", [("of", [])], "no partitions")
    fetch_all_versions(s, "of", None, "all")
    fetch_all_versions(s, "nobody", None, "all of no group")
    fetch_all_versions(s, "nobody", [("of", [0])], "of no group")
    fetch_all_versions(s, "", [("of", [0])], "of the empty id")
    for v in s.versions("OffsetFetch"):
        if v < 10:
            fetch(s, v, "of", [("nope", [0]), ("of", [0])], "no such topic")
            fetch(s, v, "of", [("", [0])], "no name")
        else:
            fetch(s, v, "of", [(NO_ID, [0, 1]), ("of", [0]), (ZERO_UUID, [0])], "no such id")
        if v >= 8:
            topics = [{**({"TopicId": s.id("of")} if v >= 10 else {"Name": "of"}), "PartitionIndexes": [0]}]
            s.ask("OffsetFetch", v, {"Groups": [{"GroupId": "of", "Topics": topics}, {"GroupId": "nobody", "Topics": topics}, {"GroupId": "", "Topics": None},
                                                {"GroupId": "of", "Topics": None}]}, "several groups")
            s.ask("OffsetFetch", v, {"Groups": []}, "no groups")
        if v >= 9:
            fetch(s, v, "of", [("of", [0])], "a member of no group", MemberId="who", MemberEpoch=3)
            fetch(s, v, "nobody", [("of", [0])], "a member of no group", MemberId="who", MemberEpoch=3)


@case
def offset_fetch_after_a_topic_went(s):
    s.create("gone", 1)
    ready(s, "ofg")
    commit(s, 10, "ofg", [("gone", [(0, 5, "", -1)])], "by id")
    commit(s, 10, "ofg2", [("gone", [(0, 6, "", -1)])], "by id")
    s.ask("DeleteTopics", 5, {"TopicNames": ["gone"], "TimeoutMs": 30000}, quiet=True)
    s.wait_gone("gone")
    s.until(lambda: not s.ask("OffsetFetch", 8, {"Groups": [{"GroupId": "ofg", "Topics": None}]}, quiet=True)["Groups"][0]["Topics"], "the offsets go")
    fetch_all_versions(s, "ofg", None, "all")
    commit(s, 9, "ofg", [("gone", [(0, 5, "", -1)])], "again")
    s.ids = {k: v for k, v in s.ids.items() if v != "gone"}
    s.create("gone", 2)
    for v in s.versions("OffsetFetch"):
        fetch(s, v, "ofg", [("gone", [0, 1])], "of the new one")
    commit(s, 10, "ofg", [("gone", [(0, 8, "", -1)])], "of the new one")
    for v in s.versions("OffsetFetch"):
        fetch(s, v, "ofg", [("gone", [0, 1])], "of the new one, committed")
    group_records(s, "ofg", "of it")


@case
def offset_delete(s):
    s.create("od", 3)
    ready(s, "od")

    def delete(group, topics, note):
        s.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": t, "Partitions": [{"PartitionIndex": p} for p in ps]} for t, ps in topics]}, note)
    delete("od", [("od", [0])], "of no group")
    delete("od", [("nope", [0])], "of no group and topic")
    commit(s, 9, "od", [("od", [(0, 5, "", -1), (1, 6, "", -1)])], "first")
    delete("od", [("od", [0, 2, 9])], "one that is there")
    delete("od", [("od", [0]), ("nope", [0, 1]), ("od", [1, 1])], "twice")
    delete("od", [], "nothing")
    delete("od", [("od", [])], "no partitions")
    delete("", [("od", [0])], "of the empty id")
    delete("", [("nope", [0])], "of the empty id and no topic")
    fetch(s, 9, "od", None, "what is left")
    s.ask("ListGroups", 5, {}, quiet=True)
    group_records(s, "od", "of it")


@case
def list_groups(s):
    s.create("lg", 1)
    ready(s, "lg-1")
    commit(s, 9, "lg-1", [("lg", [(0, 5, "", -1)])], "first")
    a = Member(s, "lg-2", "a", topics=("lg",)).join()
    a.joined()

    def listed(v, note, **filters):
        answer = s.ask("ListGroups", v, filters, quiet=True)
        groups = [g for g in answer.get("Groups", []) if g["GroupId"].startswith("lg-")]
        s.tell(f"ListGroups v{v} {note}", {**answer, "Groups": sorted(groups, key=lambda g: g["GroupId"])} if answer else None)
    for v in s.versions("ListGroups"):
        listed(v, "while a sync is awaited")
    s.ask("SyncGroup", 5, a.sync_values(5, [(a.id, b"a")]), conn=a.talks)
    for v in s.versions("ListGroups"):
        listed(v, "all")
        if v >= 4:
            for states in (["Stable"], ["stable "], ["EMPTY"], ["Empty", "Stable"], ["nonsense"], ["nonsense", "Empty"], [""], ["PreparingRebalance"], ["Dead"]):
                listed(v, f"states {states}", StatesFilter=states)
        if v >= 5:
            for types in (["classic"], ["Classic"], ["CLASSIC "], ["consumer"], ["share"], ["streams"], ["nonsense"], [""], ["nonsense", "classic"]):
                listed(v, f"types {types}", TypesFilter=types)
                listed(v, f"types {types} and empty", TypesFilter=types, StatesFilter=["empty"])


@case
def delete_groups(s):
    s.create("dg", 2)
    for v in s.versions("DeleteGroups"):
        for group in ("dg-1", "dg-2", "dg-3", ""):
            ready(s, group)
            commit(s, 9, group, [("dg", [(0, 5, "", -1), (1, 5, "", -1)])], quiet=True)
        s.ask("DeleteGroups", v, {"GroupsNames": []}, "none")
        s.ask("DeleteGroups", v, {"GroupsNames": ["dg-1", "dg-1", "no-group", "dg-2"]}, "some, twice")
        s.ask("DeleteGroups", v, {"GroupsNames": ["dg-1", ""]}, "again, and the empty id")
        fetch(s, 9, "dg-1", None, "after it")
        fetch(s, 9, "dg-3", None, "of another")
    group_records(s, "dg-1", "of it")
    a = Member(s, "dg-4", "a").join()
    a.joined()
    s.ask("DeleteGroups", 2, {"GroupsNames": ["dg-4", "dg-3"]}, "one has a member")
    s.ask("LeaveGroup", 5, {"GroupId": "dg-4", "Members": [{"MemberId": a.id}]}, conn=a.talks)
    s.ask("DeleteGroups", 2, {"GroupsNames": ["dg-4"]}, "the member has left")
    group_records(s, "dg-4", "of it")


@case
def random_offsets(s):
    random.seed(4711)
    for i in range(3):
        s.create(f"ro{i}", 2 + i)
    for i in range(4):
        ready(s, f"ro-{i}")
    names = ["ro0", "ro1", "ro2"]
    for step in range(250):
        group, v = f"ro-{random.randrange(5)}", random.choice(list(s.versions("OffsetCommit")))
        kind = random.random()
        some = [(random.choice(names), [random.randrange(-1, 6) for _ in range(random.randrange(4))]) for _ in range(random.randrange(1, 4))]
        if kind < .45:
            topics = [(n, [(p, random.choice([0, 1, -1, 77, 1 << 40]), random.choice(["", "meta", None, "x" * 5000]), random.choice([-1, 0, 9])) for p in ps]) for n, ps in some]
            commit(s, v, group, topics, f"{step}", member=random.choice(["", "", "who"]), generation=random.choice([-1, -1, -1, 0, 5]))
        elif kind < .8:
            fetch(s, random.choice([v for v in s.versions("OffsetFetch") if v > 1]), group, random.choice([None, some]), f"{step}", stable=random.random() < .5)
        elif kind < .93:
            s.ask("OffsetDelete", 0, {"GroupId": group, "Topics": [{"Name": n, "Partitions": [{"PartitionIndex": p} for p in ps]} for n, ps in dict(some).items()]}, f"{step}")
        else:
            s.ask("DeleteGroups", random.choice([0, 1, 2]), {"GroupsNames": [group, f"ro-{random.randrange(6)}"]}, f"{step}")
    for i in range(4):
        fetch(s, 9, f"ro-{i}", None, "in the end")
