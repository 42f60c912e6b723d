"""Share groups: heartbeats, the share coordinator's requests, ShareFetch and ShareAcknowledge, and the offsets' administration:
good and bad values, and scripts whose every answer is compared."""
import base64, random, uuid
from cases_classic import ready
from cases_consumer import probe
from wire import *

CASES = []
UNKNOWN = "11111111-2222-3333-4444-555555555555"
GIVEN_MS, NOTHING_MS = 40000, 300  # how long to wait where records are to be had, and where none are


def case(fn):
    CASES.append(fn)
    return fn


def configure(s, group, **configs):
    s.ask("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 32, "ResourceName": group, "Configs": [
        {"Name": "share." + k.replace("_", "."), "ConfigOperation": 0, "Value": v} for k, v in configs.items()]}]}, "configs of " + group)
    s.published()


def beat(s, group, member, epoch, topics=None, note="", quiet=False, **other):
    return s.ask("ShareGroupHeartbeat", 1, {"GroupId": group, "MemberId": member, "MemberEpoch": epoch, "SubscribedTopicNames": topics, **other}, note, quiet=quiet)


# ---- the share coordinator ---------------------------------------------------------------------------------------------------------

def states_ready(s, topic_id):
    """The topic of the share coordinator is there, each partition of it leads and is loaded."""
    key = base64.urlsafe_b64encode(uuid.UUID(topic_id).bytes).decode().rstrip("=")
    s.until(lambda: s.ask("FindCoordinator", 6, {"KeyType": 2, "CoordinatorKeys": [f"ready:{key}:0"]}, quiet=True)["Coordinators"][0]["ErrorCode"] == 0, "no share coordinator")
    for i in range(12):
        s.until(lambda: s.ask("ReadShareGroupStateSummary", 1, {"GroupId": f"ready{i}", "Topics": [{"TopicId": topic_id, "Partitions": [
            {"Partition": 0, "LeaderEpoch": -1}]}]}, quiet=True)["Results"][0]["Partitions"][0]["ErrorCode"] == 0, "the share coordinator does not load")


class States:
    def __init__(self, s, group, topic_id):
        self.s, self.group, self.topic_id = s, group, topic_id

    def call(self, name, version, values, note="", partition=0, topic=None, group=None):
        return self.s.ask(name, version, {"GroupId": self.group if group is None else group, "Topics": [
            {"TopicId": topic or self.topic_id, "Partitions": [{"Partition": partition, **values}]}]}, note)

    def init(self, epoch, start, note="", **other):
        return self.call("InitializeShareGroupState", 0, {"StateEpoch": epoch, "StartOffset": start}, note, **other)

    def read(self, epoch=-1, note="", **other):
        return self.call("ReadShareGroupState", 0, {"LeaderEpoch": epoch}, note, **other)

    def summary(self, epoch=-1, note="", **other):
        return self.call("ReadShareGroupStateSummary", 1, {"LeaderEpoch": epoch}, note, **other)

    def write(self, state, leader, start, count, ranges, note="", **other):
        return self.call("WriteShareGroupState", 1, {"StateEpoch": state, "LeaderEpoch": leader, "StartOffset": start, "DeliveryCompleteCount": count,
            "StateBatches": [{"FirstOffset": a, "LastOffset": b, "DeliveryState": t, "DeliveryCount": n} for a, b, t, n in ranges]}, note, **other)

    def delete(self, note="", **other):
        return self.call("DeleteShareGroupState", 0, {}, note, **other)


