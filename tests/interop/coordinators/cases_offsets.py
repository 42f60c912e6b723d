"""Committed offsets: of consumers without a group, with metadata and epochs, expired and deleted ones; Kafka writes, Myelin serves and
goes on, Kafka serves again. Kafka is also killed in between."""
from takeover import *

GROUPS = [f"offsets-{i}" for i in range(12)]


def commit(directory, group, offsets, version=9, topic="t", **other):
    """{partition: offset}"""
    answer = directory.ask("OffsetCommit", version, {"GroupId": group, "GenerationIdOrMemberEpoch": -1, **other, "Topics": [{"Name": topic, "Partitions": [
        {"PartitionIndex": p, "CommittedOffset": o, "CommittedMetadata": f"at {o}", **({"CommittedLeaderEpoch": o % 3} if version >= 6 else {})}
        for p, o in offsets.items()]}]})
    expect_equal({p["ErrorCode"] for t in answer["Topics"] for p in t["Partitions"]}, {0}, f"commit of {group}")


def committed(directory, group):
    answer = directory.ask("OffsetFetch", 9, {"Groups": [{"GroupId": group, "Topics": None}], "RequireStable": True})["Groups"][0]
    expect_equal(answer["ErrorCode"], 0, group)
    return {(t["Name"], p["PartitionIndex"]): (p["CommittedOffset"], p["CommittedLeaderEpoch"], p["Metadata"]) for t in answer["Topics"] for p in t["Partitions"]}


def wanted(offsets, topic="t"):
    return {(topic, p): (o, o % 3, f"at {o}") for p, o in offsets.items()}


@test
def committed_offsets_are_taken_over_and_back():
    directory = Directory()
    state = {}

    def check():
        for group in GROUPS:
            directory.coordinator(group)
            expect_equal(committed(directory, group), state.get(group, {}), group)
        listed = {g["GroupId"] for g in directory.ask("ListGroups", 5, {"StatesFilter": ["Empty"], "TypesFilter": ["classic"]})["Groups"]}
        expect_equal(listed & set(GROUPS), set(state), "groups")

    def write(round):
        for i, group in enumerate(GROUPS[:10]):
            offsets = {p: 100 * round + 10 * i + p for p in range(i % 4 + 1)}
            commit(directory, group, offsets)
            state.setdefault(group, {}).update(wanted(offsets))
        gone, cut = GROUPS[round], GROUPS[(round + 5) % 10]
        expect_equal([r["ErrorCode"] for r in directory.ask("DeleteGroups", 2, {"GroupsNames": [gone]})["Results"]], [0], "DeleteGroups")
        del state[gone]
        answer = directory.ask("OffsetDelete", 0, {"GroupId": cut, "Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 0}]}]})
        expect_equal(answer["Topics"][0]["Partitions"][0]["ErrorCode"], 0, "OffsetDelete")
        state[cut].pop(("t", 0), None)

    turns = [("kafka", False), ("myelin", True), ("kafka", False), ("myelin", False), ("kafka", False)]
    for round, (server, kill) in enumerate(turns):
        directory.turn(server, kill=kill)
        if round == 0:
            directory.create("t", 8)
            directory.coordinator(GROUPS[0])
        check()
        write(round)
        check()
    directory.stop()


@test
def a_time_to_expire_that_a_client_gave_is_kept():
    directory = Directory(offsets_retention_check_interval_ms="500")
    directory.turn("kafka")
    directory.create("t", 1)
    directory.coordinator("old")
    commit(directory, "old", {0: 3}, version=4, RetentionTimeMs=3600_000)
    commit(directory, "short", {0: 4}, version=4, RetentionTimeMs=1)
    directory.turn("myelin")
    for group in ("old", "short"):
        directory.coordinator(group)
    eventually(lambda: committed(directory, "short") == {}, what="the offset expires")
    expect_equal(committed(directory, "old"), {("t", 0): (3, -1, "at 3")}, "the other")
    commit(directory, "short", {0: 5}, version=4, RetentionTimeMs=3600_000)
    directory.turn("kafka")
    for group, offset in (("old", 3), ("short", 5)):
        directory.coordinator(group)
        expect_equal(committed(directory, group), {("t", 0): (offset, -1, f"at {offset}")}, group)
    directory.stop()
