"""StreamsGroupHeartbeat, StreamsGroupDescribe: good and bad values, topologies and what the brokers make of them, scripts of
several members, commits, and what other requests say of a streams group. Kafka 4.3.1 refuses what 4.4 has (static members,
task offsets, warm-up tasks); those are in the unit tests."""
import random
from cases_classic import Member as ClassicMember, group_records, one_of_each_partition, ready
from cases_transactions import Producer
from wire import *

CASES = []


def case(fn):
    CASES.append(fn)
    return fn


def tasks(text):
    """"0_0 0_1 1_2" as task ids."""
    found = {}
    for word in text.split():
        subtopology, partition = word.rsplit("_", 1)
        found.setdefault(subtopology, []).append(int(partition))
    return [{"SubtopologyId": s, "Partitions": p} for s, p in found.items()]


def topic(name, partitions=0, replicas=0, **configs):
    return {"Name": name, "Partitions": partitions, "ReplicationFactor": replicas,
            "TopicConfigs": [{"Key": k.replace("_", "."), "Value": v} for k, v in configs.items()]}


def sub(id, sources=(), repartition=(), sinks=(), changelogs=(), groups=(), regex=()):
    return {"SubtopologyId": id, "SourceTopics": list(sources), "SourceTopicRegex": list(regex), "StateChangelogTopics": list(changelogs),
            "RepartitionSinkTopics": list(sinks), "RepartitionSourceTopics": list(repartition),
            "CopartitionGroups": [{"SourceTopics": list(a), "SourceTopicRegex": [], "RepartitionSourceTopics": list(b)} for a, b in groups]}


def topology(*subtopologies, epoch=0):
    return {"Epoch": epoch, "Subtopologies": list(subtopologies)}


ROLES = ("ActiveTasks", "StandbyTasks", "WarmupTasks")


def owned(ids):
    return {(one["SubtopologyId"], partition) for one in ids for partition in one["Partitions"]}


class Member:
    def __init__(self, s, group, name, process=None, endpoint=None, topology=None, **values):
        self.s, self.group, self.name, self.process, self.epoch, self.topology, self.values = s, group, name, process or f"process-{name}", 0, topology, values
        self.endpoint = {"Host": "localhost", "Port": endpoint} if endpoint else None
        self.told = {}

    def ask(self, note="", quiet=False, **values):
        def adjust(answer):
            """A member that has other tasks than it was told is told them again; not so by Kafka."""
            if self.s.name == "kafka" and answer.get("ErrorCode") == 0 and answer["ActiveTasks"] is None and \
                    any(values.get(role) is not None and owned(values[role]) != owned(self.told[role]) for role in ROLES):
                answer.update(self.told)
            if answer.get("ErrorCode") == 0 and answer["ActiveTasks"] is not None:
                self.told = {role: answer[role] for role in ROLES}
        answer = self.s.ask("StreamsGroupHeartbeat", 0, {"GroupId": self.group, "MemberId": self.name, "MemberEpoch": self.epoch,
                                                         "EndpointInformationEpoch": -1, **values}, f"{self.name} {note}", client_id=self.name, quiet=quiet, adjust=adjust)
        if not answer.get("ErrorCode"):
            self.epoch = answer.get("MemberEpoch", 0)
        return answer

    def join(self, note="joins", **values):
        self.epoch = 0
        return self.ask(note, **{"RebalanceTimeoutMs": 60000, "Topology": self.topology, "ActiveTasks": [], "StandbyTasks": [], "WarmupTasks": [],
                                 "ProcessId": self.process, "UserEndpoint": self.endpoint, "ClientTags": [], **self.values, **values})

    def beat(self, active=None, standby="", note="", **values):
        """With owned tasks, when they are given."""
        lists = {} if active is None else {"ActiveTasks": tasks(active), "StandbyTasks": tasks(standby), "WarmupTasks": []}
        return self.ask(f"beats {note} {active}", **lists, **values)

    def leave(self, note="", **values):
        answer = self.ask(f"leaves {note}", **{"MemberEpoch": -1, **values})
        self.epoch = 0
        return answer


def describe(s, *groups, note=""):
    return s.ask("StreamsGroupDescribe", 0, {"GroupIds": list(groups), "IncludeAuthorizedOperations": True}, note)


