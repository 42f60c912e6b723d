"""Many members of one consumer group over a few connections: they join, leave, and heartbeat until all have come to rest.
Each member does what a client does: it gives up what it is no longer assigned, and says what it has when that changed."""
import time
from wire import *


class Member:
    def __init__(self, id):
        self.id, self.epoch, self.owned, self.changed = id, 0, {}, False


class Group:
    def __init__(self, port, group, topic, count, connections=8):
        self.group, self.topic = group, topic
        self.conns = [Connection(port, timeout_s=120) for _ in range(connections)]
        self.members = [Member(f"member-{i:05}") for i in range(count)]

    def request(self, member, **other):
        values = {"GroupId": self.group, "MemberId": member.id, "MemberEpoch": member.epoch, **other}
        if member.epoch == 0:
            values.update({"RebalanceTimeoutMs": 300000, "SubscribedTopicNames": [self.topic], "TopicPartitions": []})
        elif member.changed:
            values["TopicPartitions"] = [{"TopicId": id, "Partitions": sorted(p)} for id, p in member.owned.items()]
        return encode_request("ConsumerGroupHeartbeat", 1, values)

    def take(self, member, answer):
        if answer["ErrorCode"]:
            raise AssertionError(f"{member.id} at epoch {member.epoch}: {answer}")
        member.epoch, member.changed = answer["MemberEpoch"], False
        if answer["Assignment"] is not None:
            owned = {t["TopicId"]: set(t["Partitions"]) for t in answer["Assignment"]["TopicPartitions"]}
            member.changed, member.owned = owned != member.owned, owned

    def round(self, members=None, **other):
        """One heartbeat of each, in parallel over the connections."""
        members = self.members if members is None else members
        for begin in range(0, len(members), 400):
            some = members[begin:begin + 400]
            for i, member in enumerate(some):
                self.conns[i % len(self.conns)].send_frame(self.request(member, **other))
            for i, member in enumerate(some):
                self.take(member, decode_response("ConsumerGroupHeartbeat", 1, self.conns[i % len(self.conns)].receive_frame())[1])

    def is_at_rest(self, partitions):
        owners = [p for m in self.members for owned in m.owned.values() for p in owned]
        return len({m.epoch for m in self.members}) == 1 and sorted(owners) == list(range(partitions)) and not any(m.changed for m in self.members)

    def settle(self, partitions, timeout_s=60):
        """Seconds and rounds until every member is at one epoch and every partition has one owner."""
        begin, rounds = time.monotonic(), 0
        while not rounds or not self.is_at_rest(partitions):
            self.round()
            rounds += 1
            owners = [p for m in self.members for owned in m.owned.values() for p in owned]
            if len(set(owners)) != len(owners):
                raise AssertionError("a partition has two owners")
            if time.monotonic() - begin > timeout_s:
                raise AssertionError(f"not at rest after {timeout_s} s: epochs {sorted({m.epoch for m in self.members})}, {len(owners)} partitions owned")
        return time.monotonic() - begin, rounds

    def leave(self, member):
        self.members.remove(member)
        answer = self.conns[0].ask("ConsumerGroupHeartbeat", 1, {"GroupId": self.group, "MemberId": member.id, "MemberEpoch": -1})
        if answer["ErrorCode"]:
            raise AssertionError(f"cannot leave: {answer}")

    def close(self):
        for conn in self.conns:
            conn.close()
