import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;

/** Transactions: at each transaction.version, with groups, against fencing, time and crashes. */
final class TransactionTests {
    private TransactionTests() {
    }

    static KafkaProducer<byte[], byte[]> producer(String id, String... settings) {
        List<String> all = new ArrayList<>(List.of("transactional.id", id, "max.block.ms", "120000"));
        all.addAll(List.of(settings));
        return DataTests.producer(all.toArray(new String[0]));
    }

    static ProducerRecord<byte[], byte[]> record(String topic, int partition, String value) {
        return new ProducerRecord<>(topic, partition, null, value.getBytes(StandardCharsets.UTF_8));
    }

    static Map<TopicPartition, Long> ends(Admin admin, List<TopicPartition> partitions, IsolationLevel level) throws Exception {
        Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
        partitions.forEach(p -> latest.put(p, OffsetSpec.latest()));
        Map<TopicPartition, Long> ends = new HashMap<>();
        Suite.get(admin.listOffsets(latest, new ListOffsetsOptions(level)).all()).forEach((p, end) -> ends.put(p, end.offset()));
        return ends;
    }

    /** What a consumer of that isolation finds in the topic, up to its end, when every transaction is over: a commit returns before the markers are there. */
    static List<String> read(String topic, String isolation) throws Exception {
        List<String> got = new ArrayList<>();
        try (KafkaConsumer<byte[], byte[]> consumer = DataTests.consumer("isolation.level", isolation)) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream().map(p -> new TopicPartition(topic, p.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            try (Admin admin = Admin.create(DataTests.properties())) {
                Suite.eventually("every transaction is over", () ->
                    ends(admin, partitions, IsolationLevel.READ_COMMITTED).equals(ends(admin, partitions, IsolationLevel.READ_UNCOMMITTED)));
            }
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            Suite.eventually("read to the end", () -> {
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(100)))
                    got.add(new String(r.value(), StandardCharsets.UTF_8));
                return partitions.stream().allMatch(p -> consumer.position(p) >= ends.get(p));
            });
        }
        Collections.sort(got);
        return got;
    }

    static void useLevel(int level) throws Exception {
        try (Admin admin = Admin.create(DataTests.properties())) {
            short now = admin.describeFeatures().featureMetadata().get().finalizedFeatures().getOrDefault("transaction.version",
                new org.apache.kafka.clients.admin.FinalizedVersionRange((short) 0, (short) 0)).maxVersionLevel();
            if (now == level)
                return;
            FeatureUpdate.UpgradeType type = level > now ? FeatureUpdate.UpgradeType.UPGRADE : FeatureUpdate.UpgradeType.SAFE_DOWNGRADE;
            Suite.get(admin.updateFeatures(Map.of("transaction.version", new FeatureUpdate((short) level, type)), new UpdateFeaturesOptions()).all());
        }
    }

    static void commitsAndAborts(int level) throws Exception {
        useLevel(level);
        String topic = "txn-level-" + level;
        DataTests.createTopic(topic, 3);
        List<String> committed = new ArrayList<>(), all = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer = producer("level-" + level)) {
            producer.initTransactions();
            for (int t = 0; t < 20; t++) {
                producer.beginTransaction();
                boolean commit = t % 3 != 1;
                for (int i = 0; i < 30; i++) {
                    String value = "t" + t + "-" + i;
                    producer.send(record(topic, i % 3, value));
                    all.add(value);
                    if (commit)
                        committed.add(value);
                }
                if (commit)
                    producer.commitTransaction();
                else {
                    producer.flush();
                    producer.abortTransaction();
                }
            }
        }
        Collections.sort(committed);
        Collections.sort(all);
        Suite.expectEqual(read(topic, "read_committed"), committed, "committed");
        Suite.expectEqual(read(topic, "read_uncommitted"), all, "all");
    }

    static void aSecondProducerFencesTheFirst() throws Exception {
        DataTests.createTopic("txn-fenced", 1);
        Suite.expectWarnings(".*");
        try (KafkaProducer<byte[], byte[]> first = producer("fenced"); KafkaProducer<byte[], byte[]> second = producer("fenced")) {
            first.initTransactions();
            first.beginTransaction();
            Suite.get(first.send(record("txn-fenced", 0, "lost")));
            second.initTransactions();
            try {
                first.send(record("txn-fenced", 0, "never"));
                first.commitTransaction();
                throw new AssertionError("the first producer committed");
            } catch (KafkaException e) {
                // fenced, in one of several ways
            }
            second.beginTransaction();
            second.send(record("txn-fenced", 0, "kept"));
            second.commitTransaction();
        }
        Suite.expectEqual(read("txn-fenced", "read_committed"), List.of("kept"), "committed");
    }

    static void offsetsAreCommittedWithTheTransaction(int level) throws Exception {
        useLevel(level);
        String in = "txn-in-" + level, out = "txn-out-" + level, group = "txn-group-" + level;
        DataTests.createTopic(in, 2);
        DataTests.createTopic(out, 2);
        try (KafkaProducer<byte[], byte[]> plain = DataTests.producer()) {
            for (int i = 0; i < 400; i++)
                plain.send(record(in, i % 2, "v" + i));
            plain.flush();
        }
        int rounds = 0;
        for (int attempt = 0; attempt < 3; attempt++) { // each begins where the last committed
            try (KafkaProducer<byte[], byte[]> producer = producer("copier-" + level);
                 KafkaConsumer<byte[], byte[]> consumer = DataTests.consumer("group.id", group, "enable.auto.commit", "false", "auto.offset.reset", "earliest",
                     "isolation.level", "read_committed", "max.poll.records", "40")) {
                producer.initTransactions();
                consumer.subscribe(List.of(in));
                int done = 0;
                long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(180);
                while (done < 5 && System.nanoTime() < end) {
                    var records = consumer.poll(Duration.ofMillis(500));
                    if (records.isEmpty() && attempt == 2 && rounds > 0)
                        break;
                    if (records.isEmpty())
                        continue;
                    producer.beginTransaction();
                    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                    for (ConsumerRecord<byte[], byte[]> r : records) {
                        producer.send(new ProducerRecord<>(out, r.partition(), null, r.value()));
                        offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                    }
                    producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                    rounds++;
                    done++;
                    if (done == 3 && attempt < 2) {
                        producer.flush();
                        producer.abortTransaction();
                        break; // what was read is read again
                    }
                    producer.commitTransaction();
                }
            }
        }
        List<String> wanted = new ArrayList<>();
        for (int i = 0; i < 400; i++)
            wanted.add("v" + i);
        Collections.sort(wanted);
        try (KafkaProducer<byte[], byte[]> producer = producer("copier-" + level);
             KafkaConsumer<byte[], byte[]> consumer = DataTests.consumer("group.id", group, "enable.auto.commit", "false", "isolation.level", "read_committed")) {
            producer.initTransactions();
            consumer.subscribe(List.of(in));
            Suite.eventually("everything is copied", () -> {
                var records = consumer.poll(Duration.ofMillis(300));
                if (!records.isEmpty()) {
                    producer.beginTransaction();
                    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                    for (ConsumerRecord<byte[], byte[]> r : records) {
                        producer.send(new ProducerRecord<>(out, r.partition(), null, r.value()));
                        offsets.put(new TopicPartition(r.topic(), r.partition()), new OffsetAndMetadata(r.offset() + 1));
                    }
                    producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                    producer.commitTransaction();
                }
                return read(out, "read_committed").size() >= 400;
            });
        }
        Suite.expectEqual(read(out, "read_committed"), wanted, "copied once");
    }

    static void timeAbortsTransactions() throws Exception {
        useLevel(2);
        DataTests.createTopic("txn-late", 1);
        Suite.expectWarnings(".*");
        try (KafkaProducer<byte[], byte[]> producer = producer("late", "transaction.timeout.ms", "4000")) {
            producer.initTransactions();
            producer.beginTransaction();
            Suite.get(producer.send(record("txn-late", 0, "late")));
            try (Admin admin = Admin.create(DataTests.properties())) {
                Suite.eventually("aborted", () ->
                    admin.describeTransactions(List.of("late")).description("late").get().state() == TransactionState.COMPLETE_ABORT);
            }
            try {
                producer.commitTransaction();
                throw new AssertionError("a transaction that timed out was committed");
            } catch (KafkaException e) {
                // as it should
            }
        }
        Suite.expectEqual(read("txn-late", "read_committed"), List.of(), "committed");
        Suite.expectEqual(read("txn-late", "read_uncommitted"), List.of("late"), "all");
    }

    static void administratorsSeeAndEndThem() throws Exception {
        useLevel(2);
        DataTests.createTopic("txn-admin", 2);
        Suite.expectWarnings(".*");
        TopicPartition partition = new TopicPartition("txn-admin", 1);
        try (Admin admin = Admin.create(DataTests.properties()); KafkaProducer<byte[], byte[]> producer = producer("seen")) {
            producer.initTransactions();
            producer.beginTransaction();
            Suite.get(producer.send(record("txn-admin", 1, "open")));
            TransactionDescription found = Suite.get(admin.describeTransactions(List.of("seen")).description("seen"));
            Suite.expectEqual(found.state(), TransactionState.ONGOING, "state");
            Suite.expectEqual(found.topicPartitions(), Set.of(partition), "partitions");
            ProducerState state = Suite.get(admin.describeProducers(List.of(partition)).partitionResult(partition)).activeProducers().get(0);
            Suite.expectEqual(state.producerId(), found.producerId(), "producer");
            Suite.expectEqual(state.currentTransactionStartOffset().getAsLong(), 0L, "start");
            List<String> listed = Suite.get(admin.listTransactions(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))
                .filterOnTransactionalIdPattern("se.*")).all()).stream().map(TransactionListing::transactionalId).toList();
            Suite.expectEqual(listed, List.of("seen"), "listed");
            Suite.get(admin.abortTransaction(new AbortTransactionSpec(partition, state.producerId(), (short) state.producerEpoch(),
                Math.max(0, state.coordinatorEpoch().orElse(0)))).all());
            Suite.expectEqual(read("txn-admin", "read_committed"), List.of(), "committed");
            Suite.get(admin.fenceProducers(List.of("seen")).all());
            Suite.eventually("aborted", () -> Suite.get(admin.describeTransactions(List.of("seen")).description("seen")).state() != TransactionState.PREPARE_ABORT);
            try {
                producer.commitTransaction();
                throw new AssertionError("a fenced producer committed");
            } catch (KafkaException e) {
                // as it should
            }
        }
    }

    static void openOnesOutliveACrash() throws Exception {
        useLevel(2);
        DataTests.createTopic("txn-crash", 2);
        Suite.expectWarnings(".*");
        Map<String, Integer> wanted = new TreeMap<>();
        try (KafkaProducer<byte[], byte[]> producer = producer("crash", "delivery.timeout.ms", "180000")) {
            producer.initTransactions();
            for (int t = 0; t < 4; t++) {
                producer.beginTransaction();
                Suite.get(producer.send(record("txn-crash", 0, "before " + t)));
                if (t % 2 == 0)
                    Suite.ask("kill");
                producer.send(record("txn-crash", 1, "after " + t));
                producer.commitTransaction();
                wanted.put("before " + t, 1);
                wanted.put("after " + t, 1);
            }
        }
        List<String> sorted = new ArrayList<>(wanted.keySet());
        Collections.sort(sorted);
        Suite.expectEqual(read("txn-crash", "read_committed"), sorted, "committed");
    }

    static void run() throws Exception {
        Suite.useBroker("num.partitions=3 transaction.abort.timed.out.transaction.cleanup.interval.ms=300 group.initial.rebalance.delay.ms=0 "
            + "offsets.topic.num.partitions=4 transaction.state.log.num.partitions=4");
        for (int level = 2; level >= 0; level--) {
            int now = level;
            Suite.test("transactions_are_whole_or_absent_at_version_" + level, () -> commitsAndAborts(now));
            Suite.test("offsets_are_committed_with_the_transaction_at_version_" + level, () -> offsetsAreCommittedWithTheTransaction(now));
        }
        Suite.test("a_second_producer_fences_the_first", TransactionTests::aSecondProducerFencesTheFirst);
        Suite.test("transactions_that_take_too_long_are_aborted", TransactionTests::timeAbortsTransactions);
        Suite.test("administrators_see_transactions_and_end_them", TransactionTests::administratorsSeeAndEndThem);
        Suite.test("open_transactions_outlive_a_crash", TransactionTests::openOnesOutliveACrash);
    }
}
