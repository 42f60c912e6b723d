#!/usr/bin/env python3
"""A member of a classic group, by hand: joins, assigns when it leads, commits one offset after the other for what it owns,
and lives through whatever happens to it or its broker. Tells on standard output, a JSON line each, with times of the
machine's monotonic clock:

    {"at": t, "generation": g, "member": id, "owned": [...]}            it was assigned
    {"asked": t, "fetched": {partition: offset}}                        committed offsets that it was told
    {"at": t, "committed": {partition: offset}}                         commits that were acknowledged

member.py port group topic partitions name instance-or-empty"""
import json, os, sys, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
from wire import *

PORT, GROUP, TOPIC, PARTITIONS, NAME, INSTANCE = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], sys.argv[6] or None
REBALANCE, ILLEGAL_GENERATION, UNKNOWN_MEMBER, FENCED, ID_REQUIRED = 27, 22, 25, 82, 79


class Again(Exception):
    """Joins again, under the same id or a new one."""


def tell(**what):
    print(json.dumps(what), flush=True)


class Member:
    def __init__(self):
        self.conn, self.id, self.generation = Connection(PORT, timeout_s=60), "", -1

    def ask(self, name, version, values):
        while True:
            try:
                return self.conn.ask(name, version, values, client_id=NAME)
            except (Closed, OSError, AssertionError):
                self.conn.close()
                time.sleep(0.02)

    def check(self, error):
        if error in (UNKNOWN_MEMBER, FENCED):
            self.id = ""
        if error:
            time.sleep(0.01)
            raise Again()

    def join(self):
        answer = self.ask("JoinGroup", 9, {"GroupId": GROUP, "SessionTimeoutMs": 2000, "RebalanceTimeoutMs": 4000, "MemberId": self.id, "GroupInstanceId": INSTANCE,
                                           "ProtocolType": "consumer", "Protocols": [{"Name": "by-hand", "Metadata": NAME.encode()}]})
        if answer["ErrorCode"] == ID_REQUIRED:
            self.id = answer["MemberId"]
            return self.join()
        self.check(answer["ErrorCode"])
        self.id, self.generation = answer["MemberId"], answer["GenerationId"]
        members = sorted(m["MemberId"] for m in answer["Members"])
        assigned = {m: [p for p in range(PARTITIONS) if p % len(members) == i] for i, m in enumerate(members)}
        skip = answer["SkipAssignment"]
        return [{"MemberId": m, "Assignment": json.dumps(owned).encode()} for m, owned in assigned.items()] if answer["Leader"] == self.id and not skip else []

    def sync(self, assignments):
        answer = self.ask("SyncGroup", 5, {"GroupId": GROUP, "GenerationId": self.generation, "MemberId": self.id, "GroupInstanceId": INSTANCE,
                                           "ProtocolType": "consumer", "ProtocolName": "by-hand", "Assignments": assignments})
        self.check(answer["ErrorCode"])
        owned = json.loads(answer["Assignment"] or b"[]")
        tell(at=time.monotonic(), generation=self.generation, member=self.id, owned=owned)
        return owned

    def fetch(self, owned):
        asked = time.monotonic()
        answer = self.ask("OffsetFetch", 8, {"Groups": [{"GroupId": GROUP, "Topics": [{"Name": TOPIC, "PartitionIndexes": owned}]}], "RequireStable": True})["Groups"][0]
        self.check(answer["ErrorCode"])
        found = {p["PartitionIndex"]: p["CommittedOffset"] for topic in answer["Topics"] for p in topic["Partitions"]}
        tell(asked=asked, fetched=found)
        return found

    def commit(self, offsets):
        answer = self.ask("OffsetCommit", 8, {"GroupId": GROUP, "GenerationIdOrMemberEpoch": self.generation, "MemberId": self.id, "GroupInstanceId": INSTANCE,
                                              "Topics": [{"Name": TOPIC, "Partitions": [{"PartitionIndex": p, "CommittedOffset": o} for p, o in offsets.items()]}]})
        codes = {p["PartitionIndex"]: p["ErrorCode"] for topic in answer["Topics"] for p in topic["Partitions"]}
        tell(at=time.monotonic(), committed={p: offsets[p] for p, code in codes.items() if not code})
        self.check(max(codes.values(), default=0))

    def work(self):
        owned = self.sync(self.join())
        offsets = self.fetch(owned) if owned else {}
        while True:
            answer = self.ask("Heartbeat", 4, {"GroupId": GROUP, "GenerationId": self.generation, "MemberId": self.id, "GroupInstanceId": INSTANCE})
            self.check(answer["ErrorCode"])
            if offsets:
                offsets = {p: max(o, 0) + 1 for p, o in offsets.items()}
                self.commit(offsets)
            time.sleep(0.005)


member = Member()
while True:
    try:
        member.work()
    except Again:
        pass
