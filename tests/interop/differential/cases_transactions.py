"""Transactions: the coordinator's tables of states and epochs, verification at produce, markers, offsets, isolation.

A client that goes on while markers are still on their way is told to come again, now and then: so cases wait for the
transaction's end (settle) wherever they do not ask about just that."""
import time
import cases_classic as groups
from cases_classic import one_of_each_partition
from wire import *

CASES = []
TXN = 0x10


def case(fn):
    CASES.append(fn)
    return fn


def soon(condition, what):
    """As Session.until(), for what takes milliseconds and is waited for hundreds of times."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.003)


class Producer:
    """A transactional id of one case, spoken for by hand."""

    def __init__(self, s, id, timeout_ms=60000):
        self.s, self.id, self.timeout_ms, self.pid, self.epoch = s, id, timeout_ms, -1, -1
        ready(s)

    def init(self, version=5, pid=-1, epoch=-1, note="", timeout_ms=None, id=None, **more):
        answer = self.s.ask("InitProducerId", version, {"TransactionalId": self.id if id is None else id, "ProducerId": pid, "ProducerEpoch": epoch,
                                                        "TransactionTimeoutMs": self.timeout_ms if timeout_ms is None else timeout_ms, **more}, note)
        if answer.get("ErrorCode") == 0:
            self.pid, self.epoch = answer["ProducerId"], answer["ProducerEpoch"]
        return answer

    def start(self):
        """Another epoch, whatever was before; not compared."""
        def began():
            answer = self.s.ask("InitProducerId", 5, {"TransactionalId": self.id, "TransactionTimeoutMs": self.timeout_ms, "ProducerId": -1, "ProducerEpoch": -1}, quiet=True)
            if answer["ErrorCode"]:
                return False
            self.pid, self.epoch = answer["ProducerId"], answer["ProducerEpoch"]
            return True
        soon(began, f"{self.id} begins")
        return self

    def who(self, pid=None, epoch=None):
        return (self.pid if pid is None else pid), (self.epoch if epoch is None else epoch)

    def add(self, topics, version=3, pid=None, epoch=None, note="", verify=False, id=None):
        """topics: {name: [partitions]}"""
        pid, epoch = self.who(pid, epoch)
        id = self.id if id is None else id
        listed = [{"Name": name, "Partitions": partitions} for name, partitions in topics.items()]
        if version < 4:
            values = {"V3AndBelowTransactionalId": id, "V3AndBelowProducerId": pid, "V3AndBelowProducerEpoch": epoch, "V3AndBelowTopics": listed}
        else:
            values = {"Transactions": [{"TransactionalId": id, "ProducerId": pid, "ProducerEpoch": epoch, "VerifyOnly": verify, "Topics": listed}]}
        return self.s.ask("AddPartitionsToTxn", version, values, note)

    def add_offsets(self, group, version=3, pid=None, epoch=None, note="", id=None):
        pid, epoch = self.who(pid, epoch)
        return self.s.ask("AddOffsetsToTxn", version, {"TransactionalId": self.id if id is None else id, "ProducerId": pid, "ProducerEpoch": epoch, "GroupId": group}, note)

    def end(self, commit=True, version=5, pid=None, epoch=None, note="", settle=True, id=None):
        pid, epoch = self.who(pid, epoch)
        answer = self.s.ask("EndTxn", version, {"TransactionalId": self.id if id is None else id, "ProducerId": pid, "ProducerEpoch": epoch, "Committed": commit}, note)
        if version >= 5 and answer.get("ErrorCode") == 0:
            self.pid, self.epoch = answer["ProducerId"], answer["ProducerEpoch"]
        if settle:
            self.settle()
        return answer

    def produce(self, topic, index=0, seq=0, count=1, version=12, pid=None, epoch=None, note="", id=None, attributes=TXN, **more):
        pid, epoch = self.who(pid, epoch)
        data = batch(records(count), pid=pid, pepoch=epoch, seq=seq, attributes=attributes)
        return self.s.ask("Produce", version, {"TransactionalId": self.id if id is None else id, "Acks": -1, "TimeoutMs": 30000, "TopicData": [
            {"Name": topic, "TopicId": self.s.id(topic), "PartitionData": [{"Index": index, "Records": data}]}]}, note, **more)

    def offsets(self, group, topic, version=3, pid=None, epoch=None, note="", id=None, partitions=((0, 5),), **more):
        pid, epoch = self.who(pid, epoch)
        return self.s.ask("TxnOffsetCommit", version, {"TransactionalId": self.id if id is None else id, "GroupId": group, "ProducerId": pid, "ProducerEpoch": epoch,
                                                       "Topics": [{"Name": topic, "TopicId": self.s.id(topic) or ZERO_UUID, "Partitions": [
                                                           {"PartitionIndex": index, "CommittedOffset": offset, "CommittedMetadata": "m"} for index, offset in partitions]}], **more}, note)

    def state(self):
        answer = self.s.ask("DescribeTransactions", 0, {"TransactionalIds": [self.id]}, quiet=True)
        return answer["TransactionStates"][0]["TransactionState"]

    def settle(self):
        soon(lambda: not self.state().startswith("Prepare"), f"{self.id} settles")
        return self

    def describe(self, note=""):
        self.settle()
        return self.s.ask("DescribeTransactions", 0, {"TransactionalIds": [self.id]}, note)


def ready(s):
    """The coordinators of transactions are there, whatever the id."""
    for id in one_of_each_partition("ready"):
        if ("transaction", id) not in s.loaded:
            s.until(lambda: s.ask("FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": [id]}, quiet=True)["Coordinators"][0]["ErrorCode"] == 0, "no coordinator")
            s.until(lambda: s.ask("DescribeTransactions", 0, {"TransactionalIds": [id]}, quiet=True)["TransactionStates"][0]["ErrorCode"] in (0, 105), "no transactions")
            s.loaded.add(("transaction", id))


def producers(s, topic, note="", partitions=(0,)):
    return s.ask("DescribeProducers", 0, {"Topics": [{"Name": topic, "PartitionIndexes": list(partitions)}]}, note)


def fetch(s, topic, offset=0, isolation=1, note="", index=0, version=12):
    answer = s.ask("Fetch", version, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 22, "IsolationLevel": isolation, "SessionId": 0, "SessionEpoch": -1,
                                      "Topics": [{"Topic": topic, "Partitions": [{"Partition": index, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}]}]}, note)
    return answer


# ---- the coordinator --------------------------------------------------------------------------------------------------------

@case
def txn_before_the_topic(s):
    """Nobody has asked for a coordinator yet: the first case of them all."""
    s.ask("DescribeTransactions", 0, {"TransactionalIds": ["t", ""]}, "no topic")
    for v in s.versions("ListTransactions"):
        s.ask("ListTransactions", v, {}, "no topic")
    s.ask("InitProducerId", 5, {"TransactionalId": "early", "TransactionTimeoutMs": 1000, "ProducerId": -1, "ProducerEpoch": -1}, "no topic")
    s.ask("EndTxn", 5, {"TransactionalId": "early", "ProducerId": 1, "ProducerEpoch": 0, "Committed": True}, "no topic")
    Producer(s, "early").start()  # Kafka has no producer ids at hand at first


@case
def txn_init(s):
    for v in range(0, 6):
        p = Producer(s, f"init-{v}")
        p.init(v, note="first")
        p.init(v, note="again")
        p.init(v, note="empty id", id="")
        for timeout in (0, -1, 900001, 900000, 1):
            p.init(v, note=f"timeout {timeout}", timeout_ms=timeout)
        if v >= 3:
            p.init(v, pid=p.pid, epoch=p.epoch, note="with its pair")
            p.init(v, pid=p.pid, epoch=p.epoch - 1, note="repeated")
            p.init(v, pid=p.pid, epoch=p.epoch - 2, note="stale")
            p.init(v, pid=p.pid, epoch=p.epoch + 3, note="ahead")
            p.init(v, pid=p.pid + 100000, epoch=0, note="another pid")
            p.init(v, pid=-1, epoch=3, note="half a pair")
            p.init(v, pid=3, epoch=-1, note="half a pair")
            p.init(v, pid=p.pid + 100000, epoch=32766, note="the last epoch of another pid")
        p.init(v, note="without a pair")
        p.describe()
    fresh = Producer(s, "init-unknown")
    fresh.init(5, pid=123456, epoch=7, note="unknown id with a pair")
    fresh.describe()


@case
def txn_init_over_an_open_one(s):
    s.create("tio")
    for note, again in (("without", False), ("with its pair", True)):
        p = Producer(s, f"over-{again}").start()
        p.produce("tio", note="opens")
        p.describe("open")
        p.init(note="fences")
        p.settle()
        p.describe("fenced")
        producers(s, "tio", "fenced")
        pid, epoch = p.pid, p.epoch
        p.init(pid=pid if again else -1, epoch=epoch if again else -1, note=f"again, {note}")
        p.produce("tio", pid=pid, epoch=epoch, note="by the fenced one")
        p.describe("after")
    p = Producer(s, "over-stale").start().start().start()
    p.produce("tio", note="opens")
    p.init(pid=p.pid, epoch=p.epoch - 2, note="with a stale epoch")
    p.describe("stale")
    p.start()
    p.produce("tio", note="opens")
    p.init(pid=p.pid + 5000, epoch=0, note="with another pid")
    p.describe("another pid")


@case
def txn_add_partitions(s):
    s.create("ta", 4)
    for v in s.versions("AddPartitionsToTxn"):
        p = Producer(s, f"add-{v}").start()
        p.add({"ta": [0]}, v, epoch=p.epoch + 1, note="epoch ahead")
        p.add({"ta": [0]}, v, epoch=p.epoch - 1, note="epoch behind")
        p.add({"ta": [0]}, v, pid=p.pid + 9999, note="another pid")
        p.add({"ta": [0]}, v, note="unknown id", id=f"nobody-{v}")
        p.add({"ta": [0]}, v, note="empty id", id="")
        p.add({"ta": [0, 9], "nope": [0], "__transaction_state": [0]}, v, note="unknown partitions")
        p.describe("nothing was added")
        p.add({"ta": [0]}, v, note="one")
        p.add({"ta": [0]}, v, note="the same")
        p.add({"ta": [1, 2]}, v, note="two more")
        p.add({}, v, note="none")
        p.describe("open")
        p.end(v % 2 == 0, version=4, note="ends")
        p.describe("ended")
        p.add({}, v, note="none, again")
        p.describe("open without partitions")
        p.end(True, version=4, note="ends")
        p.describe("ended")


@case
def txn_verify_only(s):
    s.create("tv", 3)
    for v in (4, 5):
        p = Producer(s, f"verify-{v}").start()
        p.add({"tv": [0]}, v, verify=True, note="nothing open")
        p.add({"tv": [0, 2]}, 3, note="adds")
        p.add({"tv": [0, 1, 2]}, v, verify=True, note="some")
        p.add({"tv": [7]}, v, verify=True, note="unknown partition")
        p.add({"tv": [0]}, v, verify=True, epoch=p.epoch + 1, note="epoch ahead")
        p.add({"tv": [0]}, v, verify=True, epoch=p.epoch - 1, note="epoch behind")
        p.add({"tv": [0]}, v, verify=True, pid=p.pid + 9999, note="another pid")
        p.add({"tv": [0]}, v, verify=True, id="nobody", note="unknown id")
        p.add({"tv": [0]}, v, verify=True, id="", note="empty id")
        p.end(False, version=4)
        p.add({"tv": [0]}, v, verify=True, note="ended")
        q = Producer(s, f"verify-too-{v}").start()
        s.ask("AddPartitionsToTxn", v, {"Transactions": [
            {"TransactionalId": x.id, "ProducerId": x.pid, "ProducerEpoch": x.epoch, "VerifyOnly": verify, "Topics": [{"Name": "tv", "Partitions": [0, 1]}]}
            for x, verify in ((p, False), (q, True))]}, "two ids")
        p.describe("added")
        p.end(True, version=4)


@case
def txn_add_offsets(s):
    groups.ready(s)
    for v in s.versions("AddOffsetsToTxn"):
        p = Producer(s, f"offsets-{v}").start()
        p.add_offsets("g", v, epoch=p.epoch + 1, note="epoch ahead")
        p.add_offsets("g", v, epoch=p.epoch - 1, note="epoch behind")
        p.add_offsets("g", v, pid=p.pid + 9999, note="another pid")
        p.add_offsets("g", v, id="nobody", note="unknown id")
        p.add_offsets("g", v, id="", note="empty id")
        p.add_offsets("g", v, note="good")
        p.add_offsets("g", v, note="again")
        p.add_offsets("", v, note="empty group")
        p.describe("open")
        p.end(v % 2 == 0, version=4)
        p.describe("ended")


def in_state(s, state, name, version):
    p = Producer(s, name).start()
    if state != "Empty":
        p.add({"te": [0]}, 3 if version < 5 else 5, note=f"to {state}")
    if state.startswith("Complete"):
        p.end(state == "CompleteCommit", version=version, note=f"to {state}")
    return p


@case
def txn_end(s):
    s.create("te")
    for version in (0, 1, 2, 4, 5):
        for state in ("Empty", "Ongoing", "CompleteCommit", "CompleteAbort"):
            for commit in (True, False):
                for delta in (0, -1, 1):
                    p = in_state(s, state, f"end-{version}-{state}-{commit}-{delta}", version)
                    if version >= 5 and state.startswith("Complete") and delta == -1:
                        p.end(commit, version, epoch=p.epoch - 1, note=f"{state} {'commit' if commit else 'abort'} repeated")
                    else:
                        p.end(commit, version, epoch=p.epoch + delta, note=f"{state} {'commit' if commit else 'abort'} {delta:+}")
                    if delta == 0:
                        p.describe(f"{state} {'commit' if commit else 'abort'}")
        p = in_state(s, "Ongoing", f"end-{version}-pid", version)
        p.end(True, version, pid=p.pid + 9999, note="another pid")
        p.end(True, version, id="nobody-at-all", note="unknown id")
        p.end(True, version, id="", note="empty id")
        p.end(True, version, note="good")


@case
def txn_end_mixed(s):
    s.create("tm")
    p = Producer(s, "mixed").start()
    p.produce("tm", note="second protocol")
    p.end(True, version=4, note="ended by the first")
    p.describe("mixed")
    producers(s, "tm", "mixed")
    p.add({"tm": [0]}, 3, note="first protocol")
    p.produce("tm", seq=1, version=11, note="first protocol")
    p.end(True, version=5, note="ended by the second")
    p.describe("mixed back")
    producers(s, "tm", "mixed back")
    fetch(s, "tm", note="all of it")


@case
def txn_timeouts(s):
    s.create("tt")
    for name, version in (("old", 11), ("new", 12)):
        p = Producer(s, f"timeout-{name}", timeout_ms=3000).start()
        if version == 11:
            p.add({"tt": [0]}, 3)
        p.produce("tt", version=version, note="opens")
        s.until(lambda: p.state() == "CompleteAbort", "timed out")
        p.describe("timed out")
        p.produce("tt", seq=1, version=version, note="too late")
        p.add({"tt": [0]}, 3, note="too late")
        p.end(True, 4, note="too late")
        p.end(False, 4, note="too late")
        p.end(True, 5, note="too late")
        p.end(False, 5, note="too late, new")
        p.init(pid=p.pid, epoch=p.epoch, note="goes on")
        producers(s, "tt", f"after {name}")
        p.produce("tt", version=12, note="goes on")
        p.end(True)
    fetch(s, "tt", note="after all")


# ---- produce, markers, isolation ------------------------------------------------------------------------------------------------

@case
def txn_produce_verification(s):
    s.create("tp", 4)
    for v in (7, 9, 10, 11, 12, 13):
        p = Producer(s, f"produce-{v}").start()
        p.produce("tp", version=v, note="not added")
        p.describe("after")
        p.produce("tp", version=v, pid=p.pid + 7777, note="another pid")
        p.produce("tp", version=v, epoch=p.epoch + 1, note="epoch ahead")
        p.produce("tp", version=v, id="nobody", note="unknown id")
        p.produce("tp", version=v, id="", note="empty id")
        p.add({"tp": [1]}, 3, note="adds")
        p.produce("tp", 1, version=v, note="added")
        p.produce("tp", 1, version=v, note="twice")
        p.produce("tp", 1, seq=1, version=v, note="next")
        p.produce("tp", 1, seq=5, version=v, note="gap")
        p.produce("tp", 1, seq=2, version=v, note="plain, in the middle", attributes=0)
        p.produce("tp", 3, seq=3, version=v, note="begins in the middle")
        p.end(v % 2 == 0, version=4 if v < 12 else 5)
        p.produce("tp", 1, seq=1, version=v, epoch=p.epoch - (v >= 12), note="repeated after the end")
        p.describe("ended")
        producers(s, "tp", "ended", (0, 1, 3))


@case
def txn_produce_order(s):
    s.create("to", 2)
    p = Producer(s, "order").start()
    p.produce("to", version=11, note="0, not verified")
    p.add({"to": [0]}, 3)
    p.produce("to", seq=1, version=11, note="1, overtakes")
    p.produce("to", seq=0, version=11, note="0")
    p.produce("to", seq=1, version=11, note="1")
    p.produce("to", seq=2, count=3, version=11, note="2-4")
    for seq, count in ((0, 1), (1, 1), (2, 3), (2, 1), (0, 2), (4, 1), (5, 1)):
        p.produce("to", seq=seq, count=count, version=11, note=f"{seq}+{count} again")
    producers(s, "to")
    p.end(True, version=4)
    p.add({"to": [0]}, 3)
    p.produce("to", seq=6, version=11, note="goes on in the next")
    p.produce("to", 1, seq=9, version=12, note="first with sequence 9, new protocol")
    p.produce("to", 1, seq=0, version=12, note="first with sequence 0")
    p.end(False, version=5)
    p.produce("to", seq=7, note="sequence goes on with the new epoch")
    p.produce("to", seq=0, note="counts from 0")
    p.end(True)
    fetch(s, "to", isolation=0, note="all")
    fetch(s, "to", isolation=1, note="committed")


@case
def txn_produce_two(s):
    """Several partitions, some in the transaction."""
    s.create("t2", 3)
    p, q = Producer(s, "two-p").start(), Producer(s, "two-q").start()
    def put(version, entries, note):
        s.ask("Produce", version, {"TransactionalId": p.id, "Acks": -1, "TimeoutMs": 30000, "TopicData": [{"Name": "t2", "TopicId": s.id("t2"), "PartitionData": [
            {"Index": index, "Records": batch(records(1), pid=x.pid, pepoch=x.epoch, seq=seq, attributes=TXN)} for index, x, seq in entries]}]}, note)
    put(12, [(0, p, 0), (1, p, 0)], "two new ones")
    put(12, [(0, p, 1), (2, p, 0)], "one open, one new")
    put(12, [(0, p, 2), (1, p, 1), (2, p, 1)], "all open")
    put(12, [(0, p, 3), (1, q, 0)], "two producers")
    put(12, [(0, p, 9), (1, p, 2)], "one with a gap")
    put(12, [(0, p, 3), (7, p, 0)], "one that is not there")
    p.describe()
    p.end(True)
    put(11, [(0, p, 0), (1, p, 0)], "not added")
    p.add({"t2": [0]}, 3)
    put(11, [(0, p, 0), (1, p, 0)], "one added")
    p.end(False, version=4)
    for index in range(3):
        fetch(s, "t2", index=index, note="read")


def marker(s, pid, epoch, commit, topics, note, version=2, coordinator=0, transaction_version=0):
    return s.ask("WriteTxnMarkers", version, {"Markers": [
        {"ProducerId": pid, "ProducerEpoch": epoch, "TransactionResult": commit, "CoordinatorEpoch": coordinator, "TransactionVersion": transaction_version,
         "Topics": [{"Name": name, "PartitionIndexes": indexes} for name, indexes in topics]}]}, note)


@case
def txn_markers(s):
    groups.ready(s)
    s.create("tk", 3)
    for v in s.versions("WriteTxnMarkers"):
        s.ask("WriteTxnMarkers", v, {"Markers": []}, "none")
        marker(s, 700000 + v, 0, True, [("tk", [0])], "unknown producer", v)
        producers(s, "tk", f"unknown producer {v}")
        marker(s, 700000 + v, 0, False, [("tk", [0, 9]), ("nope", [0])], "unknown partitions", v)
        marker(s, 700000 + v, 0, True, [("__consumer_offsets", [0, 1])], "offsets", v)
        marker(s, 700000 + v, 0, True, [], "no topics", v)
    p = Producer(s, "marked").start().start().start()
    p.produce("tk", 1, note="opens")
    for tv in (2, 1, 0):
        marker(s, p.pid, p.epoch - 1, False, [("tk", [1])], f"lower epoch, {tv}", transaction_version=tv)
    marker(s, p.pid, p.epoch, False, [("tk", [1])], "equal epoch, open, 2", transaction_version=2)
    marker(s, p.pid, p.epoch, False, [("tk", [1])], "lower coordinator epoch", coordinator=-1)
    marker(s, p.pid, p.epoch, False, [("tk", [1])], "ends it", coordinator=3)
    marker(s, p.pid, p.epoch, False, [("tk", [1])], "equal epoch, ended, 2", transaction_version=2, coordinator=3)
    marker(s, p.pid, p.epoch, False, [("tk", [1])], "lower coordinator epoch", coordinator=2)
    marker(s, p.pid, p.epoch + 4, True, [("tk", [1])], "higher epoch, 2", transaction_version=2, coordinator=3)
    producers(s, "tk", "marked", (1,))
    p.produce("tk", 1, seq=1, note="old epoch")
    s.ask("WriteTxnMarkers", 2, {"Markers": [
        {"ProducerId": 800000, "ProducerEpoch": e, "TransactionResult": True, "CoordinatorEpoch": 0, "TransactionVersion": 0, "Topics": [{"Name": "tk", "PartitionIndexes": [2]}]}
        for e in (5, 3)]}, "two of one producer")
    fetch(s, "tk", index=1, note="read")
    fetch(s, "tk", index=2, note="read")


@case
def txn_isolation(s):
    s.create("ti")
    p, q = Producer(s, "iso-p").start(), Producer(s, "iso-q").start()
    s.produce("ti", batch(records(1)))
    p.produce("ti", count=2, note="p")
    q.produce("ti", count=3, note="q")
    s.produce("ti", batch(records(1)))
    def look(note):
        for offset in (0, 1, 3, 6, 7):
            fetch(s, "ti", offset, 1, f"{note}, committed from {offset}")
        fetch(s, "ti", 0, 0, f"{note}, all")
        for isolation in (0, 1):
            for timestamp in (-1, -2, -3, 0, 1700000000001):
                s.ask("ListOffsets", 7, {"ReplicaId": -1, "IsolationLevel": isolation, "Topics": [{"Name": "ti", "Partitions": [
                    {"PartitionIndex": 0, "CurrentLeaderEpoch": -1, "Timestamp": timestamp}]}]}, f"{note}, {isolation} at {timestamp}")
    look("both open")
    q.end(False)
    look("q aborted")
    p.end(False)
    look("p aborted too")
    q.produce("ti", note="q again")
    q.end(True)
    look("q committed")
    for v in (4, 5, 11, 15):
        s.ask("Fetch", v, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 22, "IsolationLevel": 1, "SessionId": 0, "SessionEpoch": -1,
                           "Topics": [{"Topic": "ti", "TopicId": s.id("ti"), "Partitions": [{"Partition": 0, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20}]}]}, "versions")
    producers(s, "ti", "at the end")


@case
def txn_deleted_topic(s):
    s.create("td1")
    s.create("td2")
    p = Producer(s, "deleted").start()
    p.produce("td1", note="one")
    p.produce("td2", note="other")
    s.ask("DeleteTopics", 5, {"TopicNames": ["td1"], "TimeoutMs": 30000}, quiet=True)
    s.wait_gone("td1")
    p.end(True, note="commits")
    p.describe("committed")
    fetch(s, "td2", note="the other")


# ---- offsets ----------------------------------------------------------------------------------------------------------------------

def offset_of(s, group, topic, note, stable=True):
    return s.ask("OffsetFetch", 8, {"RequireStable": stable, "Groups": [{"GroupId": group, "Topics": [{"Name": topic, "PartitionIndexes": [0, 1]}]}]}, note)


@case
def txn_offset_commit(s):
    groups.ready(s)
    s.create("tf", 2)
    for v in range(0, 6):
        group = f"fg-{v}"
        p = Producer(s, f"commit-{v}").start()
        p.offsets(group, "tf", v, note="not added")
        p.offsets(group, "tf", v, epoch=p.epoch + 1, note="epoch ahead")
        p.offsets(group, "tf", v, pid=p.pid + 9999, note="another pid")
        p.offsets(group, "tf", v, id="nobody", note="unknown id")
        p.offsets(group, "tf", v, id="", note="empty id")
        p.offsets("", "tf", v, note="empty group")
        p.offsets(group, "nope", v, note="unknown topic")
        if v < 5:
            p.add_offsets(group, min(v, 3), note="adds")
        p.offsets(group, "tf", v, note="good", partitions=((0, 11), (1, 12)))
        p.offsets(group, "tf", v, note="partly unknown", partitions=((0, 13), (5, 1)))
        if v >= 3:
            p.offsets(group, "tf", v, note="a generation of no group", GenerationIdOrMemberEpoch=3, MemberId="m", GroupInstanceId=None)
            p.offsets(group, "tf", v, note="a member of no group", GenerationIdOrMemberEpoch=-1, MemberId="m", GroupInstanceId=None)
        offset_of(s, group, "tf", f"pending {v}")
        offset_of(s, group, "tf", f"pending, unstable {v}", False)
        p.describe("open")
        p.end(v != 1, version=4 if v < 5 else 5)
        offset_of(s, group, "tf", f"ended {v}")
        if v == 5:
            p.offsets(group, "tf", 5, note="aborted later", partitions=((0, 99),))
            p.end(False)
            offset_of(s, group, "tf", "aborted")


# ---- looking ------------------------------------------------------------------------------------------------------------------------

@case
def txn_list(s):
    s.create("tl")
    ps = [Producer(s, f"list.{i}").start() for i in range(4)]
    ps[1].produce("tl")
    ps[2].produce("tl")
    ps[2].end(True)
    ps[3].produce("tl")
    ps[3].end(False)
    for v in s.versions("ListTransactions"):
        def ask(note, **values):
            s.ask("ListTransactions", v, values, note)
        mine = [p.pid for p in ps]
        ask("by producers", ProducerIdFilters=mine)
        for states in (["Ongoing"], ["ongoing"], ["CompleteCommit", "CompleteAbort"], ["Empty", "Nonsense"], ["Dead", "PrepareEpochFence", "PrepareCommit", "PrepareAbort"], [""]):
            ask(f"states {states}", StateFilters=states, ProducerIdFilters=mine)
        ask("unknown producer", ProducerIdFilters=[99999999])
        if v >= 1:
            for duration in (-1, 0, 3600000, -5):
                ask(f"duration {duration}", DurationFilter=duration, ProducerIdFilters=mine)
        if v >= 2:
            for pattern in ("list", "list.*", "list\\.[0-2]", ".*[13]", "", "[", "x.", "(list|nothing).0", "LIST.0", "(?i)LIST.0"):
                ask(f"pattern {pattern}", TransactionalIdPattern=pattern, ProducerIdFilters=mine)
    s.ask("DescribeTransactions", 0, {"TransactionalIds": [p.id for p in ps] + ["", "nobody", ps[0].id]}, "several")
    s.ask("DescribeTransactions", 0, {"TransactionalIds": []}, "none")
    ps[1].end(False)


@case
def txn_describe_producers(s):
    s.create("tq", 2)
    p = Producer(s, "describe").start()
    producers(s, "tq", "nobody", (0, 1))
    p.produce("tq", count=3)
    producers(s, "tq", "open", (0, 1, 5, -1))
    producers(s, "nope", "unknown")
    producers(s, "bad name!", "invalid name")
    producers(s, "", "empty name")
    p.end(True)
    producers(s, "tq", "ended")
    p.produce("tq", count=2)
    producers(s, "tq", "open again")
    p.end(False, version=4)
    producers(s, "tq", "aborted")


@case
def txn_versions(s):
    """transaction.version 1 and 0, and back."""
    s.create("tw")
    def level(value, kind):
        s.ask("UpdateFeatures", 1, {"TimeoutMs": 60000, "FeatureUpdates": [{"Feature": "transaction.version", "MaxVersionLevel": value, "UpgradeType": kind}]}, f"to {value}")
        def done():
            features = s.ask("ApiVersions", 3, {"ClientSoftwareName": "x", "ClientSoftwareVersion": "1"}, quiet=True)["FinalizedFeatures"]
            return next((f["MaxVersionLevel"] for f in features if f["Name"] == "transaction.version"), 0) == value
        s.until(done, f"transaction.version {value}")
    for value, kind in ((1, 2), (0, 2), (2, 1)):
        level(value, kind)
        p = Producer(s, f"level-{value}", timeout_ms=60000).start()
        p.add({"tw": [0]}, 3)
        p.produce("tw", version=11)
        p.init(note="fences")
        p.describe("fenced")
        old = p.pid, p.epoch
        p.init(pid=old[0], epoch=old[1], note="of the fenced one")
        p.start()
        p.add({"tw": [0]}, 3)
        p.produce("tw", version=11)
        p.end(True, 4)
        p.describe("committed")
        if value:
            p.produce("tw", seq=1, note="second protocol")
            p.produce("tw", seq=0, note="second protocol, from 0")
            p.end(True, 5)
            p.describe("committed by the second")
        producers(s, "tw", f"at {value}")