def at_once(s, *groups, **settings):
    """Nothing is waited for in these groups, if the settings do not say so."""
    wanted = {"streams.initial.rebalance.delay.ms": "0", "streams.assignment.interval.ms": "0", **{k.replace("_", "."): str(v) for k, v in settings.items()}}
    s.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": group, "Configs": [
        {"Name": k, "ConfigOperation": 0, "Value": v} for k, v in wanted.items()]} for group in groups]}, "settings")
    s.published()
    for group in groups:
        ready(s, group)


def records(s, group, note=""):
    """What the log says of the group, without its offsets; the hash has topic ids in it. 4.4 ends with the epoch of no assignment."""
    def adjust(found):
        found = [one for one in found if one["key"][0] >= 2 and not (one["key"][0] == 20 and one["value"] and not one["value"].get("AssignmentTimestamp"))]
        for one in found:
            if one["value"] and one["value"].get("MetadataHash"):
                one["value"]["MetadataHash"] = "hash"
        return found
    group_records(s, group, note, adjust)


def create(s, name, partitions):
    """Until each of the coordinators sees it too."""
    ready(s)
    s.create(name, partitions)
    for group in one_of_each_partition(f"probe-{s.case}-{name}-"):
        def seen():
            answer = s.ask("StreamsGroupHeartbeat", 0, {"GroupId": group, "MemberId": "p", "MemberEpoch": 0, "RebalanceTimeoutMs": 1000, "ActiveTasks": [], "StandbyTasks": [],
                                                        "WarmupTasks": [], "Topology": topology(sub("0", [name]))}, quiet=True)
            s.ask("StreamsGroupHeartbeat", 0, {"GroupId": group, "MemberId": "p", "MemberEpoch": -1}, quiet=True)
            return answer["ErrorCode"] == 0 and 1 not in [one["StatusCode"] for one in answer["Status"]]
        s.until(seen, f"{name} is not seen by the coordinator")


def rises(s, member):
    """The coordinator sees other topics and assigns anew; it may take a moment."""
    def risen():
        before = member.epoch
        member.ask(quiet=True, ActiveTasks=[], StandbyTasks=[], WarmupTasks=[])
        return member.epoch > before
    s.until(risen, "the epoch does not rise")


# ---- cases ---------------------------------------------------------------------------------------------------------------

@case
def streams_bad_requests(s):
    ready(s, "bad-streams")
    create(s, "streams-bad", 2)
    plain = topology(sub("0", ["streams-bad"]))
    m = Member(s, "bad-streams", "m", topology=plain)
    for note, values in {
        "internal topic": {"Topology": topology(sub("0", ["__consumer_offsets", "x"], [topic("__transaction_state")]))},
        "bad names": {"Topology": topology(sub("0", ["a b", "ok", "a b"], sinks=["."], changelogs=[topic("x" * 250)]))},
        "regex": {"Topology": topology(sub("0", regex=["a.*"]))}, "no member": {"MemberId": ""}, "no group": {"GroupId": ""},
        "empty rack": {"RackId": ""}, "no timeout": {"RebalanceTimeoutMs": -1}, "active": {"ActiveTasks": tasks("0_0")},
        "active null": {"ActiveTasks": None}, "standby": {"StandbyTasks": tasks("0_0")}, "standby null": {"StandbyTasks": None},
        "warmup null": {"WarmupTasks": None}, "no topology": {"Topology": None},
        "changelog with a count": {"Topology": topology(sub("0", ["streams-bad"], changelogs=[topic("c", 3)]))},
        "epoch -3": {"MemberEpoch": -3}, "epoch -2": {"MemberEpoch": -2}, "topology and epoch": {"MemberEpoch": 1},
        "epoch 1": {"MemberEpoch": 1, "Topology": None}, "epoch -1": {"MemberEpoch": -1, "Topology": None},
        "some tasks": {"MemberEpoch": 1, "Topology": None, "StandbyTasks": None}, "negative topology epoch": {"Topology": topology(sub("0", ["streams-bad"]), epoch=-1)},
        "two of one id": {"Topology": topology(sub("0", ["streams-bad"]), sub("0", ["streams-bad"]))},
        "no source": {"Topology": topology(sub("0"))}, "loop": {"Topology": topology(sub("0", repartition=[topic("a")], sinks=["b"]), sub("1", repartition=[topic("b")], sinks=["a"]))},
        "never a sink": {"Topology": topology(sub("0", ["streams-bad"], [topic("r")]))},
        "bad index": {"Topology": topology(sub("0", ["streams-bad"], groups=[([5], [])]))},
    }.items():
        m.join(note, **values)
    describe(s, "bad-streams", "", "another", note="not there")
    answer = s.ask("ListGroups", 5, {"TypesFilter": ["streams"]}, quiet=True)
    s.tell("nothing came of it", [g for g in answer["Groups"] if g["GroupId"] == "bad-streams"])