@case
def share_coordinator(s):
    t = s.create("shs", 2)
    states_ready(s, t)
    a = States(s, "shs-g", t)
    for note, other in (("unknown topic", {"topic": UNKNOWN}), ("no such partition", {"partition": 5}), ("negative partition", {"partition": -1}),
                        ("no group", {"group": ""}), ("not there", {"partition": 1})):
        a.read(note=note, **other), a.summary(note=note, **other), a.delete(note=note, **other)
        a.write(0, 0, 0, 0, [(0, 1, 2, 1)], note=note, **other)
        if note != "not there":
            a.init(0, 0, note=note, **other)
    for name in ("InitializeShareGroupState", "ReadShareGroupState", "WriteShareGroupState", "DeleteShareGroupState", "ReadShareGroupStateSummary"):
        for v in s.versions(name):
            s.ask(name, v, {"GroupId": "shs-g", "Topics": []}, "no topics")
            s.ask(name, v, {"GroupId": "shs-g", "Topics": [{"TopicId": t, "Partitions": []}]}, "no partitions")
    a.init(3, -1), a.summary(), a.read(), a.init(2, 5, "an older epoch"), a.init(3, 7, "the same epoch"), a.summary(), a.init(-1, 9, "no epoch"), a.summary()
    a.init(4, -5, "a negative start"), a.read(), a.init(4, 0)
    a.read(2, "leader epoch 2"), a.summary(), a.read(1, "leader epoch 1"), a.write(4, 1, 0, 0, [], "fenced leader"), a.write(3, 2, 0, 0, [], "fenced state")
    a.write(4, 5, 0, 3, [(0, 4, 2, 1), (5, 9, 0, 1)], "a later leader"), a.summary(), a.read()
    a.write(-1, -1, -1, 3, [(5, 9, 0, 2)], "no epochs, no start"), a.read(), a.write(4, 2, 5, 0, [(5, 5, 4, 2)]), a.read(), a.summary()
    a.write(4, 2, 5, 1, [(4, 7, 0, 1)], "stale"), a.read(), a.write(4, 2, 5, 1, [(5, 9, 2, 3), (20, 29, 4, 1), (6, 25, 0, 2)], "overlapping"), a.read()
    a.delete(), a.summary(), a.read(), a.delete("again"), a.init(0, 1, "any epoch"), a.summary(1)


@case
def share_state_random(s):
    """Ranges over ranges, and snapshots between them: the settings say one each 5 updates."""
    t = s.create("shr", 1)
    states_ready(s, t)
    rand = random.Random(932)
    for round in range(4):
        a = States(s, f"shr-{round}", t)
        a.init(1, 0)
        start = 0
        for i in range(14):
            ranges = []
            for _ in range(rand.randint(0, 4)):
                first = start + rand.randint(-3 if i % 3 == 0 else 0, 40)
                ranges.append((max(first, 0), max(first, 0) + rand.randint(0, 15), rand.choice([0, 2, 4]), rand.randint(1, 4)))
            start += rand.randint(0, 3)
            a.write(1, 0, start if rand.randint(0, 3) else -1, rand.randint(0, 9), ranges, f"{i}")
            a.read(note=f"{i}")


# ---- heartbeats -----------------------------------------------------------------------------------------------------------------------

