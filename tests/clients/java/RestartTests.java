import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Clients that live through the end of their broker. */
final class RestartTests {
    private RestartTests() {
    }

    /** An idempotent producer sends throughout; everything is there once and in order, and a consumer with a fetch session goes on. */
    static void clientsGoOn(String how) throws Exception {
        Suite.expectWarnings("could not be established", "terminated unexpectedly", "disconnected", "Disconnecting from node",
            "Got error produce response", "Received invalid metadata error", "fetching metadata", "FetchSessionHandler", "session");
        String topic = "restart-" + how;
        DataTests.createTopic(topic, 2);
        List<TopicPartition> partitions = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1));
        try (var producer = DataTests.producer("batch.size", "2000", "linger.ms", "1", "reconnect.backoff.max.ms", "200");
             var consumer = DataTests.consumer("reconnect.backoff.max.ms", "200")) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            Thread sender = new Thread(() -> {
                for (int i = 0; i < 30000; i++)
                    sent.add(producer.send(new ProducerRecord<>(topic, i % 2, null, DataTests.bytes("v" + i))));
            });
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            sender.start();
            var seen = DataTests.read(consumer, 1000);
            Suite.ask(how);
            sender.join();
            for (int i = 0; i < sent.size(); i++)
                Suite.expectEqual(Suite.get(sent.get(i)).offset(), (long) i / 2, "offset of record " + i);
            seen.addAll(DataTests.read(consumer, 30000 - seen.size()));
            long[] next = new long[2];
            for (var r : seen) {
                Suite.expectEqual(r.offset(), next[r.partition()], "offset that the consumer sees");
                Suite.expectEqual(DataTests.text(r.value()), "v" + (2 * r.offset() + r.partition()), "value");
                next[r.partition()]++;
            }
            Suite.expectEqual(seen.size(), 30000, "records seen");
        }
    }

    /** Topics, settings and log starts are those of before. */
    static void stateSurvives(String how) throws Exception {
        Suite.expectWarnings("could not be established", "terminated unexpectedly", "disconnected", "Not updating high watermark");
        String topic = "state-" + how;
        DataTests.createTopic(topic, 5, "retention.ms", "123456789");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        TopicPartition partition = new TopicPartition(topic, 3);
        try (Admin admin = Admin.create(DataTests.properties("reconnect.backoff.max.ms", "200")); var producer = DataTests.producer()) {
            for (int i = 0; i < 10; i++)
                Suite.get(producer.send(new ProducerRecord<>(topic, 3, null, DataTests.bytes("v"))));
            Suite.get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("segment.bytes", "2000000"),
                AlterConfigOp.OpType.SET)))).all());
            Suite.get(admin.deleteRecords(Map.of(partition, org.apache.kafka.clients.admin.RecordsToDelete.beforeOffset(6))).all());
            var before = Suite.get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
            String cluster = Suite.get(admin.describeCluster().clusterId());
            Suite.ask(how);
            var after = Suite.get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
            Suite.expectEqual(after.topicId() + " " + after.partitions().size(), before.topicId() + " 5", "topic");
            Suite.expectEqual(Suite.get(admin.describeCluster().clusterId()), cluster, "cluster id");
            var config = Suite.get(admin.describeConfigs(List.of(resource)).all()).get(resource);
            Suite.expectEqual(config.get("retention.ms").value() + " " + config.get("segment.bytes").value(), "123456789 2000000", "settings");
            try (var consumer = DataTests.consumer()) {
                /* As Kafka's, a log start that was moved by hand is written down now and then, and at a clean stop. */
                long start = consumer.beginningOffsets(List.of(partition)).get(partition);
                Suite.expect(start == 6 || (how.equals("kill") && start == 0), "log start " + start);
                Suite.expectEqual(consumer.endOffsets(List.of(partition)).get(partition), 10L, "log end");
            }
        }
    }

    static void run() {
        for (String how : List.of("restart", "kill")) {
            Suite.test("clients_go_on_after_a_" + how, () -> clientsGoOn(how));
            Suite.test("state_survives_a_" + how, () -> stateSurvives(how));
        }
    }
}