@case
def streams_first_joins_wait(s):
    at_once(s, "delayed", streams_initial_rebalance_delay_ms=6000)
    create(s, "streams-delayed", 2)
    m = Member(s, "delayed", "m", topology=topology(sub("0", ["streams-delayed"])))
    m.join()
    m.beat("", note="again")
    m.beat(note="and again")
    describe(s, "delayed")
    n = Member(s, "delayed", "n", topology=m.topology)
    n.join()
    records(s, "delayed", "before the delay is over")
    def assigned():
        return s.ask("StreamsGroupDescribe", 0, {"GroupIds": ["delayed"]}, quiet=True)["Groups"][0]["AssignmentEpoch"] > 1
    s.until(assigned, "nothing is assigned")
    m.beat("")
    n.beat("")
    describe(s, "delayed", note="assigned")
    records(s, "delayed", "assigned")


@case
def streams_two_members_share(s):
    at_once(s, "shared-streams")
    create(s, "streams-shared", 4)
    plain = topology(sub("0", ["streams-shared"]))
    m, n = Member(s, "shared-streams", "m", topology=plain), Member(s, "shared-streams", "n", topology=plain)
    m.join()
    m.beat("0_0 0_1 0_2 0_3")
    describe(s, "shared-streams", note="one")
    n.join()
    describe(s, "shared-streams", note="two")
    m.beat(note="does not say what it has")
    m.beat("0_0 0_1 0_2 0_3")
    m.beat("0_0 0_1 0_2 0_3", note="still")
    describe(s, "shared-streams", note="unrevoked")
    n.beat("")
    n.beat(note="waits")
    m.beat("0_0 0_1")
    describe(s, "shared-streams", note="revoked")
    n.beat("")
    n.beat("0_2 0_3")
    for step in range(3):
        m.beat()
        n.beat()
    describe(s, "shared-streams", note="stable")
    m.beat("0_0 0_1 7_0", note="no such subtopology")
    m.beat("0_0 0_9", note="no such task")
    m.beat("0_3", note="not its own")
    epoch = m.epoch
    for other in (epoch - 1, epoch + 1, epoch - 2, 99):
        for owned in ("0_0", "0_0 0_1", "0_3", None):
            m.epoch = other
            m.beat(owned, note=f"epoch {other - epoch}")
    m.epoch = epoch
    m.leave()
    describe(s, "shared-streams", note="one has left")
    m.leave()
    n.beat("0_2 0_3")
    n.beat("0_0 0_1 0_2 0_3")
    n.leave()
    records(s, "shared-streams")
    describe(s, "shared-streams", note="empty")


@case
def streams_a_rejoin_owns_nothing(s):
    at_once(s, "again-streams")
    create(s, "streams-again", 2)
    m = Member(s, "again-streams", "m", topology=topology(sub("0", ["streams-again"])))
    m.join()
    m.beat("0_0 0_1")
    m.join("joins again")
    m.join("joins again with other things", RackId="r", ClientTags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}], UserEndpoint={"Host": "h", "Port": 7})
    m.join("with a tag twice", ClientTags=[{"Key": "a", "Value": "2"}, {"Key": "a", "Value": "1"}])
    m.beat("0_0 0_1", note="another rack", RackId="q")
    m.beat("0_0 0_1", note="another process", ProcessId="p2")
    describe(s, "again-streams")
    records(s, "again-streams")