@case
def share_heartbeat(s):
    s.create("shh", 1)
    ready(s, "shh-g")
    for note, values in (("no member", {"MemberId": ""}), ("long member", {"MemberId": "m" * 37}), ("no group", {"GroupId": ""}), ("no rack", {"RackId": ""}),
                         ("no topics", {"SubscribedTopicNames": None}), ("empty topics", {"SubscribedTopicNames": []}), ("epoch -2", {"MemberEpoch": -2}),
                         ("epoch 1, no group", {"MemberEpoch": 1}), ("leave, no group", {"MemberEpoch": -1})):
        s.ask("ShareGroupHeartbeat", 1, {"GroupId": "shh-g", "MemberId": "m1", "MemberEpoch": 0, "SubscribedTopicNames": ["shh"], **values}, note)
    beat(s, "shh-g", "m1", 0, ["shh-none"], "a topic that is not there", RackId="r1")
    for epoch in (0, 1, 2, 3, -1):
        beat(s, "shh-g", "m2", epoch, None if epoch else ["shh-none"], f"another with {epoch}")
    beat(s, "shh-g", "m2", -1, note="again")
    for i in range(3, 6):
        beat(s, "shh-g", f"m{i}", 0, ["shh-none"], "to the limit")
    beat(s, "shh-g", "m9", 0, ["shh-none"], "beyond the limit")
    s.ask("ConsumerGroupHeartbeat", 1, {"GroupId": "shh-g", "MemberId": "c" * 22, "MemberEpoch": 0, "RebalanceTimeoutMs": 1000, "SubscribedTopicNames": ["shh"],
                                        "TopicPartitions": []}, "as a consumer group", quiet=True)
    s.ask("DescribeGroups", 6, {"Groups": ["shh-g"]}, "as a classic group")
    s.ask("OffsetCommit", 9, {"GroupId": "shh-g", "GenerationIdOrMemberEpoch": -1, "MemberId": "", "Topics": [{"Name": "shh", "Partitions": [
        {"PartitionIndex": 0, "CommittedOffset": 1}]}]}, "an offset")
    s.ask("OffsetFetch", 9, {"Groups": [{"GroupId": "shh-g", "Topics": None}]}, "its offsets")
    s.ask("ListGroups", 5, {"StatesFilter": [], "TypesFilter": ["share"]}, "share groups")
    s.ask("ShareGroupDescribe", 1, {"GroupIds": ["", "shh-nope"], "IncludeAuthorizedOperations": True}, "unknown ones")
    s.ask("DeleteGroups", 2, {"GroupsNames": ["shh-g"]}, "with members")
    for i in (1, 3, 4, 5):
        beat(s, "shh-g", f"m{i}", -1)
    described = s.ask("ShareGroupDescribe", 1, {"GroupIds": ["shh-g"], "IncludeAuthorizedOperations": True}, quiet=True)["Groups"][0]
    s.tell("the empty group", [described["GroupState"], described["Members"], described["AuthorizedOperations"], described["AssignorName"]])
    s.ask("ListGroups", 5, {"StatesFilter": ["empty"], "TypesFilter": ["Share"]}, "empty share groups")
    s.ask("DeleteGroups", 2, {"GroupsNames": ["shh-g"]}, "without members")
    s.ask("DeleteGroups", 2, {"GroupsNames": ["shh-g"]}, "again")


# ---- fetch and acknowledge ----------------------------------------------------------------------------------------------------------------

class Member:
    def __init__(self, s, group, topic, name="m1", partitions=(0,)):
        self.s, self.group, self.topic, self.name, self.partitions, self.epoch = s, group, topic, name, partitions, 0

    def fetch(self, note="", records=500, batch_size=500, mode=0, acks=(), epoch=None, wait=GIVEN_MS, partitions=None, v=2, quiet=False, **other):
        """acks: (first, last, types) of partition 0."""
        epoch = self.epoch if epoch is None else epoch
        listed = self.partitions if partitions is None and (epoch == 0 or acks) else partitions or ()
        topics = [{"TopicId": self.topic, "Partitions": [{"PartitionIndex": p, "AcknowledgementBatches": [
            {"FirstOffset": a, "LastOffset": b, "AcknowledgeTypes": t} for a, b, t in (acks if p == 0 else ())]} for p in listed]}] if listed else []
        answer = self.s.ask("ShareFetch", v, {"GroupId": self.group, "MemberId": self.name, "ShareSessionEpoch": epoch, "MaxWaitMs": wait, "MinBytes": 1,
            "MaxBytes": 1 << 20, "MaxRecords": records, "BatchSize": batch_size, **({"ShareAcquireMode": mode} if v >= 2 else {}), "Topics": topics, **other}, note, quiet=quiet)
        self.epoch = epoch + 1 if epoch >= 0 and not answer.get("ErrorCode") else self.epoch
        return answer

    def gather(self, note, wanted, **first):
        """Fetches until it has been given the wanted records, {partition: offsets}; all it was given is compared, in however
        many answers it came. Kafka answers a fetch that brings acknowledgements, or that ends a session, before it has given
        the records back; and of what is to be had in several partitions it gives some."""
        given, options = {}, first
        def all_given():
            nonlocal options
            answer = self.fetch(quiet=True, wait=NOTHING_MS, **options)
            for part in (part for topic in answer["Responses"] for part in topic["Partitions"]):
                if options:
                    self.s.tell(f"{note}: acknowledged {part['PartitionIndex']}", [part["AcknowledgeErrorCode"], part["AcknowledgeErrorMessage"]])
                for one in part["AcquiredRecords"]:
                    for offset in range(one["FirstOffset"], one["LastOffset"] + 1):
                        given.setdefault(part["PartitionIndex"], {})[offset] = one["DeliveryCount"]
            options = {}
            return all(set(offsets) <= set(given.get(index, {})) for index, offsets in wanted.items())
        self.s.until(all_given, f"{note}: not given {wanted}")
        self.s.tell(note, [[index, sorted(found.items())] for index, found in sorted(given.items())])

    def ack(self, acks, note="", epoch=None, partition=0, v=2, renew=False, topic=None):
        epoch = self.epoch if epoch is None else epoch
        answer = self.s.ask("ShareAcknowledge", v, {"GroupId": self.group, "MemberId": self.name, "ShareSessionEpoch": epoch, **({"IsRenewAck": renew} if v >= 2 else {}),
            "Topics": [{"TopicId": topic or self.topic, "Partitions": [{"PartitionIndex": partition, "AcknowledgementBatches": [
                {"FirstOffset": a, "LastOffset": b, "AcknowledgeTypes": t} for a, b, t in acks]}]}]}, note)
        self.epoch = epoch + 1 if epoch > 0 and not answer.get("ErrorCode") else self.epoch
        return answer


