"""JoinGroup, SyncGroup, Heartbeat, LeaveGroup, DescribeGroups: good and bad values in every state of a group, scripts of
several members whose joins and syncs wait for each other, and the records that come of it. The initial delay is 0 here."""
import random, struct
import schema
from wire import *

CASES = []
SESSION, REBALANCE = 60000, 60000


def case(fn):
    CASES.append(fn)
    return fn


def subscription(*topics, version=1):
    out = struct.pack(">hi", version, len(topics))
    for topic in topics:
        out += struct.pack(">h", len(topic)) + topic.encode()
    return out + struct.pack(">i", -1) + struct.pack(">i", 0)


def protocols(*names, topics=("t",)):
    return [{"Name": name, "Metadata": subscription(*topics)} for name in names or ("range",)]


COORDINATORS = 4  # as the settings say: of groups, and of transactions


def partition_of(name):
    """The partition whose coordinator has the group, or the transactional id."""
    hash = 0
    for c in name:
        hash = (hash * 31 + ord(c)) & 0xffffffff
    return abs(hash - (1 << 32) if hash >> 31 else hash) % COORDINATORS


def one_of_each_partition(prefix):
    """A name for each of the coordinators."""
    found = {}
    for name in (f"{prefix}{i}" for i in range(1000)):
        found.setdefault(partition_of(name), name)
    return [found[i] for i in range(COORDINATORS)]


def ready(s, group=None):
    """The coordinators of groups are there: of this group, and of those of any other name."""
    for name in one_of_each_partition("ready") + [group]:
        if name is not None and ("group", name) not in s.loaded:
            s.until(lambda: s.ask("FindCoordinator", 4, {"KeyType": 0, "CoordinatorKeys": [name]}, quiet=True)["Coordinators"][0]["ErrorCode"] == 0,
                    "no coordinator")
            s.until(lambda: s.ask("DescribeGroups", 5, {"Groups": [name]}, quiet=True)["Groups"][0]["ErrorCode"] == 0, "the coordinator does not answer")
            s.loaded.add(("group", name))


def describe(s, *groups, version=6, note="", operations=True):
    return s.ask("DescribeGroups", version, {"Groups": list(groups), **({"IncludeAuthorizedOperations": operations} if version >= 3 else {})}, note)


def describe_quietly(s, group):
    return s.ask("DescribeGroups", 5, {"Groups": [group]}, quiet=True)["Groups"][0]


def preparing(s, group):
    s.until(lambda: describe_quietly(s, group)["GroupState"] == "PreparingRebalance", "no rebalance")


