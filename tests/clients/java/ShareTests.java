import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** KafkaShareConsumer, and what Admin does to share groups. */
final class ShareTests {
    private ShareTests() {
    }

    static KafkaShareConsumer<byte[], byte[]> member(String group, String... settings) {
        var p = DataTests.properties(settings);
        p.put("group.id", group);
        return new KafkaShareConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static void configure(String group, String... configs) throws Exception {
        List<AlterConfigOp> ops = new ArrayList<>();
        for (int i = 0; i < configs.length; i += 2)
            ops.add(new AlterConfigOp(new ConfigEntry(configs[i], configs[i + 1]), AlterConfigOp.OpType.SET));
        try (Admin admin = Admin.create(DataTests.properties())) {
            Suite.get(admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), ops)).all());
        }
    }

    static void produce(String topic, int from, int count, String... settings) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = DataTests.producer(settings)) {
            for (int i = from; i < from + count; i++)
                producer.send(new ProducerRecord<>(topic, ("r" + i).getBytes(StandardCharsets.UTF_8)));
            producer.flush();
        }
    }

    static String text(ConsumerRecord<byte[], byte[]> record) {
        return new String(record.value(), StandardCharsets.UTF_8);
    }

    /** Polls, and does with each record as told, until there were `count`. */
    static List<ConsumerRecord<byte[], byte[]>> take(KafkaShareConsumer<byte[], byte[]> consumer, int count, AcknowledgeType type) {
        List<ConsumerRecord<byte[], byte[]>> taken = new ArrayList<>();
        long end = System.nanoTime() + 150_000_000_000L;
        while (taken.size() < count && System.nanoTime() < end)
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                taken.add(record);
                if (type != null)
                    consumer.acknowledge(record, type);
            }
        return taken;
    }

    static void commit(KafkaShareConsumer<byte[], byte[]> consumer) {
        for (Map.Entry<TopicIdPartition, java.util.Optional<KafkaException>> e : consumer.commitSync(Duration.ofSeconds(120)).entrySet())
            Suite.expect(e.getValue().isEmpty(), e.getKey() + ": " + e.getValue());
    }

    static void run() {
        Suite.test("a_share_consumer_gets_each_record_once_and_acknowledges_implicitly", () -> {
            DataTests.createTopic("share-implicit", 2);
            configure("share-implicit", "share.auto.offset.reset", "earliest");
            produce("share-implicit", 0, 2000);
            Set<String> seen = new HashSet<>();
            try (var consumer = member("share-implicit")) {
                consumer.subscribe(Set.of("share-implicit"));
                for (var record : take(consumer, 2000, null))
                    Suite.expect(seen.add(text(record)), text(record) + " came twice");
                commit(consumer);
            }
            Suite.expectEqual(seen.size(), 2000, "records");
            try (var consumer = member("share-implicit")) {
                consumer.subscribe(Set.of("share-implicit"));
                produce("share-implicit", 5000, 1);
                var more = take(consumer, 1, null);
                Suite.expectEqual(more.size(), 1, "new records after a second start");
                Suite.expectEqual(text(more.get(0)), "r5000", "the new record");
            }
        });
        Suite.test("records_released_in_a_share_group_come_again_and_rejected_ones_do_not", () -> {
            DataTests.createTopic("share-explicit", 1);
            configure("share-explicit", "share.auto.offset.reset", "earliest", "share.delivery.count.limit", "3");
            produce("share-explicit", 0, 30);
            try (var consumer = member("share-explicit", "share.acknowledgement.mode", "explicit")) {
                consumer.subscribe(Set.of("share-explicit"));
                Map<String, Integer> deliveries = new TreeMap<>();
                int done = 0;
                long end = System.nanoTime() + 150_000_000_000L;
                while (done < 30 && System.nanoTime() < end) {
                    for (var record : consumer.poll(Duration.ofMillis(500))) {
                        int times = deliveries.merge(text(record), 1, Integer::sum);
                        Suite.expectEqual((int) record.deliveryCount().get(), times, "delivery count of " + text(record));
                        int offset = (int) record.offset();
                        if (offset % 3 == 0) {
                            consumer.acknowledge(record, AcknowledgeType.ACCEPT);
                            done++;
                        } else if (offset % 3 == 1) {
                            consumer.acknowledge(record, AcknowledgeType.REJECT);
                            done++;
                        } else {
                            consumer.acknowledge(record, AcknowledgeType.RELEASE);
                            done += times == 3 ? 1 : 0;
                        }
                    }
                    consumer.commitSync();
                }
                for (int i = 0; i < 30; i++)
                    Suite.expectEqual(deliveries.get("r" + i), i % 3 == 2 ? 3 : 1, "deliveries of r" + i);
                Suite.expect(consumer.poll(Duration.ofMillis(300)).isEmpty(), "something comes again");
            }
        });
        Suite.test("two_share_consumers_split_one_partition", () -> {
            DataTests.createTopic("share-split", 1);
            configure("share-split", "share.auto.offset.reset", "earliest");
            Set<String> seen = Collections.synchronizedSet(new HashSet<>());
            AtomicReference<String> trouble = new AtomicReference<>();
            List<AtomicInteger> each = List.of(new AtomicInteger(), new AtomicInteger());
            AtomicBoolean enough = new AtomicBoolean();
            List<Thread> threads = new ArrayList<>();
            for (int m = 0; m < 2; m++) {
                int me = m;
                Thread thread = new Thread(() -> {
                    try (var consumer = member("share-split", "max.poll.records", "20", "share.acquire.mode", "record_limit")) {
                        consumer.subscribe(Set.of("share-split"));
                        while (!enough.get() && trouble.get() == null)
                            for (var record : consumer.poll(Duration.ofMillis(200))) {
                                each.get(me).incrementAndGet();
                                if (!seen.add(text(record)))
                                    trouble.compareAndSet(null, text(record) + " came twice");
                            }
                        commit(consumer);
                    } catch (Exception e) {
                        trouble.compareAndSet(null, e.toString());
                    }
                });
                threads.add(thread);
                thread.start();
            }
            Suite.eventually("both are members with a partition", () -> {
                try (Admin admin = Admin.create(DataTests.properties())) {
                    var group = Suite.get(admin.describeShareGroups(Set.of("share-split")).all()).get("share-split");
                    return group.members().size() == 2 && group.members().stream().allMatch(m -> !m.assignment().topicPartitions().isEmpty());
                } catch (java.util.concurrent.ExecutionException e) {
                    return false;
                }
            });
            try {
                AtomicInteger sent = new AtomicInteger();
                Suite.eventually("both are given records", () -> {
                    produce("share-split", sent.getAndAdd(100), 100);
                    return sent.get() >= 3000 && each.stream().allMatch(count -> count.get() > 0) || trouble.get() != null;
                });
                Suite.eventually("all records are read", () -> seen.size() >= sent.get() || trouble.get() != null);
            } finally {
                enough.set(true);
                for (Thread thread : threads)
                    thread.join();
            }
            Suite.expect(trouble.get() == null, trouble.get());
        });
        Suite.test("a_share_group_that_reads_committed_sees_no_aborted_records", () -> {
            DataTests.createTopic("share-committed", 1);
            configure("share-committed", "share.auto.offset.reset", "earliest", "share.isolation.level", "read_committed");
            try (KafkaProducer<byte[], byte[]> producer = DataTests.producer("transactional.id", "share-committed")) {
                producer.initTransactions();
                for (int t = 0; t < 6; t++) {
                    producer.beginTransaction();
                    for (int i = 0; i < 10; i++)
                        producer.send(new ProducerRecord<>("share-committed", ("t" + t + "-" + i).getBytes(StandardCharsets.UTF_8)));
                    if (t % 2 == 0)
                        producer.commitTransaction();
                    else
                        producer.abortTransaction();
                }
            }
            try (var consumer = member("share-committed")) {
                consumer.subscribe(Set.of("share-committed"));
                List<String> got = new ArrayList<>();
                for (var record : take(consumer, 30, null))
                    got.add(text(record));
                Suite.expectEqual(got.size(), 30, "records");
                for (String text : got)
                    Suite.expect((text.charAt(1) - '0') % 2 == 0, text + " was aborted");
                commit(consumer);
                Suite.expect(consumer.poll(Duration.ofMillis(300)).isEmpty(), "more records");
            }
        });
        Suite.test("a_share_group_may_begin_so_long_ago", () -> {
            DataTests.createTopic("share-since", 1);
            configure("share-since", "share.auto.offset.reset", "by_duration:PT1H");
            long now = System.currentTimeMillis();
            try (KafkaProducer<byte[], byte[]> producer = DataTests.producer()) {
                for (int i = 0; i < 20; i++)
                    producer.send(new ProducerRecord<>("share-since", 0, now - (i < 10 ? 7_200_000 : 600_000), null, DataTests.bytes("r" + i)));
                producer.flush();
            }
            try (var consumer = member("share-since")) {
                consumer.subscribe(Set.of("share-since"));
                List<String> got = take(consumer, 10, null).stream().map(ShareTests::text).toList();
                Suite.expectEqual(got, java.util.stream.IntStream.range(10, 20).mapToObj(i -> "r" + i).toList(), "records of the last hour");
                commit(consumer);
                produce("share-since", 20, 1);
                Suite.expectEqual(take(consumer, 1, null).stream().map(ShareTests::text).toList(), List.of("r20"), "what comes next");
            }
        });
        Suite.test("a_share_group_passes_over_what_is_compacted_aborted_or_deleted", () -> {
            DataTests.createTopic("share-gaps", 1, "cleanup.policy", "compact,delete", "min.cleanable.dirty.ratio", "0", "segment.ms", "100");
            configure("share-gaps", "share.auto.offset.reset", "earliest", "share.isolation.level", "read_committed");
            TopicPartition partition = new TopicPartition("share-gaps", 0);
            long then = System.currentTimeMillis() - 3_600_000;
            try (KafkaProducer<byte[], byte[]> producer = DataTests.producer()) {
                for (int i = 0; i < 40; i++) /* each in a segment of its own: four keys, ten times */
                    Suite.get(producer.send(new ProducerRecord<>("share-gaps", 0, then + i * 1000, DataTests.bytes("k" + i % 4), DataTests.bytes("r" + i))));
            }
            try (KafkaProducer<byte[], byte[]> producer = DataTests.producer("transactional.id", "share-gaps")) {
                producer.initTransactions();
                for (String kind : List.of("a", "c")) {
                    producer.beginTransaction();
                    for (int i = 0; i < 5; i++)
                        producer.send(new ProducerRecord<>("share-gaps", 0, then + 50_000, DataTests.bytes(kind + i), DataTests.bytes(kind + i)));
                    producer.flush(); /* what was not sent would be forgotten with the transaction */
                    if (kind.equals("c"))
                        producer.commitTransaction();
                    else
                        producer.abortTransaction();
                }
                producer.beginTransaction();
                producer.send(new ProducerRecord<>("share-gaps", 0, then + 60_000, DataTests.bytes("end"), DataTests.bytes("end")));
                producer.commitTransaction();
            }
            Suite.ask("restart"); /* what was in memory is in segments now */
            try (var consumer = DataTests.consumer("isolation.level", "read_committed")) {
                consumer.assign(List.of(partition));
                long last = consumer.endOffsets(List.of(partition)).get(partition);
                Suite.eventually("the topic is compacted", () -> {
                    int count = 0;
                    consumer.seekToBeginning(List.of(partition));
                    while (consumer.position(partition) < last)
                        count += consumer.poll(Duration.ofMillis(100)).count();
                    return count == 10;
                });
            }
            try (var consumer = member("share-gaps", "share.acknowledgement.mode", "explicit", "share.acquire.mode", "record_limit", "max.poll.records", "1")) {
                consumer.subscribe(Set.of("share-gaps"));
                Suite.expectEqual(take(consumer, 1, AcknowledgeType.RELEASE).stream().map(ShareTests::text).toList(), List.of("r36"), "the first record there is");
                commit(consumer);
            }
            try (Admin admin = Admin.create(DataTests.properties())) {
                Suite.get(admin.deleteRecords(Map.of(partition, org.apache.kafka.clients.admin.RecordsToDelete.beforeOffset(38))).all());
                try (var consumer = member("share-gaps")) {
                    consumer.subscribe(Set.of("share-gaps"));
                    List<String> got = take(consumer, 8, null).stream().map(ShareTests::text).toList();
                    Suite.expectEqual(got, List.of("r38", "r39", "c0", "c1", "c2", "c3", "c4", "end"), "what is left");
                    commit(consumer);
                    Suite.expect(consumer.poll(Duration.ofMillis(300)).isEmpty(), "there is more");
                }
                var spec = Map.of("share-gaps", new org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec());
                var at = Suite.get(admin.listShareGroupOffsets(spec).all()).get("share-gaps").get(partition);
                Suite.expectEqual(at.lag().orElse(-1L), 0L, "the lag of the group, which begins at " + at.startOffset() + " of 54,");
            }
        });
        Suite.test("a_closed_share_consumer_gives_back_what_it_held", () -> {
            DataTests.createTopic("share-close", 1);
            configure("share-close", "share.auto.offset.reset", "earliest");
            produce("share-close", 0, 10);
            try (var consumer = member("share-close", "share.acknowledgement.mode", "explicit")) {
                consumer.subscribe(Set.of("share-close"));
                Suite.expectEqual(take(consumer, 10, AcknowledgeType.RELEASE).size(), 10, "records");
            }
            try (var consumer = member("share-close")) {
                consumer.subscribe(Set.of("share-close"));
                var again = take(consumer, 10, null);
                Suite.expectEqual(again.size(), 10, "records again");
                Suite.expectEqual((int) again.get(0).deliveryCount().get(), 2, "delivery count");
            }
        });
        Suite.test("admin_describes_alters_and_deletes_share_groups", () -> {
            DataTests.createTopic("share-admin", 2);
            configure("share-admin", "share.auto.offset.reset", "earliest");
            produce("share-admin", 0, 100);
            TopicPartition p0 = new TopicPartition("share-admin", 0), p1 = new TopicPartition("share-admin", 1);
            try (Admin admin = Admin.create(DataTests.properties())) {
                try (var consumer = member("share-admin")) {
                    consumer.subscribe(Set.of("share-admin"));
                    take(consumer, 100, null);
                    commit(consumer);
                    Suite.expectFails(GroupNotEmptyException.class, () -> admin.deleteShareGroups(Set.of("share-admin")).all());
                }
                Suite.eventually("the group is empty", () -> Suite.get(admin.describeShareGroups(Set.of("share-admin")).all()).get("share-admin").members().isEmpty());
                var offsets = Suite.get(admin.listShareGroupOffsets(Map.of("share-admin", new org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec())).all());
                Suite.expectEqual(offsets.get("share-admin").size(), 2, "partitions with offsets");
                Suite.get(admin.alterShareGroupOffsets("share-admin", Map.of(p0, 0L, p1, 0L)).all());
                try (var consumer = member("share-admin")) {
                    consumer.subscribe(Set.of("share-admin"));
                    Suite.expectEqual(take(consumer, 100, null).size(), 100, "records after the reset");
                    commit(consumer);
                }
                Suite.get(admin.deleteShareGroupOffsets("share-admin", Set.of("share-admin")).all());
                Suite.get(admin.deleteShareGroups(Set.of("share-admin")).all());
                Suite.expectFails(GroupIdNotFoundException.class, () -> admin.describeShareGroups(Set.of("share-admin")).all());
            }
        });
        Suite.test("a_share_group_goes_on_after_kill_9", () -> {
            Suite.expectWarnings(".*");
            DataTests.createTopic("share-kill", 1);
            configure("share-kill", "share.auto.offset.reset", "earliest");
            produce("share-kill", 0, 20);
            try (var consumer = member("share-kill", "share.acknowledgement.mode", "explicit")) {
                consumer.subscribe(Set.of("share-kill"));
                for (var record : take(consumer, 20, null))
                    consumer.acknowledge(record, record.offset() < 10 ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
                commit(consumer);
                Suite.ask("kill");
                Set<Long> again = new HashSet<>();
                for (var record : take(consumer, 10, AcknowledgeType.ACCEPT))
                    again.add(record.offset());
                Suite.expectEqual(again.size(), 10, "records after the kill");
                Suite.expect(again.stream().allMatch(offset -> offset >= 10), "an accepted record came again: " + again);
            }
        });
    }
}