def prepare(s, group, topic, partitions=1, sizes=(10, 10, 1, 1, 5), **configs):
    """A topic with batches, whose states stand at their beginning."""
    t = s.create(topic, partitions)
    ready(s, group)
    states_ready(s, t)
    configure(s, group, **configs)
    for p in range(partitions):
        for size in sizes:
            s.produce(topic, batch(records(size)), p)
        s.ask("InitializeShareGroupState", 0, {"GroupId": group, "Topics": [{"TopicId": t, "Partitions": [{"Partition": p, "StateEpoch": 1, "StartOffset": 0}]}]}, quiet=True)
    return t


@case
def share_sessions(s):
    t = prepare(s, "she", "she-t", 2)
    m = Member(s, "she", t, partitions=(0, 1))
    for note, other in (("no group", {"GroupId": None}), ("no member", {"MemberId": ""}), ("null member", {"MemberId": None}), ("long member", {"MemberId": "m" * 37})):
        m.fetch(note, **other)
        m.epoch = 0
    m.fetch("no session", epoch=1), m.fetch("close without", epoch=-1), m.ack([(0, 9, [1])], "no session", epoch=1), m.ack([], "epoch 0", epoch=0)
    m.epoch = 0
    m.fetch("acknowledge at once", acks=[(0, 1, [1])])
    m.epoch = 0
    m.fetch("open", partitions=(0,), v=1), m.fetch("nothing new", wait=NOTHING_MS), m.fetch("the same epoch", epoch=1), m.fetch("a later epoch", epoch=7)
    m.epoch = 2
    m.fetch("one more partition", partitions=(1,)), m.fetch("an unknown partition", partitions=(9,), wait=NOTHING_MS)
    m.fetch("forget it", wait=NOTHING_MS, ForgottenTopicsData=[{"TopicId": t, "Partitions": [9]}])
    m.fetch("no records", records=0), m.fetch("no bytes", MaxBytes=0)
    m.fetch("renew and fetch", IsRenewAck=True)
    m.ack([(0, 9, [1]), (10, 12, [1])], "some"), m.gather("released with a fetch", {0: range(13, 16)}, acks=[(13, 15, [2])])
    m.fetch("close with acks", epoch=-1, acks=[(16, 17, [1])])
    m.fetch("closed", epoch=m.epoch)
    n = Member(s, "she", t, "m2", (0, 1))
    n.gather("another gets what was given back", {0: [*range(13, 16), *range(18, 27)], 1: range(27)}), n.ack([], "close", epoch=-1)
    m.epoch = 0
    m.fetch("a bad mode", mode=2)


