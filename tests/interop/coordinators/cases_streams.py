"""Streams groups: topology, members with endpoints and tags, a task that is being given up, standbys."""
import contextlib

from takeover import *

GROUP = "app"
TOPOLOGY = {"Epoch": 0, "Subtopologies": [
    {"SubtopologyId": "0", "SourceTopics": ["src"], "SourceTopicRegex": [], "RepartitionSinkTopics": ["app-r-repartition"], "RepartitionSourceTopics": [],
     "StateChangelogTopics": [], "CopartitionGroups": []},
    {"SubtopologyId": "1", "SourceTopics": [], "SourceTopicRegex": [], "RepartitionSinkTopics": [],
     "RepartitionSourceTopics": [{"Name": "app-r-repartition", "Partitions": 0, "ReplicationFactor": -1, "TopicConfigs": [{"Key": "cleanup.policy", "Value": "delete"}]}],
     "StateChangelogTopics": [{"Name": "app-c-changelog", "Partitions": 0, "ReplicationFactor": -1, "TopicConfigs": [{"Key": "cleanup.policy", "Value": "compact"}]}],
     "CopartitionGroups": []}]}


class Member:
    def __init__(self, directory, id):
        self.directory, self.id, self.epoch, self.owned = directory, id, 0, {"ActiveTasks": [], "StandbyTasks": [], "WarmupTasks": []}

    def beat(self, tell=True, **other):
        """Tells what it has, as it has been told."""
        values = {"GroupId": GROUP, "MemberId": self.id, "MemberEpoch": self.epoch, "EndpointInformationEpoch": -1, **(self.owned if tell else {}), **other}
        if self.epoch == 0:
            values.update({"RebalanceTimeoutMs": 60000, "Topology": TOPOLOGY, "ProcessId": f"process-{self.id}", "RackId": "r",
                           "UserEndpoint": {"Host": "localhost", "Port": 1000 + ord(self.id)}, "ClientTags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]})
        answer = self.directory.ask("StreamsGroupHeartbeat", 0, values)
        expect(not answer["ErrorCode"], f"{self.id}: {answer}")
        self.epoch = answer["MemberEpoch"]
        if answer["ActiveTasks"] is not None:
            self.owned = {key: answer[key] for key in self.owned}
        return answer


def described(directory):
    """But for the topology, whose counts of partitions nobody knows before a heartbeat."""
    group = directory.ask("StreamsGroupDescribe", 0, {"GroupIds": [GROUP]})["Groups"][0]
    expect_equal(group["ErrorCode"], 0, f"{group}; error")
    group["Members"].sort(key=lambda m: m["MemberId"])
    for member in group["Members"]:
        member["ClientTags"].sort(key=lambda tag: tag["Key"])
        for name in ("Assignment", "TargetAssignment"):
            for tasks in member[name].values():
                tasks.sort(key=lambda t: t["SubtopologyId"])
    return {key: value for key, value in group.items() if key != "Topology"}


def tasks(members, role):
    return sorted((t["SubtopologyId"], p) for m in members for t in m.owned[role] for p in t["Partitions"])


def settled(directory, members):
    def done():
        for member in members:
            member.beat()
        return described(directory)["GroupState"] == "Stable"
    eventually(done, what="the group is stable")
    expect_equal(tasks(members, "ActiveTasks"), [(s, p) for s in "01" for p in range(4)], "active tasks")
    expect_equal(tasks(members, "StandbyTasks"), [("1", p) for p in range(4)], "standby tasks")


DESCRIPTION = {"GlobalStores": [], "Subtopologies": [{"SubtopologyId": "0", "Nodes": [
    {"Name": "source", "NodeType": 1, "SourceTopics": ["src"], "SinkTopic": None, "Stores": [], "Successors": []}]}]}


def describe_topology(directory):
    """Only Myelin keeps it: in a record that Kafka passes over."""
    answer = directory.ask("StreamsGroupTopologyDescriptionUpdate", 0, {"GroupId": GROUP, "MemberId": "a", "TopologyEpoch": 0, "TopologyDescription": DESCRIPTION})
    expect_equal(answer["ErrorCode"], 0, f"{answer}; error")


def topology_description(directory):
    return directory.ask("StreamsGroupDescribe", 1, {"GroupIds": [GROUP], "IncludeTopologyDescription": True})["Groups"][0]["TopologyDescription"]


def taken_over(first, second, kill):
    directory = Directory()
    directory.turn(first)
    directory.create("src", 4)
    directory.coordinator(GROUP)
    directory.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": GROUP, "Configs": [
        {"Name": f"streams.{name}", "ConfigOperation": 0, "Value": value}
        for name, value in (("initial.rebalance.delay.ms", "0"), ("assignment.interval.ms", "0"), ("num.standby.replicas", "1"))]}]})
    a, b, c = (Member(directory, name) for name in "abc")
    def ready():
        with contextlib.suppress(AssertionError):  # while its source is not seen
            return a.beat()["Status"] == []
    eventually(ready, what="the internal topics are there")
    a.beat()
    b.beat()
    settled(directory, [a, b])
    c.beat()
    a.beat(tell=False)  # is told to give some up, and has not yet
    if first == "myelin":
        describe_topology(directory)
    before = described(directory)
    for server in (second, first):
        directory.turn(server, kill=kill)
        directory.coordinator(GROUP)
        expect_equal(described(directory), before, f"the group as {server} has it")
        settled(directory, [a, b, c])
        expect_equal(described(directory)["GroupEpoch"], before["GroupEpoch"], "the group's epoch")
        before = described(directory)
    if first == "myelin":
        expect_equal(topology_description(directory), DESCRIPTION, "what Kafka passed over")
    directory.stop()


@test
def streams_groups_of_kafka_go_on_at_myelin_and_back():
    taken_over("kafka", "myelin", kill=False)


@test
def streams_groups_of_myelin_go_on_at_kafka_and_back_after_a_kill():
    taken_over("myelin", "kafka", kill=True)
