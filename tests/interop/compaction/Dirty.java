import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/**
 * Dirty logs and what is left of them.
 *   fill BOOTSTRAP             compacted topics with overwritten keys, tombstones, every codec, producers of every kind
 *   round BOOTSTRAP N          a few more records to each, one a request: the same batches on any broker
 *   read BOOTSTRAP             every record that is left, as lines that can be compared
 */
public class Dirty {
    static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    static final long BASE_TIME = Long.parseLong(System.getenv("BASE_TIME"));
    static final List<String> TOPICS = new ArrayList<>();
    static String bootstrap;

    static {
        for (String codec : CODECS)
            TOPICS.add("keys-" + codec);
        TOPICS.add("append-time");
        TOPICS.add("transactions");
    }

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

    static ProducerRecord<byte[], byte[]> record(String topic, Random random, int i, boolean tombstones) {
        byte[] key = ("key-" + (i % 3 == 0 ? random.nextInt(400) : random.nextInt(30))).getBytes(StandardCharsets.UTF_8);
        byte[] value = null;
        if (!tombstones || random.nextInt(9) != 0) {
            value = new byte[random.nextInt(300)];
            for (int k = 0; k < value.length; k++)
                value[k] = (byte) (k % 16 < 8 ? random.nextInt() : 'a' + i % 26);
        }
        var record = new ProducerRecord<>(topic, 0, BASE_TIME + i * 10L - (i % 5) * 1000, key, value);
        for (int h = 0; h < i % 3; h++)
            record.headers().add("h" + h, h == 1 ? null : ("header " + i).getBytes());
        return record;
    }

    static void fill() throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (String topic : TOPICS)
            topics.add(new NewTopic(topic, 1, (short) 1).configs(Map.of("cleanup.policy", "compact", "internal.segment.bytes", "20000",
                "min.cleanable.dirty.ratio", "0", "flush.ms", "200", "delete.retention.ms", "300", "message.timestamp.type",
                topic.equals("append-time") ? "LogAppendTime" : "CreateTime")));
        try (Admin admin = Admin.create(properties())) {
            admin.createTopics(topics).all().get();
        }
        Random random = new Random(1);
        for (int c = 0; c < CODECS.length; c++)
            try (var producer = producer("compression.type", CODECS[c], "enable.idempotence", c % 2 == 0 ? "true" : "false", "linger.ms", "5",
                                         "batch.size", "4000")) {
                for (int i = 0; i < 1200; i++)
                    producer.send(record("keys-" + CODECS[c], random, i, true));
                for (int i = 0; i < 100; i++)
                    producer.send(record("append-time", random, i, true));
            }
        try (var a = producer("transactional.id", "tx-a", "compression.type", "lz4"); var b = producer("transactional.id", "tx-b")) {
            a.initTransactions();
            b.initTransactions();
            for (int t = 0; t < 40; t++) {
                var producer = t % 3 == 0 ? b : a;
                producer.beginTransaction();
                for (int i = 0; i < 3 + t % 17; i++)
                    producer.send(record("transactions", random, t * 20 + i, true));
                producer.flush(); // an abort would drop what was not sent
                if (t % 4 == 3)
                    producer.abortTransaction();
                else
                    producer.commitTransaction();
            }
        }
        round(0); // the active segment holds no end of a transaction
    }

    static void round(int number) throws Exception {
        Random random = new Random(1000 + number);
        try (var producer = producer("enable.idempotence", "false")) {
            for (String topic : TOPICS)
                for (int i = 0; i < 110; i++)
                    producer.send(record(topic, random, 2000 + number * 200 + i, false)).get();
        }
    }

    static String text(byte[] bytes) {
        return bytes == null ? "null" : bytes.length + ":" + Integer.toHexString(Arrays.hashCode(bytes));
    }

    static void read() {
        for (String isolation : List.of("read_uncommitted", "read_committed"))
            for (String topic : TOPICS) {
                var tp = new TopicPartition(topic, 0);
                try (var consumer = new KafkaConsumer<>(properties("isolation.level", isolation, "enable.auto.commit", "false"),
                                                        new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
                    consumer.assign(List.of(tp));
                    consumer.seekToBeginning(List.of(tp));
                    long end = consumer.endOffsets(List.of(tp)).get(tp);
                    long deadline = System.nanoTime() + 60_000_000_000L;
                    while (consumer.position(tp) < end) {
                        if (System.nanoTime() > deadline)
                            throw new IllegalStateException("reading " + tp + " stands still at " + consumer.position(tp));
                        for (var r : consumer.poll(Duration.ofMillis(500))) {
                            StringBuilder line = new StringBuilder(isolation + " " + topic + " " + r.offset());
                            line.append(topic.equals("append-time") ? "" : " " + r.timestamp());
                            line.append(' ').append(new String(r.key(), StandardCharsets.UTF_8)).append(' ').append(text(r.value()));
                            r.headers().forEach(h -> line.append(' ').append(h.key()).append('=').append(text(h.value())));
                            System.out.println(line);
                        }
                    }
                    System.out.println(isolation + " " + topic + " end " + end);
                }
            }
    }

    public static void main(String[] args) throws Exception {
        bootstrap = args[1];
        switch (args[0]) {
            case "fill" -> fill();
            case "round" -> round(Integer.parseInt(args[2]));
            case "read" -> read();
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