@case
def share_acquire(s):
    t = prepare(s, "sha", "sha-t")
    m, n = Member(s, "sha", t), Member(s, "sha", t, "m2")
    m.fetch("3 of 10", records=3), m.fetch("12, batches of 5", records=12, batch_size=5), n.fetch("the rest"), n.fetch("nothing", wait=NOTHING_MS)
    m.ack([(0, 9, [1, 1, 2, 3, 0, 1, 1, 1, 1, 1])], "each of them")
    n.fetch("the released one"), n.ack([(2, 2, [2])], "again"), m.fetch("a third time"), m.ack([(2, 2, [2])], "again")
    n.fetch("a fourth time"), n.ack([(2, 2, [2])], "again"), m.fetch("the last time"), m.ack([(2, 2, [2])], "again"), n.fetch("no more", wait=NOTHING_MS)
    t = prepare(s, "shl", "shl-t", sizes=(10, 7, 3))
    m, n = Member(s, "shl", t), Member(s, "shl", t, "m2")
    for i, count in enumerate((2, 3, 3, 5, 4, 20)):
        (m if i % 2 == 0 else n).fetch(f"exactly {count}", records=count, mode=1)
    m.ack([(0, 1, [2]), (5, 7, [1, 2, 1])], "some back"), n.fetch("exactly 2", records=2, mode=1), n.fetch("exactly 2 more", records=2, mode=1)


@case
def share_acknowledge(s):
    t = prepare(s, "shk", "shk-t", sizes=(10, 10, 10))
    m, n = Member(s, "shk", t), Member(s, "shk", t, "m2")
    m.fetch("10", records=5), n.fetch("10 more", records=5)
    for v in (1, 2):
        for note, acks in (("backwards", [(5, 3, [1])]), ("overlapping", [(0, 3, [1]), (2, 4, [1])]), ("no types", [(0, 1, [])]), ("too few types", [(0, 4, [1, 1])]),
                           ("a bad type", [(0, 1, [9])]), ("a negative type", [(0, 1, [-1])]), ("renew", [(0, 1, [4])]), ("past all", [(100, 101, [1])]),
                           ("past the end", [(5, 25, [1])]), ("another's", [(10, 12, [1])]), ("another's whole", [(10, 19, [1])]), ("mixed", [(8, 11, [1])]), ("none", []),
                           ("not given out", [(20, 22, [1])])):
            m.ack(acks, f"{note}", v=v)
    m.ack([(0, 1, [1])], "no such partition", partition=4), m.ack([(0, 1, [1])], "unknown topic", topic=UNKNOWN)
    m.ack([(0, 3, [4])], "renewed", renew=True), m.ack([(0, 3, [1])], "then accepted"), m.ack([(0, 3, [1])], "twice"), m.ack([(2, 5, [1])], "half of it twice")
    m.ack([(4, 9, [3])], "rejected"), m.ack([(4, 9, [1])], "below the start"), n.ack([(10, 19, [2])], "released"), n.ack([(10, 19, [1])], "released, then accepted")
    m.fetch("the released"), m.ack([(10, 29, [1])], "all of them"), m.fetch("nothing left", wait=NOTHING_MS)


@case
def share_limits(s):
    t = prepare(s, "shn", "shn-t", sizes=(10,) * 12, partition_max_record_locks="100", delivery_count_limit="3")
    m, n = Member(s, "shn", t), Member(s, "shn", t, "m2")
    m.fetch("to the limit", records=95), m.fetch("at the limit", wait=NOTHING_MS), n.fetch("at the limit", wait=NOTHING_MS)
    m.ack([(20, 29, [2])], "some back"), n.fetch("those"), m.ack([(0, 9, [1])], "the first"), n.fetch("as many more")
    n.ack([(20, 29, [2])], "back again"), m.fetch("few at a time"), m.fetch("few at a time"), m.fetch("few at a time")