class Member:
    """A client with one connection for joins and syncs, which may wait, and one for the rest."""

    def __init__(self, s, group, name="m", instance=None, offers=None, topics=("t",), session=SESSION, rebalance=REBALANCE):
        self.s, self.group, self.name, self.instance, self.id, self.generation = s, group, name, instance, "", -1
        self.offers, self.session, self.rebalance = offers or protocols("range", topics=topics), session, rebalance
        self.waits, self.talks = s.new_connection(), s.new_connection()
        self.protocol, self.leader, self.members = None, None, []

    def fields(self, version, since, name, value):
        return {name: value} if version >= since else {}

    def join_values(self, v, **other):
        return {"GroupId": self.group, "SessionTimeoutMs": self.session, "MemberId": self.id, "ProtocolType": "consumer", "Protocols": self.offers,
                **self.fields(v, 1, "RebalanceTimeoutMs", self.rebalance), **self.fields(v, 5, "GroupInstanceId", self.instance), **other}

    def join(self, v=9, note="", **other):
        """Sent; joined() has the answer. A new member that is to come back with an id does."""
        if not self.id and not self.instance and v >= 4:
            answer = self.s.ask("JoinGroup", v, self.join_values(v, **other), f"{self.name} {note} is told its id", conn=self.waits, client_id=self.name)
            self.id = answer["MemberId"]
        self.begun = self.s.begin("JoinGroup", v, self.join_values(v, **other), f"{self.name} {note}", conn=self.waits, client_id=self.name)
        return self

    def joined(self):
        answer = self.s.end(self.begun)
        if not answer.get("ErrorCode"):
            self.id, self.generation, self.protocol = answer["MemberId"], answer["GenerationId"], answer["ProtocolName"]
            self.leader, self.members = answer["Leader"], [m["MemberId"] for m in answer["Members"]]
        return answer

    def sync_values(self, v, assignments=(), **other):
        return {"GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id,
                "Assignments": [{"MemberId": id, "Assignment": data} for id, data in assignments],
                **self.fields(v, 3, "GroupInstanceId", self.instance), **self.fields(v, 5, "ProtocolType", "consumer"),
                **self.fields(v, 5, "ProtocolName", self.protocol), **other}

    def sync(self, assignments=(), v=5, note="", **other):
        self.begun = self.s.begin("SyncGroup", v, self.sync_values(v, assignments, **other), f"{self.name} {note}", conn=self.waits, client_id=self.name)
        return self

    def synced(self):
        return self.s.end(self.begun)

    def heartbeat(self, v=4, note="", **other):
        return self.s.ask("Heartbeat", v, {"GroupId": self.group, "GenerationId": self.generation, "MemberId": self.id,
                                           **self.fields(v, 3, "GroupInstanceId", self.instance), **other}, f"{self.name} {note}", conn=self.talks)

    def leave(self, v=5, note="", **other):
        one = {"MemberId": self.id, **self.fields(v, 3, "GroupInstanceId", self.instance)}
        values = {"GroupId": self.group, **({"Members": [{**one, **other}]} if v >= 3 else {"MemberId": self.id, **other})}
        return self.s.ask("LeaveGroup", v, values, f"{self.name} {note}", conn=self.talks)


def rebalance(*members, note=""):
    """All of them join, the leader assigns each its name."""
    for member in members:
        member.join(note=note)
    for member in members:
        member.joined()
    leader = next(m for m in members if m.leader == m.id)
    for member in members:
        if member is not leader:
            member.sync(note=note)
    leader.sync([(m.id, b"for " + m.name.encode()) for m in members], note=note)
    for member in members:
        member.synced()
    return leader


def one_after_the_other(s, group, *members):
    """The first forms a group; each next one makes those before it join again."""
    ready(s, group)
    rebalance(members[0], note="alone")
    for i in range(1, len(members)):
        members[i].join(note="comes")
        s.until(lambda: members[0].s.ask("Heartbeat", 4, {"GroupId": group, "GenerationId": members[0].generation, "MemberId": members[0].id,
                                                         "GroupInstanceId": members[0].instance}, quiet=True)["ErrorCode"] == 27, "no rebalance")
        for member in members[:i]:
            member.join(note="again")
        for member in members[:i + 1]:
            member.joined()
        leader = next(m for m in members[:i + 1] if m.leader == m.id)
        for member in members[:i + 1]:
            if member is not leader:
                member.sync()
        leader.sync([(m.id, b"for " + m.name.encode()) for m in members[:i + 1]])
        for member in members[:i + 1]:
            member.synced()
    return leader


# ---- records -----------------------------------------------------------------------------------------------------------

def record_messages():
    found = {}
    for message in schema.parse(open(os.path.join(ROOT, "src/protocol/schema/group-coordinator-records.msg")).read()):
        found[message.kind, message.key] = message
    return found


def unpack(raw):
    """The records of one batch: [(key, value)]."""
    at, found = 0, []

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = raw[at]
            at += 1
            n |= (byte & 0x7f) << shift
            if byte < 0x80:
                return (n >> 1) ^ -(n & 1)
            shift += 7

    def part():
        nonlocal at
        size = number()
        at += max(size, 0)
        return None if size < 0 else raw[at - size:at]
    while at < len(raw):
        number()
        at += 1
        number(), number()
        found.append((part(), part()))
        for _ in range(number()):
            part(), part()
    return found