@case
def streams_topologies(s):
    create(s, "streams-in2", 2)
    create(s, "streams-in3", 3)
    shapes = {
        "missing sources": topology(sub("0", ["nowhere-d", "nowhere-c", "streams-in2"]), sub("1", ["nowhere-b", "nowhere-a"])),
        "copartition": topology(sub("0", ["streams-in2", "streams-in3"], groups=[([0, 1], [])])),
        "fixed differs": topology(sub("0", ["streams-in3"], sinks=["sf-r"]), sub("1", ["streams-in2"], [topic("sf-r", 5)], groups=[([0], [0])])),
        "fixed differ": topology(sub("0", ["streams-in3"], sinks=["sd-r", "sd-q"]), sub("1", [], [topic("sd-r", 5), topic("sd-q", 4)], groups=[([], [0, 1])])),
        "no subtopology": topology(),
        "existing differs": topology(sub("0", ["streams-in2"], changelogs=[topic("streams-in3")])),
        "three replicas": topology(sub("0", ["streams-in2"], changelogs=[topic("s3-a", 0, 3)])),
        "many missing": topology(sub("0", ["streams-in2"], changelogs=[topic(f"sm-{i}", 0, 3) for i in range(6)])),
    }
    for i, (note, shape) in enumerate(shapes.items()):
        group = f"shape{i}"
        at_once(s, group)
        m = Member(s, group, "m", topology=shape)
        m.join(note)
        if "missing" not in note and "replicas" not in note: # when creating has failed is another matter
            m.beat("", note=note)
        describe(s, group, note=note)
        if note == "three replicas":
            def told():
                answer = s.ask("StreamsGroupHeartbeat", 0, {"GroupId": group, "MemberId": "m", "MemberEpoch": m.epoch}, quiet=True)
                return any("Creation failed" in one["StatusDetail"] for one in answer.get("Status") or [])
            s.until(told, "nothing is told")
            m.beat(note="creation failed")
        records(s, group, note)


@case
def streams_internal_topics_are_created(s):
    at_once(s, "internals")
    create(s, "streams-src", 3)
    m = Member(s, "internals", "m", topology=topology(
        sub("0", ["streams-src"], sinks=["internals-r-repartition"]),
        sub("1", repartition=[topic("internals-r-repartition", 0, -1, cleanup_policy="delete", retention_ms="-1")],
            changelogs=[topic("internals-c-changelog", 0, 0, cleanup_policy="compact")])))
    m.join()
    def there():
        answer = s.ask("Metadata", 12, {"Topics": [{"Name": n} for n in ("internals-r-repartition", "internals-c-changelog")], "AllowAutoTopicCreation": False}, quiet=True)
        return all(t["ErrorCode"] == 0 for t in answer["Topics"])
    s.until(there, "the topics are not created")
    s.ask("Metadata", 12, {"Topics": [{"Name": n} for n in ("internals-r-repartition", "internals-c-changelog")], "AllowAutoTopicCreation": False}, "created")
    for name in ("internals-r-repartition", "internals-c-changelog"):
        s.ask("DescribeConfigs", 4, {"Resources": [{"ResourceType": 2, "ResourceName": name, "ConfigurationKeys": ["cleanup.policy", "retention.ms"]}]}, name)
    rises(s, m)
    m.beat("0_0 0_1 0_2 1_0 1_1 1_2")
    describe(s, "internals")
    records(s, "internals")
    n = Member(s, "internals", "n", topology=topology(*reversed(m.topology["Subtopologies"])))
    n.join("with the parts in another order")
    for note, other in (("another topology", topology(sub("0", ["streams-src"]))), ("a later epoch", {**m.topology, "Epoch": 1})):
        Member(s, "internals", "o", topology=other).join(note)


@case
def streams_topics_change(s):
    at_once(s, "changing")
    create(s, "streams-changing", 2)
    m = Member(s, "changing", "m", topology=topology(sub("0", ["streams-changing"])))
    m.join()
    m.beat("0_0 0_1")
    s.ask("CreatePartitions", 3, {"Topics": [{"Name": "streams-changing", "Count": 3, "Assignments": None}], "TimeoutMs": 30000}, "one more")
    s.wait_leader("streams-changing", 2)
    rises(s, m)
    describe(s, "changing", note="grown")
    m.beat("0_0 0_1 0_2")
    s.ask("DeleteTopics", 6, {"Topics": [{"Name": "streams-changing"}], "TimeoutMs": 30000}, "gone")
    s.wait_gone("streams-changing")
    rises(s, m)
    m.beat("", note="its source is gone")
    describe(s, "changing", note="gone")


