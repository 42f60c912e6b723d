"""ConsumerGroupHeartbeat and ConsumerGroupDescribe: bad values, members that come, go and are fenced, reconciliation step
by step, both assignors, expressions, commits by epoch, groups of members of both protocols; and the records of it all.
Groups here have no assignment interval but where it is said, so that nothing waits for the clock."""
import random
from cases_classic import Member, describe as describe_classic, group_records, partition_of, protocols, ready, rebalance
from wire import *

CASES = []


def case(fn):
    CASES.append(fn)
    return fn


def configure(s, group, **configs):
    configs = {"consumer.assignment.interval.ms": "0", **{k.replace("_", "."): v for k, v in configs.items()}}
    s.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": group, "Configs": [
        {"Name": k, "ConfigOperation": 0, "Value": v} for k, v in configs.items()]}]}, quiet=True)


def probe(s, group, *topics):
    """The group's coordinator knows of the topics: another group there is assigned them."""
    name = next(name for name in (f"probe-{s.case}-{i}" for i in range(1000)) if partition_of(name) == partition_of(group))
    configure(s, name)
    other = Consumer(s, name, "probe", topics)
    s.until(lambda: other.join(quiet=True) and set(other.has) == set(topics), "the coordinator does not know of the topics")
    other.beat(quiet=True, MemberEpoch=-1)
    s.ask("DeleteGroups", 2, {"GroupsNames": [name]}, quiet=True)


def probe_partitions(s, group, topic, count):
    name = next(name for name in (f"count-{s.case}-{i}" for i in range(1000)) if partition_of(name) == partition_of(group))
    configure(s, name)
    other = Consumer(s, name, "probe", (topic,))
    s.until(lambda: other.join(quiet=True) and other.tell(quiet=True) and len(other.has.get(topic, [])) == count, "the coordinator does not know of the partitions")
    other.beat(quiet=True, MemberEpoch=-1)
    s.ask("DeleteGroups", 2, {"GroupsNames": [name]}, quiet=True)


def begin(s, group, topics=None, **configs):
    ready(s, group)
    configure(s, group, **configs)
    s.published()
    for name, partitions in (topics or {}).items():
        s.create(name, partitions)
    if topics:
        probe(s, group, *topics)


def owned(s, partitions):
    return None if partitions is None else [{"TopicId": s.id(name), "Partitions": list(numbers)} for name, numbers in partitions.items()]


class Consumer:
    """A member: what it was told last, and what it has."""

    def __init__(self, s, group, id, topics=("t",), instance=None, regex=None, assignor=None, rebalance=60000, rack=None):
        self.s, self.group, self.id, self.instance, self.epoch, self.has = s, group, id, instance, 0, {}
        self.topics, self.regex, self.assignor, self.rebalance, self.rack = topics, regex, assignor, rebalance, rack

    def beat(self, note="", v=1, quiet=False, **other):
        values = {"GroupId": self.group, "MemberId": self.id, "MemberEpoch": self.epoch, "InstanceId": self.instance, **other}
        answer = self.s.ask("ConsumerGroupHeartbeat", v, values, f"{self.id} {note}", client_id=self.id, quiet=quiet)
        if answer and not answer["ErrorCode"]:
            self.epoch = answer["MemberEpoch"]
            if answer["Assignment"] is not None:
                self.has = {self.s.ids[t["TopicId"]]: sorted(t["Partitions"]) for t in answer["Assignment"]["TopicPartitions"]}
        return answer

    def join(self, note="joins", **other):
        self.epoch = 0
        return self.beat(note, **{"RebalanceTimeoutMs": self.rebalance, "SubscribedTopicNames": None if self.topics is None else list(self.topics),
                                  "SubscribedTopicRegex": self.regex, "ServerAssignor": self.assignor, "RackId": self.rack, "TopicPartitions": [], **other})

    def tell(self, note="says what it has", **other):  # and therefore has given up what else it had
        return self.beat(note, TopicPartitions=owned(self.s, self.has), **other)

    def leave(self, epoch=-1, note="leaves", **other):
        return self.beat(note, MemberEpoch=epoch, **other)


