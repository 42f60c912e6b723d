"""Transactions: open ones of both protocols, ended ones, one that is prepared and cannot go on, offsets that wait for one."""
import glob

from takeover import *
from wire import batch, batches, keys_and_values, records

TXN, TOPIC, GROUP = 0x10, "x", "g"


class Producer:
    def __init__(self, directory, id):
        self.directory, self.id = directory, id

        def began():
            directory.ask("FindCoordinator", 4, {"KeyType": 1, "CoordinatorKeys": [id]})
            answer = directory.ask("InitProducerId", 5, {"TransactionalId": id, "TransactionTimeoutMs": 600000, "ProducerId": -1, "ProducerEpoch": -1})
            return not answer["ErrorCode"] and (answer["ProducerId"], answer["ProducerEpoch"])
        self.pid, self.epoch = eventually(began, what=f"{id} begins")

    def add(self, partition):
        answer = self.directory.ask("AddPartitionsToTxn", 3, {"V3AndBelowTransactionalId": self.id, "V3AndBelowProducerId": self.pid,
                                                             "V3AndBelowProducerEpoch": self.epoch, "V3AndBelowTopics": [{"Name": TOPIC, "Partitions": [partition]}]})
        expect_equal(answer["ResultsByTopicV3AndBelow"][0]["ResultsByPartition"][0]["PartitionErrorCode"], 0, f"{self.id} adds")

    def produce(self, partition, seq=0, version=12):
        data = batch(records(1, value=self.id.encode()), pid=self.pid, pepoch=self.epoch, seq=seq, attributes=TXN)
        answer = self.directory.ask("Produce", version, {"TransactionalId": self.id, "Acks": -1, "TimeoutMs": 30000, "TopicData": [
            {"Name": TOPIC, "PartitionData": [{"Index": partition, "Records": data}]}]})
        expect_equal(answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"], 0, f"{self.id} produces")

    def end(self, commit, version=5, epoch=None):
        return self.directory.ask("EndTxn", version, {"TransactionalId": self.id, "ProducerId": self.pid, "ProducerEpoch": self.epoch if epoch is None else epoch,
                                                      "Committed": commit})

    def commit_offset(self, offset):
        answer = self.directory.ask("TxnOffsetCommit", 5, {"TransactionalId": self.id, "GroupId": GROUP, "ProducerId": self.pid, "ProducerEpoch": self.epoch,
                                                           "Topics": [{"Name": TOPIC, "Partitions": [{"PartitionIndex": 0, "CommittedOffset": offset, "CommittedMetadata": ""}]}]})
        expect_equal(answer["Topics"][0]["Partitions"][0]["ErrorCode"], 0, f"{self.id} commits an offset")

    def described(self):
        found = self.directory.ask("DescribeTransactions", 0, {"TransactionalIds": [self.id]})["TransactionStates"][0]
        return {k: found[k] for k in ("TransactionState", "ProducerId", "ProducerEpoch", "TransactionTimeoutMs", "TransactionStartTimeMs", "Topics", "ErrorCode")}


def settled(producer):
    def state():
        found = producer.described()
        return found["ErrorCode"] == 0 and found["TransactionState"].startswith("Complete") and found
    return eventually(state, what=f"{producer.id} ends")


def offset_fetched(directory, stable):
    return directory.ask("OffsetFetch", 7, {"GroupId": GROUP, "RequireStable": stable, "Topics": [{"Name": TOPIC, "PartitionIndexes": [0]}]})["Topics"][0]["Partitions"][0]


def set_up(directory, prepared):
    directory.create(TOPIC, 3)
    directory.coordinator(GROUP)
    producers = {id: Producer(directory, id) for id in ("open-2", "open-1", "done", "gone", "offsets") + (("prepared",) if prepared else ())}
    producers["open-2"].produce(0)
    producers["open-1"].add(1)
    producers["open-1"].produce(1, version=11)
    for id, commit in (("done", True), ("gone", False)):
        producers[id].produce(0)
        answer = producers[id].end(commit)
        expect_equal((answer["ErrorCode"], answer["ProducerEpoch"]), (0, 1), id)
        settled(producers[id])
    producers["offsets"].commit_offset(7)
    if prepared: # a marker with a number out of the air keeps the coordinator's own away
        p = producers["prepared"]
        p.produce(2)
        directory.ask("WriteTxnMarkers", 1, {"Markers": [{"ProducerId": p.pid, "ProducerEpoch": p.epoch, "TransactionResult": True, "CoordinatorEpoch": 1000,
                                                          "Topics": [{"Name": TOPIC, "PartitionIndexes": [2]}]}]})
        expect_equal(p.end(True)["ErrorCode"], 0, "prepared")
        expect_equal(p.described()["TransactionState"], "PrepareCommit", "prepared")
    return producers


def read_committed(directory, partition):
    offset, pids = 0, []
    while True: # a segment at a time
        answer = directory.ask("Fetch", 11, {"ReplicaId": -1, "MaxWaitMs": 0, "MinBytes": 0, "MaxBytes": 1 << 20, "IsolationLevel": 1, "SessionId": 0, "SessionEpoch": -1,
                                             "Topics": [{"Topic": TOPIC, "Partitions": [{"Partition": partition, "FetchOffset": offset, "PartitionMaxBytes": 1 << 20}]}]})
        found = answer["Responses"][0]["Partitions"][0]
        expect_equal((found["ErrorCode"], found["LastStableOffset"]), (0, found["HighWatermark"]), "fetched; the last stable offset")
        if offset >= found["HighWatermark"]:
            return pids
        aborted = {t["ProducerId"] for t in found["AbortedTransactions"]}
        for b in batches(found["Records"]):
            if not b["attributes"] & 0x20 and b["pid"] not in aborted:
                pids.append(b["pid"])
            offset = b["base"] + b["last_delta"] + 1


def take_over(first, second, kill, prepared):
    directory = Directory(offsets_topic_num_partitions="4", transaction_state_log_num_partitions="4")
    directory.turn(first)
    producers = set_up(directory, prepared)
    before = {id: p.described() for id, p in producers.items()}
    directory.turn(second, kill)
    directory.coordinator(GROUP)
    for id, p in producers.items():
        eventually(lambda: p.described()["ErrorCode"] == 0, what=f"the coordinator of {id}")
        if id != "prepared":
            expect_equal(p.described(), before[id], id)
    expect_equal(offset_fetched(directory, True)["ErrorCode"], 88, "an offset that waits")
    expect_equal(producers["done"].end(True)["ErrorCode"], 0, "an end that is repeated")
    expect_equal(producers["gone"].end(True)["ErrorCode"], 48, "another end that is repeated")
    producers["open-2"].produce(0, seq=1)
    producers["open-2"].produce(1)
    producers["open-1"].produce(1, seq=1, version=11)
    expect_equal(producers["open-2"].end(True)["ErrorCode"], 0, "open-2")
    expect_equal(producers["open-1"].end(False, version=3)["ErrorCode"], 0, "open-1")
    expect_equal(producers["offsets"].end(True)["ErrorCode"], 0, "offsets")
    for id in producers:
        state = settled(producers[id])["TransactionState"]
        expect_equal(state, "CompleteAbort" if id in ("gone", "open-1") else "CompleteCommit", id)
    pids = {id: p.pid for id, p in producers.items()}
    eventually(lambda: offset_fetched(directory, True)["CommittedOffset"] == 7, what="the offset is committed")
    expect_equal(read_committed(directory, 0), [pids["open-2"], pids["done"], pids["open-2"]], "partition 0")
    expect_equal(read_committed(directory, 1), [pids["open-2"]], "partition 1")
    if prepared:
        expect_equal(read_committed(directory, 2), [pids["prepared"]], "partition 2")
    after = {id: p.described() for id, p in producers.items()}
    directory.turn(first)
    for id, p in producers.items():
        eventually(lambda: p.described()["ErrorCode"] == 0, what=f"the coordinator of {id}, back")
        expect_equal(p.described(), after[id], f"{id}, back")
    directory.stop()


@test
def transactions_go_from_kafka_to_myelin_after_a_kill():
    take_over("kafka", "myelin", True, True)


@test
def transactions_go_from_myelin_to_kafka_after_a_stop():
    take_over("myelin", "kafka", False, False)


# ---- prepared ones ---------------------------------------------------------------------------------------------------

PREPARED, COMPLETE = (2, 3), (4, 5)  # in a record of __transaction_state


def state_of(value):
    """Of version, producer id, epoch, timeout, state."""
    return value[16]


def go_back_to_prepared(directory):
    """What the disk would have, had the power gone when the ends were decided and nothing of them was done: the stopped server's
    own records, without what came behind. Everything that is made from them is made anew by who starts there."""
    data, states = directory.kafka.settings["log.dirs"], []
    for path in glob.glob(os.path.join(data, "*-[0-9]*", "*.log")):
        topic = os.path.basename(os.path.dirname(path)).rsplit("-", 1)[0]
        raw, kept, at = open(path, "rb").read(), b"", 0
        if topic not in (TOPIC, "__transaction_state", "__consumer_offsets"):
            continue
        for one in batches(raw):
            if "base" not in one:
                break
            found = [state_of(value) for _, value in keys_and_values(one) if value] if topic == "__transaction_state" else []
            expect(not set(found) & set(COMPLETE) or len(found) == 1, f"a batch of one end alone: {found}")
            if not one["attributes"] & 0x20 and not set(found) & set(COMPLETE):
                kept += raw[at:at + one["size"]]
                states += found
            at += one["size"]
        open(path, "wb").write(kept)
        for made in ("index", "timeindex", "txnindex", "snapshot"):
            for other in glob.glob(os.path.join(os.path.dirname(path), f"*.{made}")):
                os.remove(other)
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"):
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(data, name))
    return states