@case
def streams_shutdown_is_told_to_all(s):
    at_once(s, "ending")
    create(s, "streams-ending", 2)
    plain = topology(sub("0", ["streams-ending"]))
    m, n, o = (Member(s, "ending", name, topology=plain) for name in "mno")
    m.join()
    n.join()
    m.beat("0_0 0_1", note="has failed", ShutdownApplication=True)
    n.beat("")
    n.beat("", note="has failed too", ShutdownApplication=True)
    o.join()
    m.leave()
    n.leave()
    o.leave(ShutdownApplication=True)
    m.join("after all have left")
    m.beat("0_0 0_1")
    m.leave(ShutdownApplication=True)
    m.leave(note="nobody")


@case
def streams_endpoints(s):
    at_once(s, "endpoints")
    create(s, "streams-ep", 2)
    create(s, "streams-ep3", 3)
    plain = topology(sub("0", ["streams-ep"]))
    m, n, o = Member(s, "endpoints", "m", endpoint=1001, topology=plain), Member(s, "endpoints", "n", endpoint=1002, topology=plain), Member(s, "endpoints", "o", topology=plain)
    m.join()
    m.beat("0_0 0_1", EndpointInformationEpoch=0)
    n.join()
    m.beat("0_0 0_1")
    m.beat("0_0")
    n.beat("")
    n.beat("0_1")
    m.beat()
    o.join()


@case
def streams_commits(s):
    at_once(s, "committing")
    create(s, "streams-com", 4)
    plain = topology(sub("0", ["streams-com"]))
    m, n = Member(s, "committing", "m", topology=plain), Member(s, "committing", "n", topology=plain)
    def commit(member, epoch, partitions=(0,), version=9, topic="streams-com", note=""):
        s.ask("OffsetCommit", version, {"GroupId": "committing", "GenerationIdOrMemberEpoch": epoch, "MemberId": member, "Topics": [
            {"Name": topic, "Partitions": [{"PartitionIndex": p, "CommittedOffset": 1, "CommittedLeaderEpoch": -1, "CommittedMetadata": ""} for p in partitions]}]}, note or f"{member} epoch {epoch} {partitions}")
    def fetch(member, epoch):
        s.ask("OffsetFetch", 9, {"Groups": [{"GroupId": "committing", "MemberId": member, "MemberEpoch": epoch, "Topics": [
            {"Name": "streams-com", "PartitionIndexes": [0, 3]}]}]}, f"{member} epoch {epoch}")
    commit("m", 1, note="no group")
    commit("m", 1, version=8, note="no group, v8")
    m.join()
    m.beat("0_0 0_1 0_2 0_3")
    for epoch in (m.epoch, m.epoch + 1, m.epoch - 1, -1):
        commit("m", epoch)
    commit("m", m.epoch, version=8)
    commit("x", m.epoch)
    commit("", -1, note="an administrator's")
    commit("m", m.epoch, (3,), topic="streams-ep", note="a topic it does not read")
    n.join()
    m.beat("0_0 0_1 0_2 0_3")
    m.beat("0_0 0_1")
    n.beat("")
    n.beat("0_2 0_3")
    for epoch in range(1, m.epoch + 2):
        for partitions in ((0,), (0, 3), (2,)):
            commit("m", epoch, partitions)
            commit("n", epoch, partitions)
    commit("m", m.epoch - 1, (0,), topic="streams-ep", note="an old epoch, a topic it does not read")
    for epoch in (m.epoch, m.epoch - 1, -1):
        fetch("m", epoch)
    for member in (None, "", "x"):
        fetch(member, -1)
    s.ask("OffsetDelete", 0, {"GroupId": "committing", "Topics": [{"Name": "streams-com", "Partitions": [{"PartitionIndex": 0}]}, {"Name": "streams-ep", "Partitions": [{"PartitionIndex": 3}]}]})
    s.ask("DeleteGroups", 2, {"GroupsNames": ["committing"]}, "in use")
    m.leave()
    n.leave()
    commit("", -1, note="empty")
    s.ask("OffsetDelete", 0, {"GroupId": "committing", "Topics": [{"Name": "streams-com", "Partitions": [{"PartitionIndex": 0}]}]}, "empty")
    s.ask("DeleteGroups", 2, {"GroupsNames": ["committing"]}, "empty")
    describe(s, "committing", note="deleted")
    records(s, "committing")