def describe(s, *groups, note="", version=1, **other):
    return s.ask("ConsumerGroupDescribe", version, {"GroupIds": list(groups), **other}, note)


def settle(*members, rounds=4, note="settles"):
    for i in range(rounds):
        for member in members:
            member.tell(f"{note} {i}")


def adjusted(found):
    """Hashes are of topic ids, which differ; lists come in the order of hash maps."""
    for one in found:
        value = one["value"]
        if value and value.get("MetadataHash"):
            value["MetadataHash"] = "hash"
        for topics in (value.get(k) for k in ("TopicPartitions", "AssignedPartitions", "PartitionsPendingRevocation")) if value else ():
            for topic in topics or []:
                if topic.get("AssignmentEpochs"):
                    pairs = sorted(zip(topic["Partitions"], topic["AssignmentEpochs"]))
                    topic["Partitions"], topic["AssignmentEpochs"] = [p for p, _ in pairs], [e for _, e in pairs]
                else:
                    topic["Partitions"] = sorted(topic["Partitions"])
        if value and one["key"][0] == 16:
            value["Version"] = "version"
    def kind(one):
        return one["key"][0] == 7 or (one["value"] is None and one["key"][0]), one["key"][0]

    begin = 0
    for end in range(1, len(found) + 1):  # targets, or tombstones, of several members
        if end == len(found) or kind(found[end]) != kind(found[begin]) or not kind(found[begin])[0]:
            found[begin:end] = sorted(found[begin:end], key=lambda one: str(one["key"][1].get("MemberId", ""))[:1])
            begin = end
    for one in found:  # by the name of the topic, not the id
        if one["value"]:
            for topics in (one["value"].get(k) for k in ("TopicPartitions", "AssignedPartitions", "PartitionsPendingRevocation")):
                if topics:
                    topics.sort(key=lambda t: str(t["Partitions"]))
    return found


def records(s, group, note=""):
    group_records(s, group, note, adjusted)


def states(s, note=""):
    answer = s.ask("ListGroups", 5, {"TypesFilter": ["consumer"]}, quiet=True)
    s.tell(f"groups {note}", sorted((g["GroupId"], g["ProtocolType"], g["GroupState"], g["GroupType"]) for g in answer["Groups"]))


# ---- cases ----------------------------------------------------------------------------------------------------------------

@case
def consumer_bad_requests(s):
    begin(s, "bad", {"cb": 2})
    good = {"GroupId": "bad", "MemberId": "m", "MemberEpoch": 0, "RebalanceTimeoutMs": 1000, "SubscribedTopicNames": ["cb"], "TopicPartitions": []}
    for v in (0, 1):
        def bad(note, **other):
            s.ask("ConsumerGroupHeartbeat", v, {**good, **other}, note)
        for blank in ("", " ", "\t\n"):
            for field in ("MemberId", "GroupId", "InstanceId", "RackId"):
                if (v, field) != (0, "MemberId"):
                    bad(f"{field} {blank!r}", **{field: blank})
        for epoch in (1, -1, -2, -3, -2147483648, 2147483647):
            bad(f"epoch {epoch}", MemberEpoch=epoch, GroupId="nope")
            bad(f"epoch {epoch}, no member id", MemberEpoch=epoch, MemberId="")
            bad(f"epoch {epoch} instance", MemberEpoch=epoch, InstanceId="i", GroupId="nope")
        bad("no rebalance timeout", RebalanceTimeoutMs=-1)
        bad("owned null", TopicPartitions=None)
        bad("owned something", TopicPartitions=[{"TopicId": s.id("cb"), "Partitions": [0]}])
        bad("nothing to subscribe to", SubscribedTopicNames=None)
        for assignor in ("", "sticky", "Uniform", "range "):
            bad(f"assignor {assignor!r}", ServerAssignor=assignor)
            bad(f"leaves with assignor {assignor!r}", ServerAssignor=assignor, MemberEpoch=-1)
        for regex in ("[", "(", ")", "*", "a**", "\\", "a{2,1}", "a{1001}", "(?P<n", "(?<n>a)(?<n>b)", "[b-a]", "\\8", "(?=a)", "\\pX", "[[:x:]]", "(?i", "+", "x{2}{3}", "(?P<n>a)(?P<n>b)", "(?<n-m>a)", "(?<>a)", "[(?<n>a)](", "\\Q(?<n>\\E(", "(?P<n", "(?<=a)"):
            bad(f"regex {regex}", SubscribedTopicNames=None, SubscribedTopicRegex=regex)
        describe(s, "bad", note="nothing was made", version=v)
        describe(s, "", "nope", "bad", note="no such", version=v)
    records(s, "bad")