def complete_prepared(first, second):
    directory = Directory(offsets_topic_num_partitions="1", transaction_state_log_num_partitions="1")
    directory.turn(first)
    directory.create(TOPIC, 3)
    directory.coordinator(GROUP)
    commits, aborts = Producer(directory, "commits"), Producer(directory, "aborts")
    for producer in (commits, aborts):
        producer.produce(0)
        producer.produce(1)
    commits.commit_offset(7)
    for producer in (commits, aborts):
        expect_equal(producer.end(producer is commits)["ErrorCode"], 0, producer.id)
        settled(producer)
    before = {p.id: p.described() for p in (commits, aborts)}
    if second == "kafka":
        # Kafka that leads at once, as the metadata says after another's stop or its own kill, may leave a leadership with its
        # markers unwritten and the end written. After its own stop the metadata name no leader, until it is ready.
        directory.turn("kafka")
        directory.coordinator(GROUP)
    directory.leave()
    states = go_back_to_prepared(directory)
    expect_equal([state for state in states if state in PREPARED], [2, 3], "PrepareCommit and PrepareAbort, and nothing behind them")
    directory.turn(second)
    directory.coordinator(GROUP)
    for producer in (commits, aborts):
        after = settled(producer)
        for field in ("TransactionState", "ProducerId", "ProducerEpoch"):
            expect_equal(after[field], before[producer.id][field], f"{producer.id}: {field}")
    for partition in (0, 1):
        expect_equal(eventually(lambda: read_committed(directory, partition), what="records"), [commits.pid], f"partition {partition}")
    eventually(lambda: offset_fetched(directory, True)["CommittedOffset"] == 7, what="the offset is committed")
    directory.stop()


@test
def kafka_completes_what_myelin_had_prepared():
    complete_prepared("myelin", "kafka")


@test
def myelin_completes_what_kafka_had_prepared():
    complete_prepared("kafka", "myelin")