def group_records(s, group, note="", adjust=lambda found: found):
    """What the log says of the group, in order."""
    known, found = record_messages(), []
    for partition in range(4):
        answer = s.ask("Fetch", 12, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 50000000, "Topics": [{"Topic": "__consumer_offsets", "Partitions": [
            {"Partition": partition, "FetchOffset": 0, "PartitionMaxBytes": 50000000}]}]}, quiet=True)
        for one in batches(answer["Responses"][0]["Partitions"][0]["Records"] or b""):
            for key, value in unpack(bytes.fromhex(one["payload"])) if not one["attributes"] & 0x20 else []:
                kind = struct.unpack_from(">h", key)[0]
                named = Reader(key[2:], False).fields(known["coordinator-key", kind].fields, 0)
                if named.get("group", named.get("GroupId")) != group:
                    continue
                body = None
                if value is not None:
                    version = struct.unpack_from(">h", value)[0]
                    message = known["coordinator-value", kind]
                    body = {"version": version, **Reader(value[2:], within(message.flexible, version)).fields(message.fields, version)}
                    if kind == 2:  # in the order of a hash map
                        body["members"].sort(key=lambda m: s.members.get(m["memberId"], ""))
                found.append({"key": [kind, named], "value": body})
    s.log.append((f"{s.case}: records {note}", "records", s.normal("records", adjust(found))))


# ---- cases -------------------------------------------------------------------------------------------------------------

@case
def classic_join_alone(s):
    ready(s, "x")
    for v in s.versions("JoinGroup"):
        group = f"alone{v}"
        m = Member(s, group, f"v{v}", offers=protocols("range", "roundrobin"))
        s.ask("JoinGroup", v, m.join_values(v, GroupId=""), "no group id")
        s.ask("JoinGroup", v, m.join_values(v, GroupId="", MemberId="abc"), "no group id, a member id")
        for timeout in (-1, 0, 999, 300001, 2147483647):
            s.ask("JoinGroup", v, m.join_values(v, SessionTimeoutMs=timeout, MemberId="abc"), f"session timeout {timeout}")
        s.ask("JoinGroup", v, m.join_values(v, MemberId="abc"), "an id that is not known")
        describe(s, group, note="no group")
        s.ask("JoinGroup", v, m.join_values(v, GroupId=group + "x", Protocols=[]), "no protocols")
        s.ask("JoinGroup", v, m.join_values(v, GroupId=group + "y", ProtocolType=""), "no type")
        s.ask("JoinGroup", v, m.join_values(v, GroupId=group + "y", ProtocolType="", MemberId="abc"), "no type, id not known")
        describe(s, group + "x", group + "y", note="refused")
        m.join(v).joined()
        describe(s, group, note="completing")
        sync = min(v, 5)
        for note, other in (("generation", {"GenerationId": 7}), ("member", {"MemberId": "abc"}), ("no member", {"MemberId": ""}), ("no group id", {"GroupId": ""}),
                            ("no group", {"GroupId": "nope"})):
            s.ask("SyncGroup", sync, m.sync_values(sync, **other), "other " + note)
        m.sync([(m.id, b"all"), ("stranger", b"x")], v=sync).synced()
        m.sync([(m.id, b"other")], v=sync, note="again").synced()
        describe(s, group, note="stable")
        m.leave(v=min(v, 5))
        describe(s, group, note="empty")
        group_records(s, group)


@case
def classic_member_ids(s):
    ready(s, "ids")
    m = Member(s, "ids", "first")
    for v in range(4, 10):
        s.ask("JoinGroup", v, m.join_values(v), "new", client_id="a client")
    s.ask("JoinGroup", 9, m.join_values(9), "no client id", client_id="")
    describe(s, "ids", note="pending only")
    pending = s.ask("JoinGroup", 9, m.join_values(9), "one more")["MemberId"]
    m.id = pending
    m.heartbeat(note="of a pending id", GenerationId=0)
    s.ask("SyncGroup", 5, m.sync_values(5, GenerationId=0, ProtocolName="range"), "of a pending id")
    s.ask("JoinGroup", 9, m.join_values(9, GroupInstanceId="static"), "a pending id with an instance id")
    s.ask("JoinGroup", 9, m.join_values(9, ProtocolType="other", Protocols=[]), "a pending id without protocols")
    s.ask("LeaveGroup", 5, {"GroupId": "ids", "Members": [{"MemberId": pending}]}, "a pending id")
    s.ask("LeaveGroup", 5, {"GroupId": "ids", "Members": [{"MemberId": pending}]}, "a pending id again")
    s.ask("JoinGroup", 9, m.join_values(9), "which left")
    group_records(s, "ids")