@case
def share_offsets(s):
    t = s.create("sho-t", 2)
    ready(s, "sho")
    states_ready(s, t)
    describe = lambda note, topics, group="sho": s.each("DescribeShareGroupOffsets", {"Groups": [{"GroupId": group, "Topics": topics}]}, note)
    alter = lambda note, topics, group="sho": s.ask("AlterShareGroupOffsets", 0, {"GroupId": group, "Topics": [
        {"TopicName": name, "Partitions": [{"PartitionIndex": p, "StartOffset": o} for p, o in parts]} for name, parts in topics]}, note)
    delete = lambda note, *topics, group="sho": s.ask("DeleteShareGroupOffsets", 0, {"GroupId": group, "Topics": [{"TopicName": name} for name in topics]}, note)
    describe("unknown group", None), describe("unknown group's topic", [{"TopicName": "sho-t", "Partitions": [0]}, {"TopicName": "sho-none", "Partitions": [0]}])
    probe(s, "sho", "sho-t")
    delete("unknown group", "sho-t"), delete("no group", "sho-t", group=""), alter("no group", [("sho-t", [(0, 1)])], group="")
    for size in (5, 5):
        s.produce("sho-t", batch(records(size)), 0)
    alter("new group", [("sho-t", [(0, 3), (9, 0)]), ("sho-none", [(0, 0)])])
    s.until(lambda: s.ask("DescribeShareGroupOffsets", 1, {"Groups": [{"GroupId": "sho", "Topics": None}]}, quiet=True)["Groups"][0]["Topics"], "nothing initialized")
    describe("all", None), describe("some", [{"TopicName": "sho-t", "Partitions": [0, 1]}]), describe("none", [])
    s.ask("ShareGroupDescribe", 1, {"GroupIds": ["sho"]}, "the new group")
    alter("again", [("sho-t", [(0, 5), (1, 0)])])
    s.until(lambda: sorted(p["StartOffset"] for p in s.ask("DescribeShareGroupOffsets", 1, {"Groups": [{"GroupId": "sho", "Topics": None}]}, quiet=True)["Groups"][0]["Topics"][0]["Partitions"]) == [0, 5], "not both")
    describe("both", None)
    s.ask("ShareGroupHeartbeat", 1, {"GroupId": "sho", "MemberId": "m1", "MemberEpoch": 0, "SubscribedTopicNames": ["sho-t"]}, quiet=True)
    alter("with a member", [("sho-t", [(0, 1)])]), delete("with a member", "sho-t"), beat(s, "sho", "m1", -1, quiet=True)
    delete("one of them", "sho-t", "sho-none"), describe("after that", None), delete("again", "sho-t")
    s.ask("DeleteGroups", 2, {"GroupsNames": ["sho"]}), describe("after all", None)
    s.ask("DeleteShareGroupOffsets", 0, {"GroupId": "sho", "Topics": []}, "of nothing")


@case
def share_configs(s):
    for i, (note, configs) in enumerate((("fine", {"record_lock_duration_ms": "2000", "delivery_count_limit": "3"}), ("lock too short", {"record_lock_duration_ms": "500"}),
            ("lock too long", {"record_lock_duration_ms": "9999999"}), ("few deliveries", {"delivery_count_limit": "1"}), ("many deliveries", {"delivery_count_limit": "11"}),
            ("few locks", {"partition_max_record_locks": "99"}), ("many locks", {"partition_max_record_locks": "10001"}), ("none", {"auto_offset_reset": "none"}),
            ("duration", {"auto_offset_reset": "by_duration:P1DT2H"}), ("bad duration", {"auto_offset_reset": "by_duration:xx"}), ("isolation", {"isolation_level": "x"}),
            ("committed", {"isolation_level": "read_committed"}), ("session below beat", {"session_timeout_ms": "45000", "heartbeat_interval_ms": "45000"}),
            ("no boolean", {"renew_acknowledge_enable": "x"}), ("boolean", {"renew_acknowledge_enable": "false"}))):
        configure(s, f"shc-{i}", **configs)