@case
def streams_groups_and_other_requests(s):
    at_once(s, "others")
    create(s, "streams-oth", 2)
    plain = topology(sub("0", ["streams-oth"]))
    s.ask("OffsetCommit", 9, {"GroupId": "others", "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": [
        {"Name": "streams-oth", "Partitions": [{"PartitionIndex": 0, "CommittedOffset": 5, "CommittedLeaderEpoch": -1, "CommittedMetadata": ""}]}]}, "a simple group")
    m = Member(s, "others", "m", topology=plain)
    m.join("a simple group becomes one of streams")
    m.beat("0_0 0_1")
    for states in ([], ["stable"], ["Stable"], ["not_ready"], ["NotReady"], ["empty"], ["assigning"], ["reconciling"]):
        answer = s.ask("ListGroups", 5, {"TypesFilter": ["streams"], "StatesFilter": states}, quiet=True)
        s.tell(f"listed {states}", [g for g in answer.get("Groups", []) if g["GroupId"] == "others"])
    s.ask("DescribeGroups", 6, {"Groups": ["others"]})
    s.ask("ConsumerGroupDescribe", 0, {"GroupIds": ["others"]})
    s.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "others", "MemberId": "c", "MemberEpoch": 0, "RebalanceTimeoutMs": 1000, "SubscribedTopicNames": ["streams-oth"], "TopicPartitions": []})
    s.ask("Heartbeat", 4, {"GroupId": "others", "GenerationId": 1, "MemberId": "m"})
    s.ask("LeaveGroup", 5, {"GroupId": "others", "Members": [{"MemberId": "m"}]})
    s.ask("SyncGroup", 5, {"GroupId": "others", "GenerationId": 1, "MemberId": "m", "ProtocolType": "consumer", "ProtocolName": "range"})
    c = ClassicMember(s, "others")
    c.join(note="members are there").joined()
    m.leave()
    c = ClassicMember(s, "others", instance="i")
    c.join(note="the group is empty").joined()
    describe(s, "others", note="it is classic")
    m.join("the group is classic")
    s.ask("OffsetFetch", 9, {"Groups": [{"GroupId": "others", "Topics": [{"Name": "streams-oth", "PartitionIndexes": [0]}]}]}, "offsets are kept")
    records(s, "others")


@case
def streams_standbys(s):
    at_once(s, "standbys", **{"streams.num.standby.replicas": 1})
    create(s, "streams-sb", 2)
    create(s, "standbys-changelog", 2)
    plain = topology(sub("0", ["streams-sb"], changelogs=[topic("standbys-changelog")]))
    m, n = Member(s, "standbys", "m", topology=plain), Member(s, "standbys", "n", topology=plain)
    m.join()
    m.beat("0_0 0_1")
    n.join()
    m.beat("0_0 0_1")
    m.beat("0_0", "", note="gave one up")
    n.beat("", "")
    describe(s, "standbys")


@case
def streams_assignments_follow_each_other_slowly(s):
    at_once(s, "slow-streams", streams_assignment_interval_ms=600000)
    create(s, "streams-slow", 2)
    m, n = (Member(s, "slow-streams", name, topology=topology(sub("0", ["streams-slow"]))) for name in "mn")
    m.join()
    m.beat("0_0 0_1")
    n.join("within the interval")
    n.beat("", note="within the interval")
    m.beat("0_0 0_1", note="within the interval")
    describe(s, "slow-streams", note="assigning")
    m.leave("within the interval")
    n.beat("", note="alone")
    n.join("again")
    at_once(s, "slow-streams")
    n.beat("", note="the interval is over")
    n.beat("0_0 0_1")
    describe(s, "slow-streams", note="stable")
    records(s, "slow-streams")


@case
def streams_settings_change(s):
    at_once(s, "set-streams")
    create(s, "streams-set", 2)
    create(s, "set-streams-changelog", 2)
    m, n = (Member(s, "set-streams", name, topology=topology(sub("0", ["streams-set"], changelogs=[topic("set-streams-changelog")]))) for name in "mn")
    m.join()
    m.beat("0_0 0_1")
    n.join()
    m.beat("0_0 0_1")
    m.beat("0_0")
    n.beat("")
    n.beat("0_1")
    for replicas in (1, 2, 0):
        at_once(s, "set-streams", **{"streams.num.standby.replicas": replicas, "streams.heartbeat.interval.ms": 6000 + replicas})
        for step in range(3):
            m.beat("0_0", "0_1" if replicas and step else "", note=f"{replicas} standbys")
            n.beat("0_1", "0_0" if replicas and step else "", note=f"{replicas} standbys")
        describe(s, "set-streams", note=f"{replicas} standbys")
    records(s, "set-streams")