@case
def classic_two_members(s):
    a, b = Member(s, "two", "a", offers=protocols("range", "sticky")), Member(s, "two", "b", offers=protocols("sticky", "range"))
    one_after_the_other(s, "two", a, b)
    describe(s, "two")
    for m in (a, b):
        for v in s.versions("Heartbeat"):
            m.heartbeat(v)
            m.heartbeat(v, note="old generation", GenerationId=m.generation - 1)
            m.heartbeat(v, note="generation to come", GenerationId=m.generation + 1)
            m.heartbeat(v, note="stranger", MemberId="stranger")
            m.heartbeat(v, note="no group id", GroupId="")
            m.heartbeat(v, note="no group", GroupId="nope")
        m.heartbeat(4, note="not static", GroupInstanceId="static")
    follower = b if a.leader == a.id else a
    for v in s.versions("JoinGroup"):
        follower.join(v, note="the follower again").joined()
    for v in s.versions("SyncGroup"):
        s.ask("SyncGroup", v, follower.sync_values(v), "the follower again")
        s.ask("SyncGroup", v, follower.sync_values(v, GenerationId=99), "another generation")
        if v >= 5:
            s.ask("SyncGroup", v, follower.sync_values(v, ProtocolType="x"), "another type")
            s.ask("SyncGroup", v, follower.sync_values(v, ProtocolName="x"), "another protocol")
            s.ask("SyncGroup", v, follower.sync_values(v, ProtocolName=None), "no protocol")
            s.ask("SyncGroup", v, follower.sync_values(v, ProtocolType=None), "no type")
    for v in s.versions("JoinGroup"):
        values = follower.join_values(v)
        s.ask("JoinGroup", v, {**values, "ProtocolType": "connect"}, "another type")
        s.ask("JoinGroup", v, {**values, "Protocols": protocols("other")}, "another protocol")
        s.ask("JoinGroup", v, {**values, "MemberId": "stranger"}, "stranger")
        s.ask("JoinGroup", v, {**values, "MemberId": "", "Protocols": protocols("other")}, "a new one with another protocol")
    follower.offers = protocols("range", "sticky", topics=("t", "u"))
    follower.join(note="with other topics")
    preparing(s, "two")
    leader = a if follower is b else b
    leader.heartbeat(note="is told to join")
    describe(s, "two", note="preparing")
    s.ask("SyncGroup", 5, leader.sync_values(5), "while others join")
    leader.join().joined()
    follower.joined()
    describe(s, "two", note="completing")
    for v in s.versions("JoinGroup"):
        leader.join(v, note="the leader again").joined()
        follower.join(v, note="the follower again").joined()
    follower.sync()
    leader.sync([(leader.id, b"1")])
    leader.synced(), follower.synced()
    leader.leave()
    follower.heartbeat(note="after the leader left")
    follower.join(note="alone").joined()
    follower.sync([(follower.id, b"2")]).synced()
    group_records(s, "two")


@case
def classic_rebalance_while_syncing(s):
    a, b, c = (Member(s, "syncing", name) for name in "abc")
    one_after_the_other(s, "syncing", a, b)
    leader, follower = (a, b) if a.leader == a.id else (b, a)
    leader.join()
    preparing(s, "syncing")
    follower.join().joined()
    leader.joined()
    follower.sync(note="waits")
    follower.heartbeat(note="while its sync waits")
    c.join(note="comes in between")
    follower.synced()
    for m in (leader, follower):
        m.heartbeat()
        m.join()
    for m in (leader, follower, c):
        m.joined()
    describe(s, "syncing", note="completing")
    leader.sync([(c.id, b"only c")])
    leader.synced()
    c.sync(note="late").synced()
    follower.sync(note="later").synced()
    group_records(s, "syncing")


