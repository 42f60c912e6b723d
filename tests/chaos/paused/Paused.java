import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A client that is stopped while it waits for a line on standard input. It tells what it did, a line each.
 *
 *     Paused producer|share|consumer BOOTSTRAP TOPIC NAME [setting value ...]
 */
final class Paused {
    private static final BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    private static String topic;

    private Paused() {
    }

    private static void tell(String what) {
        System.out.println(what);
        System.out.flush();
    }

    /** The name of the failure, or "done". */
    private static String outcome(Runnable work) {
        try {
            work.run();
            return "done";
        } catch (Throwable e) {
            return e.getClass().getSimpleName();
        }
    }

    /** Transactions, each of the records that a line names; "commit" ends one. */
    private static void produce(Properties p) throws IOException {
        p.put("key.serializer", StringSerializer.class);
        p.put("value.serializer", StringSerializer.class);
        KafkaProducer<String, String> producer = new KafkaProducer<>(p);
        producer.initTransactions();
        tell("ready");
        for (String line; (line = lines.readLine()) != null;) {
            if (line.equals("commit")) {
                tell(outcome(producer::commitTransaction));
                continue;
            }
            String records = line;
            tell(outcome(() -> {
                producer.beginTransaction();
                for (String value : records.split(" "))
                    producer.send(new ProducerRecord<>(topic, 0, null, value));
                producer.flush();
            }));
        }
        producer.close(Duration.ZERO);
    }

    /** "take N" polls until it has N records, "accept N" accepts those from the Nth on, "close" ends. */
    private static void share(Properties p) throws IOException {
        p.put("share.acknowledgement.mode", "explicit");
        p.put("key.deserializer", StringDeserializer.class);
        p.put("value.deserializer", StringDeserializer.class);
        KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(p);
        consumer.subscribe(Set.of(topic));
        List<ConsumerRecord<String, String>> held = new ArrayList<>();
        tell("ready");
        for (String line; (line = lines.readLine()) != null && !line.equals("close");) {
            int wanted = Integer.parseInt(line.split(" ")[1]);
            if (line.startsWith("accept")) {
                String failure = outcome(() -> held.subList(wanted, held.size()).forEach(record -> consumer.acknowledge(record, AcknowledgeType.ACCEPT)));
                if (failure.equals("done"))
                    failure = consumer.commitSync(Duration.ofSeconds(30)).values().stream()
                        .map(result -> result.map(e -> e.getClass().getSimpleName()).orElse("done")).findFirst().orElse("nothing to tell");
                held.clear();
                tell(failure);
                continue;
            }
            while (held.size() < wanted) {
                held.forEach(record -> consumer.acknowledge(record, AcknowledgeType.RELEASE)); /* so many at once, or none */
                held.clear();
                consumer.poll(Duration.ofMillis(200)).forEach(held::add);
            }
            tell(String.join(" ", held.stream().map(r -> r.value() + "*" + r.deliveryCount().get()).toList()));
        }
        consumer.close();
    }

    /** "take N" polls until it has N records; "commit" commits where it is; "lost" polls until its partitions are lost. */
    private static void consume(Properties p) throws IOException {
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("key.deserializer", StringDeserializer.class);
        p.put("value.deserializer", StringDeserializer.class);
        KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p);
        boolean[] lost = new boolean[1];
        consumer.subscribe(Set.of(topic), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            }

            @Override
            public void onPartitionsLost(Collection<TopicPartition> partitions) {
                lost[0] = true;
            }
        });
        tell("ready");
        for (String line; (line = lines.readLine()) != null && !line.equals("close");) {
            if (line.equals("commit")) {
                tell(outcome(consumer::commitSync));
                continue;
            }
            if (line.equals("lost")) {
                while (!lost[0]) /* it may show what had been fetched before the pause */
                    consumer.poll(Duration.ofMillis(200));
                tell("lost");
                continue;
            }
            int wanted = Integer.parseInt(line.split(" ")[1]);
            List<String> taken = new ArrayList<>();
            while (taken.size() < wanted)
                consumer.poll(Duration.ofMillis(200)).forEach(record -> taken.add(record.value()));
            tell(String.join(" ", taken));
        }
        consumer.close();
    }

    public static void main(String[] args) throws IOException {
        topic = args[2];
        Properties p = new Properties();
        p.put("bootstrap.servers", args[1]);
        p.put("enable.metrics.push", "false");
        p.put(args[0].equals("producer") ? "transactional.id" : "group.id", args[3]);
        for (int i = 4; i < args.length; i += 2)
            p.put(args[i], args[i + 1]);
        switch (args[0]) {
            case "producer" -> produce(p);
            case "share" -> share(p);
            default -> consume(p);
        }
        System.exit(0);
    }
}