@case
def consumer_join_and_leave(s):
    begin(s, "jl", {"cj": 4})
    a, b, c = (Consumer(s, "jl", id, ("cj",)) for id in "abc")
    a.join()
    describe(s, "jl", note="one")
    states(s, "one")
    b.join()
    describe(s, "jl", note="two, the second waits")
    states(s, "two")
    a.beat("says nothing")
    a.beat("says that it has all", TopicPartitions=owned(s, {"cj": [0, 1, 2, 3]}))
    b.beat("asks")
    a.tell("gave up")
    b.beat("gets")
    a.beat("again")
    describe(s, "jl", note="two")
    states(s, "settled")
    c.join()
    settle(a, b, c)
    describe(s, "jl", note="three", IncludeAuthorizedOperations=True)
    a.leave()
    settle(b, c)
    describe(s, "jl", note="one left")
    s.ask("DeleteGroups", 2, {"GroupsNames": ["jl"]}, "has members")
    b.leave()
    c.leave()
    c.leave(note="again")
    describe(s, "jl", note="empty")
    states(s, "empty")
    a.join("joins the empty one")
    a.leave()
    s.ask("DeleteGroups", 2, {"GroupsNames": ["jl"]})
    describe(s, "jl", note="deleted")
    records(s, "jl")


@case
def consumer_epochs(s):
    begin(s, "ep", {"ce": 3})
    a, b = Consumer(s, "ep", "a", ("ce",)), Consumer(s, "ep", "b", ("ce",))
    a.join()
    for epoch in (1, 2, 3, 100, 2147483647):
        a.beat(f"with epoch {epoch}", MemberEpoch=epoch)
        a.epoch = 2
    b.join()
    a.tell("is to give up")
    a.has = {"ce": a.has["ce"][:1]}
    a.tell("gives up")
    for has in (None, {}, {"ce": [0]}, {"ce": [0, 1]}, {"ce": [2]}, {"ce": [0, 1, 2]}):
        a.beat(f"the epoch before, having {has}", MemberEpoch=2, TopicPartitions=owned(s, has))
    a.beat("one before that", MemberEpoch=1, TopicPartitions=[])
    a.beat("of a topic that is not there", MemberEpoch=2, TopicPartitions=[{"TopicId": "11111111-2222-3333-4444-555555555555", "Partitions": []}])
    a.join("joins again")
    a.join("joins again with another subscription", SubscribedTopicNames=["ce", "nope"])
    a.beat("full", RebalanceTimeoutMs=1000, SubscribedTopicNames=["ce"], TopicPartitions=owned(s, a.has))
    Consumer(s, "ep", "x").beat("not known", MemberEpoch=1)
    Consumer(s, "ep", "x").beat("not known, leaves", MemberEpoch=-1)
    Consumer(s, "ep", "x", instance="i").beat("not known, static", MemberEpoch=1)
    settle(a, b)
    describe(s, "ep")
    records(s, "ep")