@case
def classic_leaves(s):
    ready(s, "leaves")
    for v in s.versions("LeaveGroup"):
        group = f"leaves{v}"
        m = Member(s, group, f"v{v}")
        m.leave(v, note="no group")
        rebalance(m)
        m.leave(v, note="stranger", MemberId="stranger")
        m.leave(v, note="nobody", MemberId="")
        if v >= 3:
            ask = lambda members, note, name=group: s.ask("LeaveGroup", v, {"GroupId": name, "Members": members}, note)
            ask([], "no members")
            ask([], "no members of no group", "nope")
            ask([{"MemberId": "x"}, {"MemberId": "", "GroupInstanceId": "i"}], "strangers")
            ask([{"MemberId": "x"}, {"MemberId": "", "GroupInstanceId": "i"}], "strangers of no group", "nope")
            ask([{"MemberId": m.id, "GroupInstanceId": "i"}], "an instance that is not there")
            ask([{"MemberId": "x"}, {"MemberId": m.id}, {"MemberId": m.id}], "a stranger, a member twice")
        else:
            m.leave(v)
        m.leave(v, note="again")
        s.ask("LeaveGroup", v, {"GroupId": ""}, "no group id")
        describe(s, group)
        m.heartbeat()
        s.ask("SyncGroup", 5, m.sync_values(5), "of an empty group")
        s.ask("JoinGroup", 9, m.join_values(9), "one that left")
        group_records(s, group)


@case
def classic_static_members(s):
    a, b = Member(s, "static", "a", "one"), Member(s, "static", "b", "two")
    one_after_the_other(s, "static", a, b)
    leader, follower = (a, b) if a.leader == a.id else (b, a)
    for v in range(5, 10):
        for old in (follower, leader):
            new = Member(s, "static", f"{old.name}{v}", old.instance)
            new.join(v, note="comes back").joined()
            old.heartbeat(note="is fenced")
            s.ask("SyncGroup", 5, old.sync_values(5), "is fenced")
            s.ask("JoinGroup", v, old.join_values(v), "is fenced")
            old.leave(note="is fenced")
            new.sync().synced()
            new.heartbeat()
            new.heartbeat(note="another instance", GroupInstanceId="three")
            new.heartbeat(note="no instance", GroupInstanceId=None)
            if old is follower:
                follower = new
            else:
                leader = new
    describe(s, "static")
    follower.offers = protocols("range", topics=("t", "u"))
    new = Member(s, "static", "other topics", follower.instance, topics=("other",))
    new.join(note="comes back with other topics").joined()
    follower = new
    leader.heartbeat(note="is not disturbed")
    s.ask("JoinGroup", 9, {**follower.join_values(9), "MemberId": "", "GroupInstanceId": follower.instance, "Protocols": protocols("roundrobin")}, "another protocol")
    s.ask("LeaveGroup", 5, {"GroupId": "static", "Members": [{"MemberId": "", "GroupInstanceId": "three"}]}, "an instance that is not there")
    s.ask("LeaveGroup", 5, {"GroupId": "static", "Members": [{"MemberId": follower.id, "GroupInstanceId": leader.instance}]}, "another's instance")
    s.ask("LeaveGroup", 5, {"GroupId": "static", "Members": [{"MemberId": "", "GroupInstanceId": follower.instance}]}, "an administrator")
    leader.heartbeat(note="is told")
    leader.join(note="alone").joined()
    new = Member(s, "static", "while completing", leader.instance)
    new.join(note="comes back while completing").joined()
    new.sync([(new.id, b"x")]).synced()
    group_records(s, "static")


