import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.*;

/**
 * What the directory suite does through Apache Kafka's own clients.
 *   create BOOTSTRAP            the topics
 *   produce BOOTSTRAP ROUND     records of every kind into them; same bytes for the same round
 *   open BOOTSTRAP              leaves a transaction open: prints "open" and waits for the end of its input
 *   commit BOOTSTRAP GROUP      reads with a group and commits
 *   more BOOTSTRAP ROUND        plain and idempotent records, with no need for groups or transactions
 *   read BOOTSTRAP              every topic, partition and record as lines that can be compared
 */
public class Traffic {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final long BASE_TIME = Long.parseLong(System.getenv("BASE_TIME")); // producers of old records would be forgotten
    static String bootstrap;

    static Properties properties(String... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < more.length; i += 2)
            p.put(more[i], more[i + 1]);
        return p;
    }

    static KafkaProducer<byte[], byte[]> producer(String... more) {
        return new KafkaProducer<>(properties(more), new ByteArraySerializer(), new ByteArraySerializer());
    }

    static void create() throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        // The index is full after 8 entries of 4 KiB and more: many small segments. Nothing of it is too old to be kept.
        Map<String, String> small = Map.of("segment.index.bytes", "64", "retention.ms", "-1");
        for (String codec : CODECS)
            topics.add(new NewTopic("codec-" + codec, 2, (short) 1).configs(small));
        topics.add(new NewTopic("append-time", 1, (short) 1)
            .configs(Map.of("message.timestamp.type", "LogAppendTime", "segment.index.bytes", "64")));
        topics.add(new NewTopic("compacted", 1, (short) 1).configs(Map.of("cleanup.policy", "compact", "segment.index.bytes", "64",
            "min.cleanable.dirty.ratio", "0.01", "max.compaction.lag.ms", "1000", "delete.retention.ms", "100000000")));
        topics.add(new NewTopic("deleted-records", 1, (short) 1).configs(small));
        topics.add(new NewTopic("transactions", 2, (short) 1).configs(small));
        topics.add(new NewTopic("many-partitions", 8, (short) 1).configs(Map.of("retention.ms", "-1", "compression.type", "lz4")));
        topics.add(new NewTopic("empty.topic_with-odd.name", 3, (short) 1).configs(Map.of("retention.bytes", "123456789")));
        topics.add(new NewTopic("to-be-deleted", 1, (short) 1));
        try (Admin admin = Admin.create(properties())) {
            admin.createTopics(topics).all().get();
        }
    }

    static void add(KafkaProducer<byte[], byte[]> producer, String topic, Integer partition, Random random, int i) {
        byte[] key = i % 7 == 0 ? null : ("key-" + i % 50).getBytes(StandardCharsets.UTF_8);
        byte[] value = null;
        if (i % 11 != 0) {
            value = new byte[random.nextInt(900)];
            for (int k = 0; k < value.length; k++)
                value[k] = (byte) (k % 16 < 8 ? random.nextInt() : 'a' + i % 26);
        }
        if (topic.equals("compacted") && key == null)
            key = "null".getBytes();
        // Timestamps go back and forth: batches whose largest one is not the last record's.
        ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(topic, partition, BASE_TIME + i * 10L - (i % 5) * 1000, key, value);
        for (int h = 0; h < i % 4; h++)
            record.headers().add("h" + h, h == 2 ? null : ("header " + i).getBytes());
        producer.send(record, (metadata, error) -> {
            if (error != null) {
                error.printStackTrace();
                Runtime.getRuntime().halt(1);
            }
        });
    }

    static void plain(int round, int count, boolean onlyPlain) {
        Random random = new Random(round);
        for (int c = 0; c < CODECS.length; c++) {
            try (var producer = producer("compression.type", CODECS[c], "enable.idempotence", c % 2 == 0 ? "true" : "false",
                                         "linger.ms", "5", "batch.size", "8000")) {
                for (int i = 0; i < count; i++)
                    add(producer, "codec-" + CODECS[c], i / 100 % 2, random, i);
                for (int i = 0; i < count / 4; i++)
                    add(producer, "append-time", 0, random, i);
                for (int i = 0; i < count / 4; i++)
                    add(producer, "many-partitions", i % 8, random, i);
                for (int i = 0; i < count / 2; i++)
                    add(producer, "compacted", 0, random, i);
                for (int i = 0; i < count / 2; i++)
                    add(producer, "deleted-records", 0, random, i);
                if (!onlyPlain)
                    for (int i = 0; i < 10; i++)
                        add(producer, "to-be-deleted", 0, random, i);
            }
        }
    }

    static void produce(int round) throws Exception {
        plain(round, 600, false);
        Random random = new Random(round);
        try (var a = producer("transactional.id", "tx-a", "linger.ms", "2"); var b = producer("transactional.id", "tx-b", "linger.ms", "2")) {
            a.initTransactions();
            b.initTransactions();
            for (int t = 0; t < 40; t++) {
                var producer = t % 3 == 0 ? b : a;
                producer.beginTransaction();
                for (int i = 0; i < 5 + t; i++)
                    add(producer, "transactions", (i + t) % 2, random, i);
                producer.flush(); // an abort would drop what was not sent
                if (t % 4 == 3)
                    producer.abortTransaction();
                else
                    producer.commitTransaction();
            }
        }
        try (Admin admin = Admin.create(properties())) {
            var end = admin.listOffsets(Map.of(new TopicPartition("deleted-records", 0), OffsetSpec.latest())).all().get();
            long last = end.values().iterator().next().offset();
            admin.deleteRecords(Map.of(new TopicPartition("deleted-records", 0), RecordsToDelete.beforeOffset(last * 2 / 5))).all().get();
            admin.deleteTopics(List.of("to-be-deleted")).all().get();
        }
    }

    static void open() throws Exception {
        var producer = producer("transactional.id", "tx-open", "transaction.timeout.ms", "600000");
        producer.initTransactions();
        producer.beginTransaction();
        Random random = new Random(99);
        for (int i = 0; i < 20; i++)
            add(producer, "transactions", i % 2, random, i);
        producer.flush();
        System.out.println("open");
        System.out.flush();
        while (System.in.read() >= 0) {
        }
        Runtime.getRuntime().halt(0);
    }

    static void commit(String group) {
        try (var consumer = new KafkaConsumer<>(properties("group.id", group, "auto.offset.reset", "earliest", "group.protocol", "classic"),
                                                new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(List.of("codec-none", "many-partitions"));
            int seen = 0;
            while (seen < 700)
                seen += consumer.poll(Duration.ofSeconds(5)).count();
            consumer.commitSync();
        }
    }

    static String text(byte[] bytes) {
        return bytes == null ? "null" : bytes.length < 24 ? HexFormat.of().formatHex(bytes)
            : bytes.length + ":" + Integer.toHexString(Arrays.hashCode(bytes)) + ":" + HexFormat.of().formatHex(bytes, 0, 8);
    }

    static void readPartitions(String isolation, Collection<TopicPartition> partitions) {
        try (var consumer = new KafkaConsumer<>(properties("isolation.level", isolation, "auto.offset.reset", "none", "max.partition.fetch.bytes", "2000000",
                                                           "enable.auto.commit", "false", "exclude.internal.topics", "false"),
                                                new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(partitions);
            var begin = consumer.beginningOffsets(partitions);
            var end = consumer.endOffsets(partitions);
            var sorted = new ArrayList<>(partitions);
            sorted.sort(Comparator.comparing(TopicPartition::topic).thenComparing(TopicPartition::partition));
            Map<TopicPartition, List<String>> lines = new HashMap<>();
            for (var tp : sorted)
                lines.put(tp, new ArrayList<>());
            consumer.seekToBeginning(partitions);
            long deadline = System.nanoTime() + 120_000_000_000L;
            while (true) {
                boolean done = true;
                for (var tp : sorted)
                    done = done && consumer.position(tp) >= end.get(tp);
                if (done)
                    break;
                if (System.nanoTime() > deadline)
                    throw new IllegalStateException("reading stands still");
                for (var r : consumer.poll(Duration.ofMillis(500))) {
                    StringBuilder line = new StringBuilder();
                    line.append(r.offset()).append(' ').append(r.timestampType() == TimestampType.LOG_APPEND_TIME ? "A" : "C").append(r.timestamp())
                        .append(" e").append(r.leaderEpoch().map(String::valueOf).orElse("-"))
                        .append(" k").append(text(r.key())).append(" v").append(text(r.value()));
                    for (Header h : r.headers())
                        line.append(' ').append(h.key()).append('=').append(text(h.value()));
                    lines.get(new TopicPartition(r.topic(), r.partition())).add(line.toString());
                }
            }
            for (var tp : sorted) {
                System.out.println(isolation + " " + tp + " begin " + begin.get(tp) + " end " + end.get(tp));
                for (String line : lines.get(tp))
                    System.out.println(isolation + " " + tp + " " + line);
            }
        }
    }

    static void read() throws Exception {
        List<TopicPartition> partitions = new ArrayList<>();
        try (Admin admin = Admin.create(properties())) {
            var names = new TreeSet<>(admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get());
            var topics = new TreeMap<>(admin.describeTopics(names).allTopicNames().get());
            List<ConfigResource> resources = new ArrayList<>();
            for (String name : names)
                resources.add(new ConfigResource(ConfigResource.Type.TOPIC, name));
            var configs = admin.describeConfigs(resources).all().get();
            for (var topic : topics.values()) {
                System.out.println("topic " + topic.name() + " " + topic.topicId() + " " + topic.partitions().size());
                var entries = new TreeMap<String, String>();
                for (ConfigEntry entry : configs.get(new ConfigResource(ConfigResource.Type.TOPIC, topic.name())).entries())
                    if (entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                        entries.put(entry.name(), entry.value());
                System.out.println("config " + topic.name() + " " + entries);
                for (var info : topic.partitions())
                    partitions.add(new TopicPartition(topic.name(), info.partition()));
            }
            Map<TopicPartition, OffsetSpec> asked = new HashMap<>();
            for (var tp : partitions)
                asked.put(tp, OffsetSpec.maxTimestamp());
            var newest = new ArrayList<String>();
            admin.listOffsets(asked).all().get().forEach((tp, r) -> newest.add("newest " + tp + " " + r.offset() + " " + r.timestamp()));
            for (var tp : partitions)
                asked.put(tp, OffsetSpec.forTimestamp(BASE_TIME + 3000));
            admin.listOffsets(asked).all().get().forEach((tp, r) -> newest.add("later " + tp + " " + r.offset() + " " + r.timestamp()));
            Collections.sort(newest);
            newest.forEach(System.out::println);
        }
        readPartitions("read_uncommitted", partitions);
        readPartitions("read_committed", partitions);
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        switch (args[0]) {
            case "create" -> create();
            case "produce" -> produce(Integer.parseInt(args[2]));
            case "open" -> open();
            case "commit" -> commit(args[2]);
            case "more" -> plain(Integer.parseInt(args[2]), 300, true);
            case "read" -> read();
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