@case
def consumer_static_members(s):
    begin(s, "st", {"cs": 4})
    a, b = Consumer(s, "st", "a", ("cs",), instance="one"), Consumer(s, "st", "b", ("cs",), instance="two")
    a.join()
    b.join()
    settle(a, b)
    describe(s, "st")
    Consumer(s, "st", "a2", ("cs",), instance="one").join("takes the place of one that is there")
    a.join("joins again as itself")
    Consumer(s, "st", "a2", ("cs",), instance="one").beat("not the holder", MemberEpoch=3)
    a.beat("without its instance id", InstanceId=None)
    a.beat("another instance id", InstanceId="three")
    a.leave(-2, "another leaves for it", MemberId="zz")
    a.leave(-2, "for now")
    a.leave(-2, "for now, again")
    describe(s, "st", note="one is away")
    states(s, "one is away")
    a.beat("is back with its old epoch", MemberEpoch=3)
    a2 = Consumer(s, "st", "a2", ("cs",), instance="one")
    a2.join("takes its place")
    settle(a2, b)
    describe(s, "st", note="another in its place")
    a.beat("is late", MemberEpoch=3)
    a2.leave(-2, "for now")
    a2.join("is back itself")
    a2.leave(-2, "for now")
    Consumer(s, "st", "a3", ("cs", "nope"), instance="one").join("takes its place with another subscription")
    b.leave(-1, "leaves for good")
    Consumer(s, "st", "c", ("cs",), instance="two").beat("nobody's", MemberEpoch=4)
    describe(s, "st", note="at last")
    records(s, "st")


@case
def consumer_reconciliation(s):
    begin(s, "re", {"cr": 6, "cr2": 2})
    a, b, c = (Consumer(s, "re", id, ("cr",)) for id in "abc")
    a.join()
    b.join()
    c.join()
    for i in range(3):
        b.beat(f"waits {i}")
        c.beat(f"waits {i}")
    a.beat("reports some", TopicPartitions=owned(s, {"cr": [0, 5]}))
    describe(s, "re", note="some are to be given up")
    b.beat("while they are not given up")
    a.beat("reports what it keeps", TopicPartitions=owned(s, {"cr": a.has["cr"]}))
    b.beat("gets some")
    c.beat("gets some")
    settle(a, b, c)
    describe(s, "re", note="settled")
    b.beat("subscribes to nothing", SubscribedTopicNames=[])
    describe(s, "re", note="b has to give up")
    b.beat("says nothing")
    b.beat("gave up", TopicPartitions=[])
    settle(a, c)
    b.beat("subscribes to another", SubscribedTopicNames=["cr2"])
    settle(a, b, c)
    b.beat("subscribes to both", SubscribedTopicNames=["cr2", "cr"], TopicPartitions=owned(s, b.has))
    settle(a, b, c)
    describe(s, "re", note="both")
    a.beat("an instance id comes", InstanceId="i")
    a.beat("a rack", RackId="r")
    a.beat("another rebalance timeout", RebalanceTimeoutMs=1234)
    a.beat("the same names in another order", SubscribedTopicNames=["cr", "cr"])
    describe(s, "re", note="changed")
    records(s, "re")


@case
def consumer_assignors(s):
    begin(s, "as", {"ca": 7, "ca2": 3})
    members = [Consumer(s, "as", f"m{i}", ("ca",), assignor="range") for i in range(4)]
    for m in members:
        m.join()
    settle(*members)
    describe(s, "as", note="range")
    Consumer(s, "as", "m5", ("ca",)).join("too many")
    members[1].beat("asks for uniform", ServerAssignor="uniform")
    members[2].beat("asks for uniform", ServerAssignor="uniform")
    members[3].beat("asks for uniform", ServerAssignor="uniform")
    describe(s, "as", note="uniform")
    members[0].leave()
    settle(*members[1:])
    describe(s, "as", note="three")
    members[0].join(ServerAssignor=None)
    settle(*members)
    describe(s, "as", note="four")
    members[2].beat("has another topic too", SubscribedTopicNames=["ca", "ca2"], TopicPartitions=owned(s, members[2].has))
    settle(*members)
    describe(s, "as", note="uneven")
    members[1].beat("has only the other", SubscribedTopicNames=["ca2"], TopicPartitions=owned(s, members[1].has))
    settle(*members)
    members[3].leave()
    settle(*members[:3])
    describe(s, "as", note="uneven, three")
    for m in members[:3]:
        m.beat("asks for range", ServerAssignor="range")
    members[3].join(ServerAssignor="range", SubscribedTopicNames=["ca", "ca2"])
    settle(*members)
    describe(s, "as", note="range, uneven")


