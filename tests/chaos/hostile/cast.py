"""Groups of every kind, committed offsets and an open transaction: once for hostile frames to aim at, and once under names that
no frame carries, which must stay as they are."""
from harness import *
from wire import *

SETTINGS = {"offsets.topic.num.partitions": "3", "transaction.state.log.num.partitions": "3", "share.coordinator.state.topic.num.partitions": "3",
            "group.initial.rebalance.delay.ms": "0", "group.streams.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "100",
            "group.max.size": "100", "group.consumer.max.size": "100", "group.share.max.size": "100", "group.streams.max.size": "100",
            "group.share.max.record.lock.duration.ms": "3600000", "group.share.record.lock.duration.ms": "3600000",
            **{f"group.{kind}.{which}session.timeout.ms": "3600000" for kind in ("consumer", "share", "streams") for which in ("max.", "")}}
SUBSCRIPTION = b"\0\1\0\0\0\0\xff\xff\xff\xff\0\0\0\0"  # of a consumer, to nothing
TRANSACTIONAL = 0x10


class Cast:
    """What there is under one name; begun anew, under another number, where it is not as it was left."""

    def __init__(self, port, name):
        self.conn, self.name, self.number = Connection(port, 180), name, 0
        ask = self.conn.ask
        expect_equal(ask("CreateTopics", 5, {"TimeoutMs": 30000, "Topics": [{"Name": name, "NumPartitions": 2, "ReplicationFactor": 1}]})["Topics"][0]["ErrorCode"], 0, "created")
        self.topic_id = ask("Metadata", 12, {"Topics": [{"Name": name, "TopicId": ZERO_UUID}]})["Topics"][0]["TopicId"]
        for kind in (0, 1):
            eventually(lambda: ask("FindCoordinator", 4, {"KeyType": kind, "CoordinatorKeys": [name]})["Coordinators"][0]["ErrorCode"] == 0, 180, "a coordinator")
        self.alive = {kind: None for kind in ("classic", "consumer", "share", "streams", "offsets", "txn")}
        self.refresh()

    def refresh(self):
        """Whatever the frames have ended is begun again."""
        for kind, is_alive in self.alive.items():
            if not is_alive or not is_alive():
                self.number += 1
                begin = getattr(self, kind)
                self.alive[kind] = eventually(lambda: begin(f"{self.name}-{kind}-{self.number}"), 180, f"a {kind} of {self.name}")

    # Each begins something and gives what tells whether it is still there; None: not yet, the coordinator is not ready.

    def classic(self, group):
        join = {"GroupId": group, "SessionTimeoutMs": 600000, "RebalanceTimeoutMs": 60000, "ProtocolType": "consumer",
                "Protocols": [{"Name": "range", "Metadata": SUBSCRIPTION}]}
        asked = self.conn.ask("JoinGroup", 5, join)
        if asked["ErrorCode"] != 79:
            return None
        joined = self.conn.ask("JoinGroup", 5, {**join, "MemberId": asked["MemberId"]})
        expect_equal(joined["ErrorCode"], 0, "joined")
        member = {"GroupId": group, "GenerationId": joined["GenerationId"], "MemberId": joined["MemberId"]}
        synced = self.conn.ask("SyncGroup", 3, {**member, "Assignments": [{"MemberId": joined["MemberId"], "Assignment": b"all of it"}]})
        expect_equal((synced["ErrorCode"], synced["Assignment"]), (0, b"all of it"), "synced")
        self.classic_aim = {**member, "GenerationIdOrMemberEpoch": member["GenerationId"], "ProtocolType": "consumer", "ProtocolName": "range"}
        return lambda: self.conn.ask("Heartbeat", 3, member)["ErrorCode"] == 0

    def consumer(self, group):
        beat = {"GroupId": group, "MemberId": f"{group}-member", "RebalanceTimeoutMs": 60000}
        joined = self.conn.ask("ConsumerGroupHeartbeat", 1, {**beat, "MemberEpoch": 0, "SubscribedTopicNames": [self.name], "TopicPartitions": []})
        if joined["ErrorCode"]:
            return None
        owned = [{"TopicId": self.topic_id, "Partitions": [0, 1]}]
        now = {**beat, "MemberEpoch": joined["MemberEpoch"], "TopicPartitions": owned}
        expect_equal(self.conn.ask("ConsumerGroupHeartbeat", 1, now)["ErrorCode"], 0, "the second heartbeat")
        self.consumer_aim = {"GroupId": group, "MemberId": beat["MemberId"], "MemberEpoch": joined["MemberEpoch"],
                             "GenerationIdOrMemberEpoch": joined["MemberEpoch"], "ServerAssignor": "uniform"}
        return lambda: self.conn.ask("ConsumerGroupHeartbeat", 1, now)["ErrorCode"] == 0

    def share(self, group):
        earliest = {"ResourceType": 32, "ResourceName": group, "Configs": [{"Name": "share.auto.offset.reset", "ConfigOperation": 0, "Value": "earliest"}]}
        expect_equal(self.conn.ask("IncrementalAlterConfigs", 1, {"Resources": [earliest]})["Responses"][0]["ErrorCode"], 0, "the group's setting")
        self.produce(batch(records(10)))
        beat = {"GroupId": group, "MemberId": f"{group}-member", "MemberEpoch": 0}

        def joined():
            answer = self.conn.ask("ShareGroupHeartbeat", 1, {**beat, "SubscribedTopicNames": [self.name]})
            beat["MemberEpoch"] = answer["MemberEpoch"] if answer["ErrorCode"] == 0 else 0
            return answer["Assignment"] and answer["Assignment"]["TopicPartitions"]
        if not joined():
            return None
        self.share_epoch, self.acquired = 0, []

        def fetched():
            self.acquired += self.share_fetch(group)
            return self.acquired
        eventually(fetched, 180, "records of the share group")
        self.share_aim = {**beat, "FirstOffset": self.acquired[0][0], "LastOffset": self.acquired[0][1], "StartOffset": 0}
        return lambda: self.conn.ask("ShareGroupHeartbeat", 1, beat)["ErrorCode"] == 0

    def share_fetch(self, group, **acks):
        answer = self.conn.ask("ShareFetch", 2, {"GroupId": group, "MemberId": f"{group}-member", "ShareSessionEpoch": self.share_epoch, "MaxWaitMs": 100, "MinBytes": 1,
            "MaxBytes": 1 << 20, "MaxRecords": 10, "BatchSize": 10, "Topics": [{"TopicId": self.topic_id, "Partitions": [{"PartitionIndex": 0, **acks}]}]})
        expect_equal(answer["ErrorCode"], 0, "share fetch")
        self.share_epoch += 1
        parts = [p for t in answer["Responses"] for p in t["Partitions"]]
        expect(not any(p["AcknowledgeErrorCode"] for p in parts), lambda: f"acknowledged: {parts}")
        return [(a["FirstOffset"], a["LastOffset"]) for p in parts for a in p["AcquiredRecords"]]

    def streams(self, group):
        topology = {"Epoch": 0, "Subtopologies": [{"SubtopologyId": "0", "SourceTopics": [self.name], "SourceTopicRegex": [], "RepartitionSinkTopics": [],
                                                   "RepartitionSourceTopics": [], "StateChangelogTopics": [], "CopartitionGroups": []}]}
        member = {"GroupId": group, "MemberId": f"{group}-member", "EndpointInformationEpoch": 0}
        tasks = {"ActiveTasks": [], "StandbyTasks": [], "WarmupTasks": []}
        joined = self.conn.ask("StreamsGroupHeartbeat", 1, {**member, "MemberEpoch": 0, "RebalanceTimeoutMs": 60000, "Topology": topology, "ProcessId": group, **tasks})
        if joined["ErrorCode"]:
            return None
        tasks["ActiveTasks"] = [{"SubtopologyId": "0", "Partitions": [0, 1]}]
        now = {**member, "MemberEpoch": joined["MemberEpoch"], **tasks}
        expect_equal(self.conn.ask("StreamsGroupHeartbeat", 1, now)["ErrorCode"], 0, "the second heartbeat")
        self.streams_aim = {"GroupId": group, "MemberId": member["MemberId"], "MemberEpoch": joined["MemberEpoch"], "ProcessId": group, "SubtopologyId": "0"}
        return lambda: self.conn.ask("StreamsGroupHeartbeat", 1, now)["ErrorCode"] == 0

    def offsets(self, group):
        commit = {"GroupId": group, "Topics": [{"Name": self.name, "Partitions": [{"PartitionIndex": i, "CommittedOffset": 3 + i, "CommittedMetadata": "here"} for i in (0, 1)]}]}
        if self.conn.ask("OffsetCommit", 9, commit)["Topics"][0]["Partitions"][0]["ErrorCode"]:
            return None
        self.offsets_aim = {"GroupId": group, "MemberId": "", "GenerationIdOrMemberEpoch": -1, "MemberEpoch": -1}
        return lambda: self.committed() == [(0, 3), (1, 4)]

    def committed(self):
        answer = self.conn.ask("OffsetFetch", 8, {"Groups": [{"GroupId": self.offsets_aim["GroupId"], "Topics": [{"Name": self.name, "PartitionIndexes": [0, 1]}]}]})
        return [(p["PartitionIndex"], p["CommittedOffset"]) for t in answer["Groups"][0]["Topics"] for p in t["Partitions"]]

    def txn(self, id):
        begun = self.conn.ask("InitProducerId", 5, {"TransactionalId": id, "TransactionTimeoutMs": 600000, "ProducerId": -1, "ProducerEpoch": -1})
        if begun["ErrorCode"]:
            return None
        producer = {"TransactionalId": id, "ProducerId": begun["ProducerId"], "ProducerEpoch": begun["ProducerEpoch"]}
        self.produce(batch(records(1), pid=producer["ProducerId"], pepoch=producer["ProducerEpoch"], seq=0, attributes=TRANSACTIONAL), id, partition=1)
        offset = {"PartitionIndex": 0, "CommittedOffset": 9, "CommittedMetadata": ""}
        answer = self.conn.ask("TxnOffsetCommit", 5, {**producer, "GroupId": f"{id}-group", "Topics": [{"Name": self.name, "Partitions": [offset]}]})
        expect_equal(answer["Topics"][0]["Partitions"][0]["ErrorCode"], 0, "an offset in a transaction")
        self.txn_aim = {**producer, "TransactionalIds": id, "TransactionTimeoutMs": 600000, "V3AndBelowTransactionalId": id, "V3AndBelowProducerId": producer["ProducerId"],
                        "V3AndBelowProducerEpoch": producer["ProducerEpoch"], "GroupId": f"{id}-group", "MemberId": "", "GenerationIdOrMemberEpoch": -1}
        return lambda: self.described()["TransactionState"] == "Ongoing"

    def described(self):
        return self.conn.ask("DescribeTransactions", 0, {"TransactionalIds": [self.txn_aim["TransactionalId"]]})["TransactionStates"][0]

    def produce(self, data, id=None, partition=0):
        answer = self.conn.ask("Produce", 12, {"TransactionalId": id, "Acks": -1, "TimeoutMs": 30000, "TopicData": [
            {"Name": self.name, "PartitionData": [{"Index": partition, "Records": data}]}]})
        expect_equal(answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"], 0, "produced")

    def snapshot(self):
        """All that can be asked about it."""
        group = lambda kind: getattr(self, kind + "_aim")["GroupId"]
        ask = self.conn.ask
        latest = lambda level: ask("ListOffsets", 7, {"ReplicaId": -1, "IsolationLevel": level, "Topics": [
            {"Name": self.name, "Partitions": [{"PartitionIndex": i, "Timestamp": -1} for i in (0, 1)]}]})["Topics"]
        return {"classic": ask("DescribeGroups", 5, {"Groups": [group("classic")]})["Groups"],
                "consumer": ask("ConsumerGroupDescribe", 1, {"GroupIds": [group("consumer")]})["Groups"],
                "share": ask("ShareGroupDescribe", 1, {"GroupIds": [group("share")]})["Groups"],
                "share offsets": ask("DescribeShareGroupOffsets", 1, {"Groups": [{"GroupId": group("share"), "Topics": None}]})["Groups"],
                "streams": ask("StreamsGroupDescribe", 1, {"GroupIds": [group("streams")]})["Groups"],
                "offsets": self.committed(), "transaction": self.described(), "ends": [latest(0), latest(1)],
                "producers": ask("DescribeProducers", 0, {"Topics": [{"Name": self.name, "PartitionIndexes": [0, 1]}]})["Topics"]}

    def finish(self):
        """Everything goes on: members beat, records that are held are taken, the transaction is committed."""
        for kind, is_alive in self.alive.items():
            expect(is_alive(), f"{kind} of {self.name} is not there any more")
        first, last = self.acquired[0]
        self.share_fetch(self.share_aim["GroupId"], AcknowledgementBatches=[{"FirstOffset": first, "LastOffset": last, "AcknowledgeTypes": [1]}])
        producer = {key: self.txn_aim[key] for key in ("TransactionalId", "ProducerId", "ProducerEpoch")}
        expect_equal(self.conn.ask("EndTxn", 5, {**producer, "Committed": True})["ErrorCode"], 0, "the commit")

        def visible():
            answer = self.conn.ask("OffsetFetch", 8, {"RequireStable": True, "Groups": [
                {"GroupId": self.txn_aim["GroupId"], "Topics": [{"Name": self.name, "PartitionIndexes": [0]}]}]})["Groups"][0]
            return answer["ErrorCode"] == 0 and answer["Topics"][0]["Partitions"][0]["CommittedOffset"] == 9
        eventually(visible, 180, "the transaction's offset")


# Which of the cast a request is about; others take any.
KINDS = {"JoinGroup": "classic", "SyncGroup": "classic", "Heartbeat": "classic", "LeaveGroup": "classic", "DescribeGroups": "classic",
         "ConsumerGroupHeartbeat": "consumer", "ConsumerGroupDescribe": "consumer", "OffsetDelete": "offsets",
         "InitProducerId": "txn", "AddPartitionsToTxn": "txn", "AddOffsetsToTxn": "txn", "EndTxn": "txn", "TxnOffsetCommit": "txn", "WriteTxnMarkers": "txn",
         "DescribeTransactions": "txn"}
ALIASES = ("GroupIds", "GroupsNames", "Groups", "CoordinatorKeys", "Key")
JOINS = {"Name": "range", "Metadata": SUBSCRIPTION}
# What a member that joined before may leave out.
NULLS = dict.fromkeys(("InstanceId", "GroupInstanceId", "RackId", "SubscribedTopicRegex", "Topology", "ActiveTasks", "StandbyTasks", "WarmupTasks",
                       "UserEndpoint", "ClientTags", "TaskOffsets", "TaskEndOffsets"))


def aim(cast, name, rng, plain):
    """{field: value} that makes a sample of the request hit what is there; plain: as its client would say it."""
    kind = KINDS.get(name) or ("share" if "Share" in name else "streams" if "Streams" in name else rng.choice(list(cast.alive)))
    values = dict(getattr(cast, kind + "_aim"))
    for alias in ALIASES:
        values[alias] = values.get("GroupId")
    if plain or rng.random() < 0.7:
        values.update(NULLS)
    if name == "JoinGroup":
        values.update(JOINS)
    if not plain:
        if name == "InitProducerId" and rng.random() < 0.5:
            values.update(ProducerId=-1, ProducerEpoch=-1)
        if name in ("JoinGroup", "ConsumerGroupHeartbeat", "ShareGroupHeartbeat", "StreamsGroupHeartbeat") and rng.random() < 0.3:
            values.update(MemberId="", MemberEpoch=0)
        if name.endswith("Heartbeat") and rng.random() < 0.2:
            values["MemberEpoch"] = rng.choice((0, -1, -2))
    values.update(ShareSessionEpoch=rng.choice((0, 0, 1, 2, -1)), AcknowledgeTypes=rng.choice((0, 1, 2, 3, 4)), StateEpoch=rng.choice((0, 1)))
    return values
