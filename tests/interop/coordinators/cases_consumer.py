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


def settings(directory):
    for group in ("plain", "static", "regex", "mixed"):
        directory.coordinator(group)
        directory.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": group, "Configs": [
            {"Name": "consumer.assignment.interval.ms", "ConfigOperation": 0, "Value": "0"}]}]})


def set_up(directory):
    """Four groups: one in the middle of a reconciliation, one with a static member away, one with an expression, one mixed."""
    settings(directory)
    t = directory.create("t", 6)
    a, b = Member(directory, "plain", "a", SubscribedTopicNames=["t"]), Member(directory, "plain", "b", SubscribedTopicNames=["t"])
    eventually(lambda: a.beat(MemberEpoch=0, **{"RebalanceTimeoutMs": 60000, "TopicPartitions": [], "SubscribedTopicNames": ["t"]}).owned, 60, "the topic is known")
    b.beat()
    a.beat()  # is told to give three of them up
    s, r = Member(directory, "static", "s", SubscribedTopicNames=["t"], InstanceId="i"), Member(directory, "static", "r", SubscribedTopicNames=["t"])
    s.beat()
    r.beat()
    for _ in range(3):
        s.tell()
        r.tell()
    expect_equal(directory.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "static", "MemberId": "s", "InstanceId": "i", "MemberEpoch": -2})["ErrorCode"], 0)
    x = Member(directory, "regex", "x", SubscribedTopicRegex="t|none")
    x.beat()
    eventually(lambda: x.tell().owned, 60, "the expression is resolved")
    subscription = b"\0\1" + b"\0\0\0\1\0\1t" + b"\xff\xff\xff\xff" + b"\0\0\0\0"
    join = {"GroupId": "mixed", "SessionTimeoutMs": 30000, "RebalanceTimeoutMs": 60000, "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": subscription}]}
    joined = directory.ask("JoinGroup", 9, {**join, "GroupInstanceId": "classic", "MemberId": ""})
    directory.ask("SyncGroup", 5, {"GroupId": "mixed", "GenerationId": joined["GenerationId"], "MemberId": joined["MemberId"], "GroupInstanceId": "classic",
                                   "ProtocolType": "consumer", "ProtocolName": "range", "Assignments": [{"MemberId": joined["MemberId"], "Assignment": b""}]})
    m = Member(directory, "mixed", "m", SubscribedTopicNames=["t"])
    m.beat()
    classic = {**join, "GroupInstanceId": "classic", "MemberId": joined["MemberId"]}
    return t, a, b, r, x, m, classic


def go_on(directory, t, a, b, r, x, m, classic, before):
    """As another server has the directory: everything stands as it was, members go on, and what was begun is ended."""
    for group in before:
        directory.coordinator(group)
    expect_equal(described(directory, *before), before, "the groups")
    a.beat(TopicPartitions=[{"TopicId": id, "Partitions": p} for id, p in a.owned.items()])
    b.beat()
    for _ in range(2):
        a.tell()
        b.tell()
    expect_equal((a.epoch, b.epoch, sorted(a.owned.get(t, []) + b.owned.get(t, []))), (a.epoch, a.epoch, list(range(6))), "plain")
    r.tell()
    x.tell()
    back = Member(directory, "static", f"{directory.running.__class__.__name__}", SubscribedTopicNames=["t"], InstanceId="i").beat()
    expect_equal(sorted(back.owned.get(t, []) + r.owned.get(t, [])), list(range(6)), "static")
    expect_equal(directory.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "static", "MemberId": back.id, "InstanceId": "i", "MemberEpoch": -2})["ErrorCode"], 0)
    m.tell()
    joined = directory.ask("JoinGroup", 9, classic)
    expect_equal((joined["ErrorCode"], joined["GenerationId"]), (0, m.epoch), "the classic member")
    m.tell()


def epochs(directory, *groups):
    return {g: found["GroupEpoch"] for g, found in described(directory, *groups).items()}


def taken_over(first, second, kill):
    directory = Directory()
    directory.turn(first)
    state = set_up(directory)
    groups = ("plain", "static", "regex", "mixed")
    before = described(directory, *groups)
    bumps = epochs(directory, *groups)
    directory.turn(second, kill=kill)
    go_on(directory, *state, before)
    expect_equal(epochs(directory, *groups), bumps, "group epochs after the move")
    before = described(directory, *groups)
    directory.turn(first, kill=kill)
    go_on(directory, *state, before)
    expect_equal(epochs(directory, *groups), bumps, "group epochs after the move back")
    directory.stop()


@test
def consumer_groups_of_kafka_go_on_at_myelin_and_back():
    taken_over("kafka", "myelin", kill=False)


@test
def consumer_groups_of_myelin_go_on_at_kafka_and_back_after_a_kill():
    taken_over("myelin", "kafka", kill=True)
