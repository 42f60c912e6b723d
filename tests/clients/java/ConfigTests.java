import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.ListConfigResourcesOptions;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Settings of topics, brokers, the cluster and client metrics. */
final class ConfigTests {
    static Admin admin;
    static final ConfigResource TOPIC = new ConfigResource(ConfigResource.Type.TOPIC, "configured");
    static final ConfigResource BROKER = new ConfigResource(ConfigResource.Type.BROKER, "1");
    static final ConfigResource CLUSTER = new ConfigResource(ConfigResource.Type.BROKER, "");
    static final ConfigResource METRICS = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "latency");

    private ConfigTests() {
    }

    static Config describe(ConfigResource resource) throws Exception {
        return Suite.get(admin.describeConfigs(List.of(resource), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all()).get(resource);
    }

    static Future<Void> alter(ConfigResource resource, AlterConfigOp... ops) {
        return admin.incrementalAlterConfigs(Map.of(resource, Arrays.asList(ops))).all();
    }

    static AlterConfigOp op(String key, String value, OpType type) {
        return new AlterConfigOp(new ConfigEntry(key, value), type);
    }

    static List<String> synonyms(ConfigEntry entry) {
        return entry.synonyms().stream().map(s -> s.source() + " " + s.name() + "=" + s.value()).toList();
    }

    static void topicsAreDescribed() throws Exception {
        DataTests.createTopic("configured", 1, "retention.ms", "1000000", "cleanup.policy", "compact,delete");
        Config config = describe(TOPIC);
        Suite.expect(config.entries().size() > 25, "settings " + config.entries().size());
        for (ConfigEntry entry : config.entries())
            Suite.expect(!entry.isSensitive() && !entry.isReadOnly() && entry.documentation() != null && entry.documentation().length() > 10
                && entry.type() != ConfigEntry.ConfigType.UNKNOWN, "setting " + entry);
        ConfigEntry retention = config.get("retention.ms");
        Suite.expectEqual(retention.value() + " " + retention.source() + " " + retention.type() + " " + retention.isDefault(),
            "1000000 DYNAMIC_TOPIC_CONFIG LONG false", "retention.ms");
        Suite.expectEqual(synonyms(retention), List.of("DYNAMIC_TOPIC_CONFIG retention.ms=1000000"), "synonyms");
        ConfigEntry bytes = config.get("segment.bytes");
        Suite.expectEqual(bytes.value() + " " + bytes.source() + " " + bytes.type() + " " + bytes.isDefault(), "1073741824 DEFAULT_CONFIG INT true", "segment.bytes");
        Suite.expectEqual(config.get("cleanup.policy").type() + " " + config.get("cleanup.policy").value(), "LIST compact,delete", "cleanup.policy");
        Suite.expectFails(UnknownTopicOrPartitionException.class, () -> admin.describeConfigs(List.of(new ConfigResource(ConfigResource.Type.TOPIC, "none"))).all());
    }

    static void topicsAreAltered() throws Exception {
        Suite.get(alter(TOPIC, op("segment.bytes", "5000000", OpType.SET), op("retention.ms", "", OpType.DELETE), op("cleanup.policy", "compact", OpType.SUBTRACT)));
        Config config = describe(TOPIC);
        Suite.expectEqual(config.get("segment.bytes").value() + " " + config.get("retention.ms").value() + " " + config.get("retention.ms").source() + " "
            + config.get("cleanup.policy").value(), "5000000 604800000 DEFAULT_CONFIG delete", "settings");
        Suite.get(alter(TOPIC, op("cleanup.policy", "compact", OpType.APPEND)));
        Suite.expectEqual(describe(TOPIC).get("cleanup.policy").value(), "delete,compact", "cleanup.policy");
        Suite.get(admin.incrementalAlterConfigs(Map.of(TOPIC, List.of(op("segment.bytes", "6000000", OpType.SET))), new AlterConfigsOptions().validateOnly(true)).all());
        Suite.expectEqual(describe(TOPIC).get("segment.bytes").value(), "5000000", "segment.bytes after a check");
        Suite.expectFails(InvalidConfigurationException.class, () -> alter(TOPIC, op("segment.bytes", "1", OpType.SET)));
        Suite.expectFails(InvalidConfigurationException.class, () -> alter(TOPIC, op("no.such.setting", "1", OpType.SET)));
        Suite.expectFails(InvalidConfigurationException.class, () -> alter(TOPIC, op("retention.ms", "1", OpType.APPEND)));
        Suite.expectFails(InvalidRequestException.class, () -> alter(TOPIC, op("retention.ms", "1", OpType.SET), op("retention.ms", "2", OpType.SET)));
        Suite.expectFails(UnknownTopicOrPartitionException.class,
            () -> alter(new ConfigResource(ConfigResource.Type.TOPIC, "none"), op("retention.ms", "1", OpType.SET)));
    }

    static void brokersAreDescribedAndAltered() throws Exception {
        Config config = describe(BROKER);
        Suite.expect(config.entries().size() > 150, "settings " + config.entries().size());
        ConfigEntry listeners = config.get("listeners");
        Suite.expectEqual(listeners.value() + " " + listeners.source(), "PLAINTEXT://" + Suite.bootstrap + " STATIC_BROKER_CONFIG", "listeners");
        Suite.expect(config.get("node.id").isReadOnly() && !config.get("message.max.bytes").isReadOnly(), "read-only settings");
        Suite.expect(config.get("ssl.keystore.password").isSensitive() && config.get("ssl.keystore.password").value() == null, "a password is shown");
        Suite.get(alter(CLUSTER, op("message.max.bytes", "2000000", OpType.SET)));
        Suite.expectEqual(describe(BROKER).get("message.max.bytes").value() + " " + describe(BROKER).get("message.max.bytes").source(),
            "2000000 DYNAMIC_DEFAULT_BROKER_CONFIG", "message.max.bytes from the cluster");
        Suite.get(alter(BROKER, op("message.max.bytes", "3000000", OpType.SET)));
        Suite.expectEqual(synonyms(describe(BROKER).get("message.max.bytes")), List.of("DYNAMIC_BROKER_CONFIG message.max.bytes=3000000",
            "DYNAMIC_DEFAULT_BROKER_CONFIG message.max.bytes=2000000", "DEFAULT_CONFIG message.max.bytes=1048588"), "synonyms");
        Suite.expectEqual(describe(TOPIC).get("max.message.bytes").value() + " " + describe(TOPIC).get("max.message.bytes").source(),
            "3000000 DYNAMIC_BROKER_CONFIG", "the topic's view");
        Suite.expectEqual(describe(CLUSTER).entries().stream().map(e -> e.name() + "=" + e.value()).toList(), List.of("message.max.bytes=2000000", "min.insync.replicas=1"), "the cluster's");
        try (var producer = DataTests.producer("max.request.size", "5000000")) {
            Suite.get(producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>("configured", DataTests.bytes("k"), new byte[2_500_000])));
            Suite.get(alter(BROKER, op("message.max.bytes", null, OpType.DELETE)));
            Suite.get(alter(CLUSTER, op("message.max.bytes", null, OpType.DELETE)));
            Suite.eventually("the limit is the default again", () -> {
                try {
                    Suite.get(producer.send(new org.apache.kafka.clients.producer.ProducerRecord<>("configured", DataTests.bytes("k"), new byte[2_500_000])));
                    return false;
                } catch (java.util.concurrent.ExecutionException e) {
                    return e.getCause() instanceof org.apache.kafka.common.errors.RecordTooLargeException;
                }
            });
        }
        Suite.expectFails(InvalidRequestException.class, () -> alter(BROKER, op("node.id", "7", OpType.SET)));
        Suite.expectFails(InvalidRequestException.class, () -> alter(BROKER, op("num.io.threads", "many", OpType.SET)));
    }

    static void clientMetricsAreConfiguredAndListed() throws Exception {
        Suite.get(alter(METRICS, op("interval.ms", "30000", OpType.SET), op("metrics", "org.apache.kafka.producer.", OpType.SET),
            op("match", "client_software_name=apache-kafka-java", OpType.SET)));
        Config config = describe(METRICS);
        Suite.expectEqual(config.get("interval.ms").value() + " " + config.get("interval.ms").source() + " " + config.get("match").value(),
            "30000 DYNAMIC_CLIENT_METRICS_CONFIG client_software_name=apache-kafka-java", "settings");
        Suite.expectFails(InvalidRequestException.class, () -> alter(METRICS, op("interval.ms", "1", OpType.SET)));
        Suite.expectFails(InvalidConfigurationException.class, () -> alter(METRICS, op("match", "no_such_thing=x", OpType.SET)));
        Suite.expect(Suite.get(admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS), new ListConfigResourcesOptions()).all()).contains(METRICS), "listed");
        Suite.expect(Suite.get(admin.listConfigResources().all()).containsAll(List.of(METRICS, TOPIC, BROKER)), "all listed");
        Suite.expectEqual(Suite.get(admin.listClientMetricsResources().all()).stream().map(r -> r.name()).toList(), List.of("latency"), "client metrics");
        Suite.get(alter(METRICS, op("interval.ms", null, OpType.DELETE), op("metrics", null, OpType.DELETE), op("match", null, OpType.DELETE)));
        Suite.expectEqual(Suite.get(admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS), new ListConfigResourcesOptions()).all()),
            List.of(), "client metrics after the deletion");
    }

    static void run() throws Exception {
        try (Admin one = Admin.create(DataTests.properties())) {
            admin = one;
            Suite.test("topic_settings_are_described", ConfigTests::topicsAreDescribed);
            Suite.test("topic_settings_are_altered", ConfigTests::topicsAreAltered);
            Suite.test("broker_settings_are_described_and_altered", ConfigTests::brokersAreDescribedAndAltered);
            Suite.test("client_metrics_are_configured_and_listed", ConfigTests::clientMetricsAreConfiguredAndListed);
        }
    }
}