@case
def streams_members_of_an_older_topology(s):
    at_once(s, "stale-streams")
    create(s, "streams-stale", 2)
    source = sub("0", ["streams-stale"])
    m, n = Member(s, "stale-streams", "m", topology=topology(source, epoch=2)), Member(s, "stale-streams", "n", topology=topology(source, epoch=1))
    m.join()
    n.join("an older one")
    n.beat("", note="an older one")
    n.join("an older one with another subtopology", Topology=topology(source, sub("1", ["streams-stale"]), epoch=0))
    n.join("a newer one", Topology=topology(source, epoch=3))
    n.join("the same epoch and other sources", Topology=topology(sub("0", ["streams-other"]), epoch=2))
    n.join("the group's", Topology=m.topology)
    m.beat("0_0 0_1")
    m.beat("0_0")
    n.beat("")
    describe(s, "stale-streams")
    records(s, "stale-streams")


@case
def streams_threads_of_a_process(s):
    at_once(s, "threads", **{"streams.num.standby.replicas": 1})
    create(s, "streams-threads", 3)
    create(s, "threads-changelog", 3)
    shape = topology(sub("0", ["streams-threads"], changelogs=[topic("threads-changelog")]))
    a, b = (Member(s, "threads", name, process="one", topology=shape, endpoint=1001) for name in "ab")
    c = Member(s, "threads", "c", process="two", topology=shape, endpoint=1002)
    a.join()
    a.beat("0_0 0_1 0_2")
    b.join()
    a.beat("0_0 0_1 0_2")
    a.beat("0_0 0_1")
    b.beat("")
    b.beat("0_2")
    describe(s, "threads", note="two threads have no standbys")
    at_once(s, "threads", **{"streams.num.standby.replicas": 0})
    c.join()
    a.beat("0_0 0_1")
    a.beat("0_0")
    b.beat("0_2")
    c.beat("")
    c.beat("0_1")
    describe(s, "threads", note="two processes")
    c.leave()
    a.beat("0_0")
    b.beat("0_2")
    describe(s, "threads", note="a process has left")


@case
def streams_offsets_of_transactions(s):
    at_once(s, "txn-streams")
    create(s, "streams-txn", 2)
    m = Member(s, "txn-streams", "m", topology=topology(sub("0", ["streams-txn"])))
    producer = Producer(s, "streams-producer").start()
    def commit(member, epoch, version=5, partitions=(0,), topic="streams-txn", instance=None):
        producer.offsets("txn-streams", topic, version, note=f"{member} epoch {epoch} {topic} {partitions} {instance}", partitions=[(p, 1) for p in partitions],
                         GenerationIdOrMemberEpoch=epoch, MemberId=member, GroupInstanceId=instance)
    commit("m", 1)
    commit("", -1)
    s.ask("DeleteGroups", 2, {"GroupsNames": ["txn-streams"]}, quiet=True)
    m.join()
    m.beat("0_0 0_1")
    for version in (3, 4, 5):
        for member, epoch in (("m", m.epoch), ("m", m.epoch - 1), ("m", m.epoch + 1), ("m", -1), ("x", m.epoch), ("", m.epoch), ("", -1)):
            commit(member, epoch, version)
    commit("m", m.epoch, partitions=(0, 1))
    commit("m", m.epoch, topic="streams-ep")
    commit("m", m.epoch, instance="i")


