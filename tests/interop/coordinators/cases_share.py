"""Share groups: members, their epochs and assignments, and where the group is on each partition; Kafka writes, Myelin serves and
goes on, Kafka serves again. Kafka is also killed in between."""
from takeover import *
from wire import batch, records

GROUP, MEMBER = "sharing", "member-1"


def heartbeat(directory, epoch, topics=None):
    return directory.ask("ShareGroupHeartbeat", 1, {"GroupId": GROUP, "MemberId": MEMBER, "MemberEpoch": epoch, "SubscribedTopicNames": topics})


def fetch(directory, topic_id, epoch, acks=(), wait=500):
    return directory.ask("ShareFetch", 2, {"GroupId": GROUP, "MemberId": MEMBER, "ShareSessionEpoch": epoch, "MaxWaitMs": wait, "MinBytes": 1, "MaxBytes": 1 << 20,
        "MaxRecords": 10, "BatchSize": 10, "Topics": [{"TopicId": topic_id, "Partitions": [{"PartitionIndex": 0, "AcknowledgementBatches": [
            {"FirstOffset": a, "LastOffset": b, "AcknowledgeTypes": [t]} for a, b, t in acks]}]}]})


def acquired(answer):
    return [(a["FirstOffset"], a["LastOffset"], a["DeliveryCount"]) for t in answer["Responses"] for p in t["Partitions"] for a in p["AcquiredRecords"]]


@test
def share_groups_are_taken_over_and_back():
    directory = Directory(share_coordinator_state_topic_num_partitions="3", share_coordinator_snapshot_update_records_per_snapshot="3")
    state = {"epoch": 0, "topic_id": None, "next": 0}

    def begin():
        """A member with its assignment."""
        directory.coordinator(GROUP)
        if state["topic_id"] is None:
            state["topic_id"] = directory.create("t", 1)
            directory.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": GROUP, "Configs": [
                {"Name": "share.auto.offset.reset", "ConfigOperation": 0, "Value": "earliest"}]}]})

        def joined():
            answer = heartbeat(directory, state["epoch"], ["t"])
            if answer["ErrorCode"]:
                return False
            state["epoch"] = answer["MemberEpoch"]
            return answer["Assignment"] and answer["Assignment"]["TopicPartitions"]
        eventually(joined, what=f"{type(directory.running).__name__} assigns")

    def serve(round):
        """Each turn: ten records; three are released, which the next server gives out again first."""
        conn_epoch, got = 0, []
        directory.ask("Produce", 11, {"Acks": -1, "TimeoutMs": 5000, "TopicData": [{"Name": "t", "PartitionData": [{"Index": 0, "Records": batch(records(10))}]}]})
        first = state["next"]
        wanted = ([(first - 3, first - 1, 2)] if round else []) + [(first, first + 9, 1)]
        acks = []

        def more():
            nonlocal conn_epoch, acks
            answer = fetch(directory, state["topic_id"], conn_epoch, acks)
            if answer["ErrorCode"] or any(p["ErrorCode"] for t in answer["Responses"] for p in t["Partitions"]):
                return False
            expect(not any(p["AcknowledgeErrorCode"] for t in answer["Responses"] for p in t["Partitions"]), lambda: f"refused: {answer['Responses']}")
            conn_epoch += 1
            now = acquired(answer)
            got.extend(now)
            acks = [(a, b, 1) for a, b, n in now if n == 2] + [part for a, b, n in now if n == 1 for part in ((a, b - 3, 1), (b - 2, b, 2))]
            return got[:len(wanted)] == wanted
        eventually(more, what=f"{type(directory.running).__name__} gives {wanted}, gave {got}")
        answer = fetch(directory, state["topic_id"], -1, acks)
        expect(not answer["ErrorCode"], f"close: {answer}")
        state["next"] = first + 10

    for round, (server, kill) in enumerate([("kafka", False), ("myelin", True), ("kafka", False)]):
        directory.turn(server, kill=kill)
        begin()
        serve(round)
    group = directory.ask("ShareGroupDescribe", 1, {"GroupIds": [GROUP]})["Groups"][0]
    expect_equal([m["MemberId"] for m in group["Members"]], [MEMBER], "members")
    offsets = directory.ask("DescribeShareGroupOffsets", 1, {"Groups": [{"GroupId": GROUP, "Topics": None}]})["Groups"][0]["Topics"][0]["Partitions"][0]
    expect_equal(offsets["Lag"], 3, "records that were given back")
    directory.stop()
