"""Consumer groups: members, epochs, targets, what is being given up, expressions, classic members among them."""
from takeover import *


class Member:
    def __init__(self, directory, group, id, **subscription):
        self.directory, self.group, self.id, self.subscription, self.epoch, self.owned = directory, group, id, subscription, 0, {}

    def beat(self, **other):
        values = {"GroupId": self.group, "MemberId": self.id, "MemberEpoch": self.epoch, **other}
        if self.epoch == 0:
            values.update({"RebalanceTimeoutMs": 60000, "TopicPartitions": [], **self.subscription, **other})
        answer = self.directory.ask("ConsumerGroupHeartbeat", 1, values)
        expect(not answer["ErrorCode"], f"{self.id} of {self.group}: {answer}")
        self.epoch = answer["MemberEpoch"]
        if answer["Assignment"] is not None:
            self.owned = {t["TopicId"]: sorted(t["Partitions"]) for t in answer["Assignment"]["TopicPartitions"]}
        return self

    def tell(self):
        return self.beat(TopicPartitions=[{"TopicId": id, "Partitions": p} for id, p in self.owned.items()])

    @property
    def state(self):
        return self.epoch, self.owned


def described(directory, *groups):
    found = directory.ask("ConsumerGroupDescribe", 1, {"GroupIds": list(groups)})["Groups"]

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return sorted((plain(v) for v in value), key=str) if isinstance(value, list) else value
    return {g["GroupId"]: plain(g) for g in found}


class Groups:
    """Four groups: one in the middle of a reconciliation, one with a static member away, one with an expression, one mixed."""

    def __init__(self, directory, prefix):
        self.directory, self.prefix = directory, prefix
        self.names = [f"{prefix}-{name}" for name in ("plain", "static", "regex", "mixed")]
        plain, static, regex, mixed = self.names
        for group in self.names:
            directory.coordinator(group)
            directory.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": group, "Configs": [
                {"Name": "consumer.assignment.interval.ms", "ConfigOperation": 0, "Value": "0"}]}]})
        topic = f"{prefix}-t"
        self.topic = directory.create(topic, 6)
        self.a, self.b = (Member(directory, plain, id, SubscribedTopicNames=[topic]) for id in "ab")
        eventually(lambda: self.a.beat(MemberEpoch=0, RebalanceTimeoutMs=60000, TopicPartitions=[], SubscribedTopicNames=[topic]).owned, what="the topic is known")
        self.b.beat()
        self.a.beat()  # is told to give three of them up
        s, self.r = Member(directory, static, "s", SubscribedTopicNames=[topic], InstanceId="i"), Member(directory, static, "r", SubscribedTopicNames=[topic])
        s.beat()
        self.r.beat()
        for _ in range(3):
            s.tell()
            self.r.tell()
        self.away("s")
        self.x = Member(directory, regex, "x", SubscribedTopicRegex=f"{topic}|none")
        self.x.beat()
        eventually(lambda: self.x.tell().owned, what="the expression is resolved")
        subscription = b"\0\1" + b"\0\0\0\1\0" + bytes([len(topic)]) + topic.encode() + b"\xff\xff\xff\xff" + b"\0\0\0\0"
        self.join = {"GroupId": mixed, "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 60000, "ProtocolType": "consumer", "GroupInstanceId": "classic",
                     "Protocols": [{"Name": "range", "Metadata": subscription}]}
        joined = directory.ask("JoinGroup", 9, {**self.join, "MemberId": ""})
        self.join["MemberId"] = joined["MemberId"]
        directory.ask("SyncGroup", 5, {"GroupId": mixed, "GenerationId": joined["GenerationId"], "MemberId": joined["MemberId"], "GroupInstanceId": "classic",
                                       "ProtocolType": "consumer", "ProtocolName": "range", "Assignments": [{"MemberId": joined["MemberId"], "Assignment": b""}]})
        self.m = Member(directory, mixed, "m", SubscribedTopicNames=[topic])
        self.m.beat()

    def away(self, id):
        answer = self.directory.ask("ConsumerGroupHeartbeat", 1, {"GroupId": self.names[1], "MemberId": id, "InstanceId": "i", "MemberEpoch": -2})
        expect_equal(answer["ErrorCode"], 0, "a static member goes for a moment")

    def keep(self):
        self.before = described(self.directory, *self.names)

    def go_on(self):
        """As another server has the directory: everything stands as it was, members go on, and what was begun is ended."""
        for group in self.names:
            self.directory.coordinator(group)
        expect_equal(described(self.directory, *self.names), self.before, "the groups")
        t, a, b, r = self.topic, self.a, self.b, self.r
        a.tell()
        b.beat()
        for _ in range(2):
            a.tell()
            b.tell()
        expect_equal((b.epoch, sorted(a.owned.get(t, []) + b.owned.get(t, []))), (a.epoch, list(range(6))), "plain")
        r.tell()
        self.x.tell()
        back = Member(self.directory, self.names[1], type(self.directory.running).__name__, SubscribedTopicNames=[f"{self.prefix}-t"], InstanceId="i").beat()
        expect_equal(sorted(back.owned.get(t, []) + r.owned.get(t, [])), list(range(6)), "static")
        self.away(back.id)
        self.m.tell()
        joined = self.directory.ask("JoinGroup", 9, self.join)
        expect_equal((joined["ErrorCode"], joined["GenerationId"]), (0, self.m.epoch), "the classic member")
        self.m.tell()
        epochs = {g: found["GroupEpoch"] for g, found in described(self.directory, *self.names).items()}
        expect_equal(epochs, {g: found["GroupEpoch"] for g, found in self.before.items()}, "group epochs after the move")


@test
def consumer_groups_go_from_myelin_to_kafka_and_on_after_a_kill():
    directory = Directory()
    directory.turn("myelin")
    ours = Groups(directory, "ours")
    ours.keep()
    directory.turn("kafka")
    ours.go_on()
    theirs = Groups(directory, "theirs")
    ours.keep(), theirs.keep()
    directory.turn("myelin", kill=True)
    ours.go_on()
    theirs.go_on()
    directory.stop()