@case
def streams_groups_beside_others(s):
    """What is of another kind is none of theirs."""
    at_once(s, "kind-streams")
    create(s, "streams-kind", 2)
    plain = topology(sub("0", ["streams-kind"]))
    for group in ("kind-classic", "kind-consumer", "kind-share"):
        ready(s, group)
    c = ClassicMember(s, "kind-classic", instance="i")
    c.join().joined()
    s.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "kind-consumer", "MemberId": "c", "MemberEpoch": 0, "RebalanceTimeoutMs": 1000, "SubscribedTopicNames": ["streams-kind"], "TopicPartitions": []}, quiet=True)
    s.ask("ShareGroupHeartbeat", 1, {"GroupId": "kind-share", "MemberId": "c", "MemberEpoch": 0, "SubscribedTopicNames": ["streams-kind"]}, quiet=True)
    for group in ("kind-classic", "kind-consumer", "kind-share"):
        m = Member(s, group, "m", topology=plain)
        m.join(group)
        m.epoch = 1
        m.beat(note=group)
        m.leave(group)
    describe(s, "kind-classic", "kind-consumer", "kind-share", "kind-none", note="of others")
    m = Member(s, "kind-streams", "m", topology=plain)
    m.join()
    for epoch in (0, 1, -1):
        s.ask("ShareGroupHeartbeat", 1, {"GroupId": "kind-streams", "MemberId": "m", "MemberEpoch": epoch, "SubscribedTopicNames": ["streams-kind"]}, f"epoch {epoch}")
        s.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "kind-streams", "MemberId": "m", "MemberEpoch": epoch, "RebalanceTimeoutMs": 1000, "SubscribedTopicNames": ["streams-kind"], "TopicPartitions": []}, f"epoch {epoch}")
    s.ask("ShareGroupDescribe", 1, {"GroupIds": ["kind-streams"]})
    s.ask("DescribeShareGroupOffsets", 0, {"Groups": [{"GroupId": "kind-streams", "Topics": None}]})
    s.ask("AlterShareGroupOffsets", 0, {"GroupId": "kind-streams", "Topics": [{"TopicName": "streams-kind", "Partitions": [{"PartitionIndex": 0, "StartOffset": 0}]}]})
    s.ask("DeleteShareGroupOffsets", 0, {"GroupId": "kind-streams", "Topics": [{"TopicName": "streams-kind"}]})
    m.leave()
    for epoch in (0, 1):
        s.ask("ShareGroupHeartbeat", 1, {"GroupId": "kind-streams", "MemberId": "m", "MemberEpoch": epoch, "SubscribedTopicNames": ["streams-kind"]}, f"empty, epoch {epoch}")
        s.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "kind-streams", "MemberId": "m", "MemberEpoch": epoch, "RebalanceTimeoutMs": 1000, "SubscribedTopicNames": ["streams-kind"], "TopicPartitions": []}, f"empty, epoch {epoch}")
    describe(s, "kind-streams", note="at last")
    records(s, "kind-streams")


@case
def streams_no_more_members(s):
    at_once(s, "full-streams")
    create(s, "streams-full", 2)
    members = [Member(s, "full-streams", f"m{i}", topology=topology(sub("0", ["streams-full"]))) for i in range(6)]
    members[0].join()
    members[0].beat("0_0 0_1")
    members[1].join()
    members[0].beat("0_0 0_1")
    members[0].beat("0_0")
    members[1].beat("")
    members[1].beat("0_1")
    for member in members[2:]:
        member.join()
    members[3].leave()
    members[5].join("there is room")
    describe(s, "full-streams")


def random_script(seed):
    def script(s):
        """Two settled members say right and wrong things of their epochs and tasks."""
        draw, group = random.Random(seed), f"random-streams{seed}"
        at_once(s, group)
        create(s, f"streams-random{seed}", 4)
        plain = topology(sub("0", [f"streams-random{seed}"]))
        m, n = Member(s, group, "m", topology=plain), Member(s, group, "n", topology=plain)
        m.join()
        n.join()
        for _ in range(2):
            m.beat("0_0 0_1")
            n.beat("0_2 0_3")
        for step in range(20):
            member = draw.choice((m, n))
            epoch = member.epoch
            member.epoch = epoch + draw.choice((0, 0, 0, -1, 1, -5))
            if member.epoch < 1:
                member.epoch = 1
            owned = draw.choice((None, "", "0_0 0_1", "0_2 0_3", "0_0", "0_4", "1_0", "0_3 0_0"))
            member.beat(owned, note=f"{step}", EndpointInformationEpoch=draw.choice((-1, 0, 1)), **draw.choice(({}, {}, {"RackId": None}, {"ShutdownApplication": True})))
            member.epoch = epoch
        describe(s, group)
    script.__name__ = f"streams_random{seed}"
    return script


CASES += [random_script(seed) for seed in range(1, 4)]
