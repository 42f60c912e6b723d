import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** KafkaProducer and KafkaConsumer. */
final class DataTests {
    private DataTests() {
    }

    static KafkaProducer<byte[], byte[]> producer(String... settings) {
        Properties p = properties(settings);
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static KafkaConsumer<byte[], byte[]> consumer(String... settings) {
        Properties p = properties(settings);
        return new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static Properties properties(String... settings) {
        Properties p = new Properties();
        p.put("bootstrap.servers", Suite.bootstrap);
        p.put("enable.metrics.push", "false");
        for (int i = 0; i < settings.length; i += 2)
            p.put(settings[i], settings[i + 1]);
        return p;
    }

    static void createTopic(String name, int partitions, String... configs) throws Exception {
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2)
            map.put(configs[i], configs[i + 1]);
        try (Admin admin = Admin.create(properties())) {
            Suite.get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(map))).all());
        }
    }

    static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    /** Reads on until `count` records are there. */
    static List<ConsumerRecord<byte[], byte[]>> read(KafkaConsumer<byte[], byte[]> consumer, int count) throws Exception {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long end = System.nanoTime() + 180_000_000_000L;
        while (records.size() < count) {
            Suite.expect(System.nanoTime() < end, count + " records: " + records.size() + " in 180 s, then nothing at " + consumer.assignment().stream()
                .map(p -> p + "@" + consumer.position(p)).toList());
            consumer.poll(Duration.ofMillis(500)).forEach(records::add);
        }
        return records;
    }

    static List<ConsumerRecord<byte[], byte[]>> readAll(String topic, int partitions, int count, String... settings) throws Exception {
        try (var consumer = consumer(settings)) {
            List<TopicPartition> all = new ArrayList<>();
            for (int i = 0; i < partitions; i++)
                all.add(new TopicPartition(topic, i));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            var records = read(consumer, count);
            long end = consumer.endOffsets(all).values().stream().mapToLong(Long::longValue).sum();
            Suite.expectEqual(end, (long) count, "sum of end offsets of " + topic);
            return records;
        }
    }

    static void sendAll(KafkaProducer<byte[], byte[]> producer, Collection<ProducerRecord<byte[], byte[]>> records) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (var record : records)
            sent.add(producer.send(record));
        for (var future : sent)
            Suite.get(future);
    }

    static void everyCodecGivesBackWhatWasSent() throws Exception {
        Random random = new Random(1);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            String topic = "codec-" + codec;
            createTopic(topic, 3);
            List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
            for (int i = 0; i < 3000; i++) {
                byte[] value = new byte[random.nextInt(400)];
                for (int k = 0; k < value.length; k++)
                    value[k] = (byte) (i + k % 7);
                var record = new ProducerRecord<>(topic, i % 3, 1_700_000_000_000L + i, bytes("key" + i), value);
                record.headers().add("n", bytes(String.valueOf(i))).add("empty", new byte[0]).add("null", null).add("n", bytes("again"));
                sent.add(record);
            }
            try (var producer = producer("compression.type", codec, "linger.ms", "5")) {
                sendAll(producer, sent);
            }
            var got = readAll(topic, 3, sent.size());
            got.sort((a, b) -> Long.compare(a.timestamp(), b.timestamp()));
            for (int i = 0; i < sent.size(); i++) {
                var s = sent.get(i);
                var g = got.get(i);
                Suite.expect(s.timestamp().equals(g.timestamp()) && s.partition().equals(g.partition()) && g.offset() == i / 3
                    && java.util.Arrays.equals(s.key(), g.key()) && java.util.Arrays.equals(s.value(), g.value())
                    && s.headers().equals(g.headers()), topic + ": record " + i + " differs: " + g);
                Suite.expectEqual(g.timestampType(), TimestampType.CREATE_TIME, "timestamp type");
                Suite.expectEqual(g.leaderEpoch().orElse(-1), 0, "leader epoch");
            }
        }
    }

    static void nullsStayNull() throws Exception {
        createTopic("nulls", 1);
        try (var producer = producer()) {
            sendAll(producer, List.of(new ProducerRecord<>("nulls", null, null), new ProducerRecord<>("nulls", bytes("key"), null),
                new ProducerRecord<>("nulls", null, bytes("value")), new ProducerRecord<>("nulls", new byte[0], new byte[0])));
        }
        List<String> got = readAll("nulls", 1, 4).stream().map(r -> text(r.key()) + ":" + text(r.value())).toList();
        Suite.expectEqual(got, List.of("null:null", "key:null", "null:value", ":"), "records");
    }

    static void sentRecordsTellPartitionOffsetAndTimestamp() throws Exception {
        createTopic("told", 4);
        createTopic("told-append", 1, "message.timestamp.type", "LogAppendTime");
        try (var producer = producer(); var acks1 = producer("acks", "1", "enable.idempotence", "false");
             var acks0 = producer("acks", "0", "enable.idempotence", "false")) {
            for (int i = 0; i < 8; i++) {
                RecordMetadata told = Suite.get(producer.send(new ProducerRecord<>("told", i % 4, 1000L + i, bytes("k"), bytes("v"))));
                Suite.expectEqual(told.partition() + "@" + told.offset() + "@" + told.timestamp(), i % 4 + "@" + i / 4 + "@" + (1000 + i), "metadata");
            }
            long before = System.currentTimeMillis();
            RecordMetadata told = Suite.get(producer.send(new ProducerRecord<>("told-append", 0, 5L, bytes("k"), bytes("v"))));
            Suite.expect(told.timestamp() >= before && told.timestamp() <= System.currentTimeMillis(), "append time " + told.timestamp());
            Suite.expectEqual(Suite.get(acks1.send(new ProducerRecord<>("told-append", 0, 5L, null, bytes("v")))).offset(), 1L, "offset with acks=1");
            Suite.expectEqual(Suite.get(acks0.send(new ProducerRecord<>("told-append", 0, 5L, null, bytes("v")))).hasOffset(), false, "offset with acks=0");
            var got = readAll("told-append", 1, 3);
            Suite.expect(got.stream().allMatch(r -> r.timestampType() == TimestampType.LOG_APPEND_TIME && r.timestamp() >= before), "append times");
        }
    }

    static void topicsAreCreatedByFirstUse() throws Exception {
        Suite.expectWarnings("UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE");
        try (var producer = producer(); var consumer = consumer("allow.auto.create.topics", "false")) {
            Suite.expectEqual(Suite.get(producer.send(new ProducerRecord<>("first-use", bytes("v")))).offset(), 0L, "offset");
            Suite.expectEqual(producer.partitionsFor("first-use").size(), 3, "partitions");
            Suite.expectEqual(consumer.partitionsFor("not-there"), List.of(), "partitions of an unknown topic");
            Suite.expect(consumer.listTopics().containsKey("first-use") && !consumer.listTopics().containsKey("not-there"), "topics");
            PartitionInfo info = consumer.partitionsFor("first-use").get(0);
            Suite.expectEqual(info.leader().id() + " " + info.replicas().length + " " + info.inSyncReplicas().length + " "
                + info.offlineReplicas().length, "1 1 1 0", "leader, replicas, ISR, offline");
        }
    }

    static void largeBatchesAndRecords() throws Exception {
        createTopic("large", 1, "max.message.bytes", "10485760");
        createTopic("default-limit", 1);
        Random random = new Random(2);
        try (var producer = producer("max.request.size", "20971520", "batch.size", "4194304", "linger.ms", "50", "buffer.memory", "134217728")) {
            List<ProducerRecord<byte[], byte[]>> sent = new ArrayList<>();
            for (int size : new int[] {1 << 20, 8 << 20, 100, 2 << 20, 1 << 20}) {
                byte[] value = new byte[size];
                random.nextBytes(value);
                sent.add(new ProducerRecord<>("large", value));
            }
            for (int i = 0; i < 50000; i++)
                sent.add(new ProducerRecord<>("large", bytes("small " + i)));
            sendAll(producer, sent);
            for (String[] limits : new String[][] {{}, {"fetch.max.bytes", "1000", "max.partition.fetch.bytes", "1000"}}) {
                var got = readAll("large", 1, sent.size(), limits);
                for (int i = 0; i < sent.size(); i++)
                    Suite.expect(java.util.Arrays.equals(got.get(i).value(), sent.get(i).value()), "record " + i + " differs");
            }
            Suite.expectEqual(Suite.get(producer.send(new ProducerRecord<>("default-limit", new byte[1048588 - 100]))).offset(), 0L, "a record at the limit");
            Suite.expectFails(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>("default-limit", new byte[1048588])));
            Suite.expectFails(RecordTooLargeException.class, () -> producer.send(new ProducerRecord<>("large", new byte[11 << 20])));
            Suite.expectEqual(Suite.get(producer.send(new ProducerRecord<>("default-limit", bytes("after")))).offset(), 1L, "the producer goes on");
        }
        try (var compressed = producer("max.request.size", "20971520", "compression.type", "zstd")) {
            Suite.expectEqual(Suite.get(compressed.send(new ProducerRecord<>("default-limit", new byte[5 << 20]))).offset(), 2L, "5 MB that compress");
        }
        Suite.expectEqual(readAll("default-limit", 1, 3).get(2).value().length, 5 << 20, "size");
    }

    static void refusedRecordsFailWithTheRightException() throws Exception {
        Suite.expectWarnings("INVALID_TOPIC_EXCEPTION", "invalid topics", "UNKNOWN_TOPIC_OR_PARTITION", "Got error produce response");
        createTopic("narrow", 1, "message.timestamp.before.max.ms", "1000", "message.timestamp.after.max.ms", "1000");
        createTopic("compacted", 1, "cleanup.policy", "compact");
        createTopic("isr2", 1, "min.insync.replicas", "2");
        try (var producer = producer("max.block.ms", "3000", "delivery.timeout.ms", "20000", "request.timeout.ms", "10000")) {
            Suite.expectFails(InvalidTopicException.class, () -> producer.send(new ProducerRecord<>("bad topic!", bytes("v"))));
            Suite.expectFails(TimeoutException.class, () -> producer.send(new ProducerRecord<>("narrow", 7, null, bytes("v"))));
            for (long off : new long[] {-100_000, 100_000})
                Suite.expectFails(InvalidTimestampException.class,
                    () -> producer.send(new ProducerRecord<>("narrow", 0, System.currentTimeMillis() + off, null, bytes("v"))));
            Suite.expectFails(InvalidRecordException.class, () -> producer.send(new ProducerRecord<>("compacted", null, bytes("no key"))));
            Suite.expectEqual(Suite.get(producer.send(new ProducerRecord<>("compacted", bytes("k"), bytes("v")))).offset(), 0L, "a record with a key");
            /* What is asked for is never more than there are replicas. */
            Suite.expectEqual(Suite.get(producer.send(new ProducerRecord<>("isr2", bytes("v")))).offset(), 0L, "acks=all with min.insync.replicas=2");
            Suite.expectEqual(Suite.get(producer.send(new ProducerRecord<>("narrow", bytes("fine")))).offset(), 0L, "a record of now");
        }
    }

    static void offsetsAndTimestampsAreFound() throws Exception {
        Suite.expectWarnings("Not updating high watermark");
        createTopic("lookup", 2);
        try (var producer = producer("batch.size", "200"); var consumer = consumer()) {
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < 1000; i++)
                records.add(new ProducerRecord<>("lookup", 0, 1_600_000_000_000L + 10 * i, null, bytes("v" + i)));
            sendAll(producer, records);
            TopicPartition full = new TopicPartition("lookup", 0), empty = new TopicPartition("lookup", 1);
            Suite.expectEqual(consumer.beginningOffsets(List.of(full, empty)), Map.of(full, 0L, empty, 0L), "beginning");
            Suite.expectEqual(consumer.endOffsets(List.of(full, empty)), Map.of(full, 1000L, empty, 0L), "end");
            for (int i : new int[] {0, 1, 499, 999}) {
                var found = consumer.offsetsForTimes(Map.of(full, 1_600_000_000_000L + 10 * i - 5, empty, 0L));
                Suite.expectEqual(found.get(full).offset() + " " + found.get(full).timestamp() + " " + found.get(full).leaderEpoch(),
                    i + " " + (1_600_000_000_000L + 10 * i) + " Optional[0]", "offset for a time");
                Suite.expectEqual(found.get(empty), null, "offset in an empty partition");
            }
            Suite.expectEqual(consumer.offsetsForTimes(Map.of(full, 1_700_000_000_000L)).get(full), null, "a time after the last");
            consumer.assign(List.of(full));
            for (long offset : new long[] {500, 0, 999, 123}) {
                consumer.seek(full, offset);
                Suite.expectEqual(read(consumer, 1).get(0).offset(), offset, "first record after seek");
            }
            consumer.seekToEnd(List.of(full));
            Suite.expectEqual(consumer.position(full), 1000L, "position at the end");
            Suite.expectEqual(consumer.currentLag(full).isPresent() ? consumer.currentLag(full).getAsLong() : 0L, 0L, "lag");
        }
        Suite.expectWarnings("UNKNOWN_TOPIC_OR_PARTITION", "LEADER_NOT_AVAILABLE");
        try (var consumer = consumer("default.api.timeout.ms", "1000", "allow.auto.create.topics", "false")) {
            Suite.expectFails(TimeoutException.class, () -> consumer.endOffsets(Set.of(new TopicPartition("lookup", 9))));
        }
    }

    static void offsetsOutOfRangeAreResetOrTold() throws Exception {
        createTopic("range", 1);
        TopicPartition partition = new TopicPartition("range", 0);
        try (var producer = producer()) {
            for (int i = 0; i < 10; i++)
                Suite.get(producer.send(new ProducerRecord<>("range", bytes("v" + i))));
        }
        try (var none = consumer("auto.offset.reset", "none"); var earliest = consumer("auto.offset.reset", "earliest");
             var admin = Admin.create(properties())) {
            Suite.get(admin.deleteRecords(Map.of(partition, org.apache.kafka.clients.admin.RecordsToDelete.beforeOffset(4))).all());
            for (long offset : new long[] {3, 11, 100000}) {
                none.assign(List.of(partition));
                none.seek(partition, offset);
                var e = Suite.expectFails(OffsetOutOfRangeException.class, () -> {
                    for (int i = 0; i < 60; i++)
                        none.poll(Duration.ofSeconds(1));
                    return null;
                });
                Suite.expectEqual(e.offsetOutOfRangePartitions(), Map.of(partition, offset), "partitions out of range");
                earliest.assign(List.of(partition));
                earliest.seek(partition, offset);
                Suite.expectEqual(read(earliest, 6).get(0).offset(), 4L, "first record after the reset");
            }
        }
    }

    static void aPollWaitsForTheNextRecord() throws Exception {
        createTopic("tail", 20);
        /* The broker may hold the fetch for longer than the test may take: what comes was woken by the append. */
        try (var consumer = consumer("fetch.max.wait.ms", "280000", "request.timeout.ms", "300000", "default.api.timeout.ms", "300000");
             var producer = producer()) {
            List<TopicPartition> all = new ArrayList<>();
            for (int i = 0; i < 20; i++)
                all.add(new TopicPartition("tail", i));
            consumer.assign(all);
            consumer.seekToBeginning(all);
            consumer.poll(Duration.ofMillis(100));
            for (int i = 0; i < 40; i++) {
                Suite.get(producer.send(new ProducerRecord<>("tail", i * 7 % 20, null, bytes("v" + i))));
                var got = read(consumer, 1);
                Suite.expectEqual(got.size() + " " + text(got.get(0).value()), "1 v" + i, "records");
            }
        }
        /* min.bytes: nothing before enough is there, then all of it. */
        createTopic("enough", 1);
        try (var consumer = consumer("fetch.min.bytes", "5000", "fetch.max.wait.ms", "280000", "request.timeout.ms", "300000"); var producer = producer()) {
            consumer.assign(List.of(new TopicPartition("enough", 0)));
            consumer.seekToBeginning(List.of());
            for (int i = 0; i < 10; i++)
                Suite.get(producer.send(new ProducerRecord<>("enough", new byte[1000])));
            Suite.expect(read(consumer, 5).size() >= 5, "records");
        }
    }

    static void committedReadsSeeWhatIsThere() throws Exception {
        createTopic("committed", 1);
        try (var producer = producer()) {
            for (int i = 0; i < 100; i++)
                producer.send(new ProducerRecord<>("committed", bytes("v" + i)));
        }
        Suite.expectEqual(readAll("committed", 1, 100, "isolation.level", "read_committed").size(), 100, "records");
        Suite.expectEqual(readAll("committed", 1, 100, "isolation.level", "read_uncommitted", "check.crcs", "true").size(), 100, "records");
    }

    static void manyPartitionsAreReadAtOnce() throws Exception {
        int count = 300;
        createTopic("wide", count);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < 10 * count; i++)
            records.add(new ProducerRecord<>("wide", i % count, null, bytes("v" + i)));
        try (var producer = producer("linger.ms", "10", "max.in.flight.requests.per.connection", "5")) {
            sendAll(producer, records);
        }
        var got = readAll("wide", count, records.size(), "max.poll.records", "10000");
        Set<String> seen = new java.util.HashSet<>();
        for (var r : got)
            Suite.expect(seen.add(r.partition() + "@" + r.offset()) && text(r.value()).equals("v" + (r.offset() * count + r.partition())), "record " + r);
    }

    static void oneProducerKeepsOrderWithManyBatchesInFlight() throws Exception {
        createTopic("order", 1);
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int i = 0; i < 20000; i++)
            records.add(new ProducerRecord<>("order", bytes("v" + i)));
        try (var producer = producer("batch.size", "500", "linger.ms", "0")) {
            sendAll(producer, records);
            Suite.expectEqual(producer.metrics().entrySet().stream().filter(e -> e.getKey().name().equals("record-retry-total")
                && e.getKey().group().equals("producer-metrics")).map(e -> e.getValue().metricValue()).findFirst().orElse(null), 0.0, "retries");
        }
        var got = readAll("order", 1, records.size());
        for (int i = 0; i < records.size(); i++)
            Suite.expectEqual(text(got.get(i).value()), "v" + i, "value at " + i);
    }

    static void run() {
        Suite.test("every_codec_gives_back_what_was_sent", DataTests::everyCodecGivesBackWhatWasSent);
        Suite.test("null_keys_and_values_stay_null", DataTests::nullsStayNull);
        Suite.test("sent_records_tell_partition_offset_and_timestamp", DataTests::sentRecordsTellPartitionOffsetAndTimestamp);
        Suite.test("topics_are_created_by_their_first_use", DataTests::topicsAreCreatedByFirstUse);
        Suite.test("large_batches_and_records_pass_up_to_the_limits", DataTests::largeBatchesAndRecords);
        Suite.test("refused_records_fail_with_the_right_exception", DataTests::refusedRecordsFailWithTheRightException);
        Suite.test("offsets_and_timestamps_are_found", DataTests::offsetsAndTimestampsAreFound);
        Suite.test("offsets_out_of_range_are_reset_or_told", DataTests::offsetsOutOfRangeAreResetOrTold);
        Suite.test("a_poll_waits_for_the_next_record", DataTests::aPollWaitsForTheNextRecord);
        Suite.test("committed_reads_see_what_is_there", DataTests::committedReadsSeeWhatIsThere);
        Suite.test("many_partitions_are_read_at_once", DataTests::manyPartitionsAreReadAtOnce);
        Suite.test("one_producer_keeps_its_order_with_many_batches_in_flight", DataTests::oneProducerKeepsOrderWithManyBatchesInFlight);
    }
}