@case
def consumer_many_partitions(s):
    """What balance does with numbers that do not divide, as members come and go; the order of members counts."""
    begin(s, "mp", {"cm": 23})
    names = ["alpha", "b", "consumer-1-9f", "zz"]
    members = [Consumer(s, "mp", name, ("cm",)) for name in names]
    present = []
    rng = random.Random(7)
    for step in range(10):
        m = rng.choice(members)
        if m in present:
            present.remove(m)
            m.leave(note=f"leaves {step}")
        else:
            present.append(m)
            m.join(note=f"joins {step}")
        settle(*present, rounds=3, note=f"step {step}")
        describe(s, "mp", note=f"step {step}")


@case
def consumer_assignment_interval(s):
    begin(s, "ai", {"ci": 2}, consumer_assignment_interval_ms="15000")
    a, b = Consumer(s, "ai", "a", ("ci",)), Consumer(s, "ai", "b", ("ci",))
    a.join()
    b.join("too soon for an assignment")
    a.tell("is not told yet")
    describe(s, "ai")
    states(s)
    configure(s, "ai", consumer_heartbeat_interval_ms="6000", consumer_session_timeout_ms="50000")
    s.published()
    a.beat("is told of another interval")
    settle(a, b)
    describe(s, "ai", note="settled")


@case
def consumer_topics_change(s):
    begin(s, "tc", {"ct": 2})
    a = Consumer(s, "tc", "a", ("ct", "ct-later"))
    a.join()
    s.ask("CreatePartitions", 3, {"Topics": [{"Name": "ct", "Count": 4, "Assignments": None}], "TimeoutMs": 30000}, quiet=True)
    s.wait_leader("ct", 3)
    probe_partitions(s, "tc", "ct", 4)
    a.tell("more partitions")
    a.tell("again")
    s.create("ct-later", 1)
    probe(s, "tc", "ct-later")
    a.tell("a topic that was not there")
    s.ask("DeleteTopics", 6, {"Topics": [{"Name": "ct"}], "TimeoutMs": 30000}, quiet=True)
    s.wait_gone("ct")
    s.until(lambda: not any("ct" == t["TopicName"] for t in s.ask("ConsumerGroupDescribe", 1, {"GroupIds": ["tc"]}, quiet=True)["Groups"][0]["Members"][0][
        "Assignment"]["TopicPartitions"]), "the coordinator does not see that the topic is gone")
    describe(s, "tc", note="a topic is gone")
    a.beat("a topic is gone")
    a.tell("has what is left")
    describe(s, "tc", note="settled")
    records(s, "tc")


@case
def consumer_expressions(s):
    begin(s, "rx", {"cx-one": 3, "cy": 1})
    a, b = Consumer(s, "rx", "a", None, regex="cx-.*"), Consumer(s, "rx", "b", None, regex="cx-.*")
    a.join()
    s.until(lambda: a.beat(quiet=True)["MemberEpoch"] > 1, "the expression is not resolved")
    describe(s, "rx", note="one")
    b.join()
    settle(a, b)
    describe(s, "rx", note="two")
    b.beat("names a topic too", SubscribedTopicNames=["cy"])
    settle(a, b)
    describe(s, "rx", note="a name and an expression")
    b.beat("has no expression", SubscribedTopicRegex="")
    settle(a, b)
    describe(s, "rx", note="a name")
    b.beat("a bad one", SubscribedTopicRegex="(")
    b.beat("one that is new", SubscribedTopicRegex="c.*o")
    describe(s, "rx", note="one that is not resolved")  # nor will it be for ten seconds after the first
    b.leave()
    a.leave()
    describe(s, "rx", note="nobody")
    records(s, "rx")