@case
def classic_static_member_changes_the_protocol(s):
    a, b = Member(s, "revote", "a", "one", offers=protocols("range", "sticky")), Member(s, "revote", "b", "two", offers=protocols("range", "sticky"))
    one_after_the_other(s, "revote", a, b)
    leader, follower = (a, b) if a.leader == a.id else (b, a)
    new = Member(s, "revote", "new", follower.instance, offers=protocols("sticky"))
    new.join()
    preparing(s, "revote")
    follower.heartbeat(note="is fenced")
    third = Member(s, "revote", "third", follower.instance, offers=protocols("sticky"))
    third.join(note="takes the place of one that waits")
    new.joined()
    leader.join().joined()
    third.joined()
    third.sync()
    leader.sync([(third.id, b"t"), (leader.id, b"l")])
    leader.synced(), third.synced()
    describe(s, "revote")
    group_records(s, "revote")


@case
def classic_votes(s):
    """Which of several protocols is chosen, ties too."""
    for i, offers in enumerate([
            [("a", "b"), ("b", "a")], [("a", "b"), ("b", "a"), ("b", "a")], [("x", "a", "b"), ("b", "y", "a")], [("range", "roundrobin"), ("roundrobin", "range")],
            [("range", "sticky"), ("sticky", "range")], [("cooperative-sticky", "range"), ("range", "cooperative-sticky")], [("rr", "range"), ("range", "rr")],
            [("rr", "range", "sticky"), ("range", "sticky", "rr"), ("sticky", "rr", "range")], [("\u00fc", "a"), ("a", "\u00fc")],
            [("p%d" % n for n in range(10)), ("p%d" % n for n in range(9, -1, -1))], [("", "a"), ("a", "")]]):
        group = f"votes{i}"
        members = [Member(s, group, f"m{k}", offers=protocols(*names)) for k, names in enumerate(map(list, offers))]
        one_after_the_other(s, group, *members)
        describe(s, group)


@case
def classic_group_of_another_type(s):
    ready(s, "connect")
    m = Member(s, "connect", "worker", offers=[{"Name": "default", "Metadata": b""}, {"Name": "compatible", "Metadata": b"\xff"}])
    m.join(ProtocolType="connect").joined()
    m.sync([(m.id, b"")], ProtocolType="connect").synced()
    describe(s, "connect")
    other = Member(s, "connect", "consumer", offers=m.offers)
    s.ask("JoinGroup", 9, other.join_values(9), "a consumer")
    s.ask("JoinGroup", 3, other.join_values(3), "a consumer")
    m.leave()
    describe(s, "connect")
    other.join(note="now that it is empty").joined()
    other.sync([(other.id, b"1")]).synced()
    describe(s, "connect")
    group_records(s, "connect")


@case
def classic_group_is_full(s):
    members = [Member(s, "full", f"m{i}") for i in range(4)]
    one_after_the_other(s, "full", *members)
    for v in s.versions("JoinGroup"):
        s.ask("JoinGroup", v, Member(s, "full").join_values(v), "one too many")
        if v >= 5:
            s.ask("JoinGroup", v, Member(s, "full", instance="static").join_values(v), "a static one too many")
        s.ask("JoinGroup", v, Member(s, "full").join_values(v, MemberId="stranger"), "a stranger too many")
    leader = next(m for m in members if m.leader == m.id)
    leader.join()
    preparing(s, "full")
    s.ask("JoinGroup", 9, Member(s, "full").join_values(9), "there is room while others join")
    others = [m for m in members if m is not leader]
    for m in others:
        m.join(note="again")
    s.tell("waiting", [m.name for m in others])


@case
def classic_timeouts(s):
    """Sessions of 3 s end; a member that does not join, or sync, in time is left out."""
    a, b = Member(s, "timeouts", "a", rebalance=3000), Member(s, "timeouts", "b", session=3000, rebalance=3000)
    one_after_the_other(s, "timeouts", a, b)
    s.until(lambda: len(describe_quietly(s, "timeouts")["Members"]) == 1, "the session does not end")
    b.heartbeat(note="after its session")
    describe(s, "timeouts", note="one is gone")
    a.join().joined()
    b = Member(s, "timeouts", "b", rebalance=3000)
    b.join(note="comes")
    b.joined()
    a.heartbeat(note="did not join in time")
    b.sync([(b.id, b"alone")]).synced()
    b.join(note="does not sync").joined()
    s.until(lambda: describe_quietly(s, "timeouts")["GroupState"] != "CompletingRebalance", "it is waited for")
    describe(s, "timeouts", note="did not sync in time")
    b.heartbeat(note="did not sync in time")
    group_records(s, "timeouts")