@case
def consumer_commits(s):
    begin(s, "co", {"cc": 2})
    a, b = Consumer(s, "co", "a", ("cc",)), Consumer(s, "co", "b", ("cc",))

    def commit(note, v=9, id="a", epoch=None, partition=0, group="co"):
        topic = {"TopicId": s.id("cc")} if v >= 10 else {"Name": "cc"}
        s.ask("OffsetCommit", v, {"GroupId": group, "MemberId": id, "GenerationIdOrMemberEpoch": a.epoch if epoch is None else epoch, "Topics": [
            {**topic, "Partitions": [{"PartitionIndex": partition, "CommittedOffset": 5}]}]}, note)

    def fetch(note, v=9, id="a", epoch=None):
        s.ask("OffsetFetch", v, {"Groups": [{"GroupId": "co", "MemberId": id, "MemberEpoch": a.epoch if epoch is None else epoch, "Topics": [
            {"Name": "cc", "PartitionIndexes": [0, 1]}]}]}, note)

    a.join()
    for epoch in (2, 1, 0, -1, 3, 2147483647):
        for v in (8, 9, 10):
            commit(f"epoch {epoch}", v, epoch=epoch)
        fetch(f"epoch {epoch}", epoch=epoch)
    commit("not known", id="x")
    commit("nobody", id="", epoch=-1)
    fetch("not known", id="x")
    fetch("nobody", id=None, epoch=-1)
    fetch("nobody, an epoch", id=None, epoch=1)
    b.join()
    a.tell("is to give up")
    commit("what it is to give up", v=10, partition=1)
    a.has = {"cc": a.has["cc"]}
    a.tell("gives up")
    b.beat("gets")
    for partition in (0, 1):
        for epoch in (1, 2, 3):
            commit(f"partition {partition} at epoch {epoch}", v=10, partition=partition, epoch=epoch)
            commit(f"partition {partition} at epoch {epoch}", v=9, partition=partition, epoch=epoch)
            commit(f"partition {partition} at epoch {epoch} of b", id="b", partition=partition, epoch=epoch)
    a.leave()
    b.leave()
    commit("empty group", epoch=-1, id="")
    commit("empty group, an epoch", epoch=2)
    s.ask("OffsetDelete", 0, {"GroupId": "co", "Topics": [{"Name": "cc", "Partitions": [{"PartitionIndex": 0}]}]})


@case
def consumer_rebalance_timeout(s):
    begin(s, "rt", {"cr3": 2})
    a, b = Consumer(s, "rt", "a", ("cr3",), rebalance=300), Consumer(s, "rt", "b", ("cr3",))
    a.join()
    b.join()
    a.tell("is to give up")
    s.until(lambda: b.beat(quiet=True)["MemberEpoch"] > 3, "the other is not put out")
    a.tell("was put out")
    settle(b)
    describe(s, "rt")
    records(s, "rt")


@case
def consumer_and_classic(s):
    """A classic group is joined by members of the consumer protocol, and is classic again when they have gone."""
    begin(s, "mix", {"t": 4})
    m = Member(s, "mix", "m")
    m.join(v=5).joined()
    m.sync([(m.id, b"\0\1" + b"\0\0\0\1\0\1t\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\3" + b"\xff\xff\xff\xff")]).synced()
    c = Consumer(s, "mix", "c")
    c.beat("not known yet", MemberEpoch=1)
    c.join("joins the classic group")
    describe(s, "mix", note="mixed")
    describe_classic(s, "mix", note="mixed")
    m.heartbeat(note="is to join")
    m.sync(note="old generation").synced()
    owns = b"\0\1\0\0\0\1\0\1t" + b"\xff\xff\xff\xff" + b"\0\0\0\1\0\1t\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\3"
    m.offers = [{"Name": "range", "Metadata": owns}]
    m.join(note="has all").joined()
    m.sync().synced()
    m.heartbeat(note="is to give up")
    m.offers = [{"Name": "range", "Metadata": owns[:13] + b"\0\0\0\1\0\1t\0\0\0\2\0\0\0\0\0\0\0\1"}]
    m.join(note="gave up").joined()
    m.sync().synced()
    c.beat("gets")
    m.heartbeat(note="is settled")
    describe(s, "mix", note="settled")
    for note, other in (("wrong generation", {"GenerationId": 99}), ("unknown", {"MemberId": "nobody"}), ("of the other protocol", {"MemberId": "c"}), ("instance", {"GroupInstanceId": "i"})):
        m.heartbeat(note=note, **other)
        m.sync(note=note, **other).synced()
    m.sync(note="another type", ProtocolType="x").synced()
    m.sync(note="another protocol", ProtocolName="sticky").synced()
    s.ask("JoinGroup", 9, m.join_values(9, ProtocolType="x"), "another type")
    s.ask("JoinGroup", 9, m.join_values(9, Protocols=protocols("other")), "another protocol")
    s.ask("JoinGroup", 9, m.join_values(9, Protocols=[]), "no protocol")
    s.ask("JoinGroup", 9, m.join_values(9, MemberId="c", Protocols=protocols("other")), "of the other protocol")
    s.ask("JoinGroup", 9, m.join_values(9, GroupInstanceId="i"), "no such instance")
    s.ask("OffsetCommit", 8, {"GroupId": "mix", "MemberId": m.id, "GenerationIdOrMemberEpoch": 1, "Topics": [{"Name": "t", "Partitions": [{"PartitionIndex": 3}]}]}, "old generation")
    s.ask("LeaveGroup", 5, {"GroupId": "mix", "Members": [{"MemberId": "x"}, {"MemberId": "", "GroupInstanceId": "i"}]}, "not known")
    c.leave()
    describe(s, "mix", note="classic again")
    describe_classic(s, "mix", note="classic again", operations=False)
    m.heartbeat(note="the group is classic")
    records(s, "mix")