@case
def classic_static_members_away(s):
    """A rebalance goes on without a static member until its session ends."""
    a, b = Member(s, "away", "a", "one", rebalance=3000), Member(s, "away", "b", "two", session=12000, rebalance=3000)
    one_after_the_other(s, "away", a, b)
    a.join(note="again").joined()
    a.sync([(m, b"for " + m[:1].encode()) for m in a.members]).synced()
    describe(s, "away", note="with one that did not join")
    b.heartbeat(note="of a generation that is over", GenerationId=b.generation)
    group_records(s, "away")


@case
def classic_describe(s):
    ready(s, "described")
    m = Member(s, "described", "d\u00e9")
    rebalance(m)
    for v in s.versions("DescribeGroups"):
        describe(s, "described", version=v, note="one", operations=False)
        describe(s, "described", version=v, note="operations")
        describe(s, version=v, note="nothing")
        describe(s, "described", "described", "nope", "", version=v, note="several", operations=False)


@case
def classic_random(s):
    """Requests that are answered at once, with values good and bad, at a stable group of three."""
    a, b, c = Member(s, "random", "a", offers=protocols("range", "sticky")), Member(s, "random", "b", offers=protocols("range", "sticky")), \
        Member(s, "random", "c", "static", offers=protocols("range", "sticky"))
    leader = one_after_the_other(s, "random", a, b, c)
    rng = random.Random(4)
    followers = [m for m in (a, b, c) if m is not leader]
    for step in range(150):
        m = rng.choice(followers + [leader])
        id = rng.choice([m.id, m.id, m.id, rng.choice([a, b, c]).id, "", "stranger"])
        instance = rng.choice([m.instance, m.instance, m.instance, None, "static", "", "nope"])
        generation = rng.choice([m.generation, m.generation, m.generation, -1, 0, m.generation + 1, 2147483647, -2147483648])
        group = rng.choice(["random"] * 6 + ["", "nope"])
        kind = rng.choice(["Heartbeat", "SyncGroup", "JoinGroup", "LeaveGroup"])
        note = f"step {step}"
        if kind == "Heartbeat":
            s.ask(kind, rng.choice([3, 4]), {"GroupId": group, "GenerationId": generation, "MemberId": id, "GroupInstanceId": instance}, note)
        elif kind == "SyncGroup":
            s.ask(kind, 5, {**m.sync_values(5, GroupId=group, GenerationId=generation, MemberId=id, GroupInstanceId=instance),
                            "ProtocolType": rng.choice(["consumer", "consumer", "", "x"]),
                            "ProtocolName": rng.choice([m.protocol, m.protocol, "", None])}, note)
        elif kind == "JoinGroup":  # a member's own request only where it does not begin a rebalance
            m = rng.choice(followers)
            good = rng.random() < 0.4
            values = m.join_values(9) if good else m.join_values(9, GroupId=group, MemberId=rng.choice(["stranger", "stranger", m.id]), GroupInstanceId=instance,
                                                                 ProtocolType=rng.choice(["consumer", "x", ""]), Protocols=rng.choice([m.offers, [], protocols("x")]))
            if not good and values["MemberId"] == m.id and values["ProtocolType"] == "consumer" and values["Protocols"] == m.offers and instance not in (None, m.instance, "", "nope"):
                continue
            s.ask(kind, rng.choice([5, 7, 9]), values, note)
        else:
            s.ask(kind, rng.choice([3, 4, 5]), {"GroupId": group, "Members": [{"MemberId": rng.choice(["stranger", "x"]), "GroupInstanceId": rng.choice([None, "nope", "static"])}
                                                                           for _ in range(rng.randrange(4))]}, note)
    describe(s, "random")