@case
def consumer_upgrade_refused(s):
    begin(s, "ur", {"cu": 1})
    m = Member(s, "ur", "m", topics=("cu",))
    m.join(v=5).joined()
    m.sync([(m.id, b"\0\1" + b"\0\0\0\1\0\2cu\0\0\0\1\0\0\0\0" + b"\0\0\0\1u")]).synced()
    c = Consumer(s, "ur", "c", ("cu",))
    c.join("the assignor is not ours")
    m.join(note="again").joined()
    m.sync([(m.id, b"\0\1garbage")]).synced()
    c.join("the assignment cannot be read")
    describe_classic(s, "ur", operations=False)
    e = Member(s, "ue", "e", topics=("cu",))
    begin(s, "ue")
    e.join(v=5).joined()
    e.sync([(e.id, b"")]).synced()
    e.leave()
    d = Consumer(s, "ue", "d", ("cu",))
    d.join("an empty classic group")
    describe(s, "ue")
    d.leave()
    e.id = ""
    e.join(note="an empty consumer group").joined()
    records(s, "ue")


@case
def consumer_random(s):
    """Members with good and bad epochs, ids and reports, 300 times."""
    begin(s, "rd", {"cd": 5, "cd2": 2})
    members = [Consumer(s, "rd", f"r{i}", ("cd",), instance=["one", None, "two", None][i]) for i in range(4)]
    rng = random.Random(848)
    for step in range(300):
        m = rng.choice(members)
        kind = rng.random()
        if m.epoch <= 0 or kind < 0.08:
            m.join(f"step {step} joins", SubscribedTopicNames=rng.choice([["cd"], ["cd"], ["cd", "cd2"], []]))
        elif kind < 0.14:
            m.leave(rng.choice([-1, -2]), f"step {step} leaves", **rng.choice([{}, {}, {"InstanceId": rng.choice([None, "one", "nope"])}]))
        elif kind < 0.6:
            m.tell(f"step {step} tells")
        elif kind < 0.7:
            m.beat(f"step {step} changes", SubscribedTopicNames=rng.choice([["cd"], ["cd", "cd2"], ["cd2"]]), TopicPartitions=owned(s, m.has))
        else:
            epoch = m.epoch
            m.beat(f"step {step} errs", MemberEpoch=rng.choice([epoch, epoch, epoch - 1, epoch + 1, 1, 7]), MemberId=rng.choice([m.id, m.id, m.id, "zz", "r0"]),
                   InstanceId=rng.choice([m.instance, m.instance, None, "one"]),
                   TopicPartitions=rng.choice([None, [], owned(s, m.has), owned(s, {"cd": [rng.randrange(7)]})]))
            if m.epoch <= 0:
                m.epoch = epoch
        if step % 30 == 29:
            describe(s, "rd", note=f"step {step}")
