package org.apache.kafka.streams.integration.utils;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.test.KafkaClusterTestKit;
import org.apache.kafka.common.test.TestKitNodes;
import org.apache.kafka.server.util.MockTime;
import org.apache.kafka.test.TestUtils;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ExecutionException;

/** In the place of the one that Kafka's tests of streams bring: the same methods, over one Myelin, however many brokers were
 * asked for; topics have one replica. */
public class EmbeddedKafkaCluster {
    public final MockTime time;
    private final int brokers;
    private final KafkaClusterTestKit cluster;

    private interface Work<T> {
        T with(Admin admin) throws Exception;
    }

    public EmbeddedKafkaCluster(int brokers) {
        this(brokers, new Properties());
    }

    public EmbeddedKafkaCluster(int brokers, Properties settings) {
        this(brokers, settings, Map.of());
    }

    public EmbeddedKafkaCluster(int brokers, Properties settings, long timeMs) {
        this(brokers, settings, Map.of(), timeMs, System.nanoTime());
    }

    public EmbeddedKafkaCluster(int brokers, Properties settings, Map<Integer, Map<String, String>> ofEach) {
        this(brokers, settings, ofEach, System.currentTimeMillis(), System.nanoTime());
    }

    public EmbeddedKafkaCluster(int brokers, Properties settings, Map<Integer, Map<String, String>> ofEach, long timeMs, long timeNs) {
        this.brokers = brokers;
        this.time = new MockTime(timeMs, timeNs);
        Map<String, Object> all = new HashMap<>(Map.of(
            "group.streams.min.session.timeout.ms", "100",
            "group.streams.min.heartbeat.interval.ms", "100",
            "group.min.session.timeout.ms", "0",
            "group.initial.rebalance.delay.ms", "0",
            "offsets.topic.num.partitions", "5",
            "offsets.topic.replication.factor", "1",
            "transaction.state.log.num.partitions", "5",
            "transaction.state.log.replication.factor", "1",
            "log.initial.task.delay.ms", "600000")); // tests write records of 1970, which retention is not to take when a machine is slow
        settings.forEach((key, value) -> all.put(key.toString(), value));
        KafkaClusterTestKit.Builder builder = new KafkaClusterTestKit.Builder(new TestKitNodes.Builder().setCombined(true)
            .setNumBrokerNodes(brokers).setNumControllerNodes(1).setPerServerProperties(ofEach).build());
        all.forEach(builder::setConfigProp);
        try {
            this.cluster = builder.build();
        } catch (Exception failure) {
            throw new KafkaException(failure);
        }
    }

    public void start() {
        try {
            cluster.format();
            cluster.startup();
        } catch (Exception failure) {
            throw new KafkaException(failure);
        }
    }

    /** The start waits until the server serves. */
    public void verifyClusterReadiness() { }

    public void stop() {
        try {
            cluster.close();
        } catch (Exception failure) {
            throw new KafkaException(failure);
        }
    }

    public String bootstrapServers() {
        return cluster.bootstrapServers();
    }

    public boolean sslEnabled() {
        return false;
    }

    public void createTopics(String... names) throws InterruptedException {
        for (String name : names)
            createTopic(name, 1, 1, Map.of());
    }

    public void createTopic(String name) {
        createTopic(name, 1);
    }

    public void createTopic(String name, int partitions) {
        createTopic(name, partitions, 1, Map.of());
    }

    public void createTopic(String name, int partitions, int replicas) throws InterruptedException {
        createTopic(name, partitions, replicas, Map.of());
    }

    public void createTopic(String name, int partitions, int replicas, Map<String, String> settings) {
        if (replicas > brokers)
            throw new InvalidReplicationFactorException(replicas + " replicas on " + brokers + " brokers");
        NewTopic topic = new NewTopic(name, partitions, (short) 1).configs(settings);
        unless(TopicExistsException.class, admin -> admin.createTopics(Set.of(topic)).all());
    }

    public void deleteTopics(String... names) {
        for (String name : names)
            deleteTopic(name);
    }

    public void deleteTopic(String name) {
        unless(UnknownTopicOrPartitionException.class, admin -> admin.deleteTopics(Set.of(name)).all());
    }

    public void deleteAllTopics() {
        Set<String> names = administer(admin -> admin.listTopics().names().get());
        unless(UnknownTopicOrPartitionException.class, admin -> admin.deleteTopics(names).all());
    }

    public void produce(Map<String, Object> settings, String topic, Integer partition, String key, String value) {
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.send(new ProducerRecord<>(topic, partition, key == null ? null : key.getBytes(), value == null ? null : value.getBytes())).get();
        } catch (Exception failure) {
            throw new RuntimeException(failure);
        }
    }

    public Admin createAdminClient() {
        Properties settings = new Properties();
        settings.putAll(clientDefaultConfig());
        return Admin.create(settings);
    }

    public Map<String, String> clientDefaultConfig() {
        return new HashMap<>(Map.of("bootstrap.servers", bootstrapServers()));
    }

    public KafkaConsumer<byte[], byte[]> createConsumer(Map<String, Object> settings) {
        Map<String, Object> all = new HashMap<>(Map.of(
            "bootstrap.servers", bootstrapServers(), "group.id", UUID.randomUUID().toString(), "enable.auto.commit", "false",
            "auto.offset.reset", "earliest", "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class));
        all.putAll(settings);
        return new KafkaConsumer<>(all);
    }

    public KafkaConsumer<byte[], byte[]> createConsumerAndSubscribeTo(Map<String, Object> settings, String... topics) {
        return createConsumerAndSubscribeTo(settings, null, topics);
    }

    public KafkaConsumer<byte[], byte[]> createConsumerAndSubscribeTo(Map<String, Object> settings, ConsumerRebalanceListener listener, String... topics) {
        KafkaConsumer<byte[], byte[]> consumer = createConsumer(settings);
        if (listener != null)
            consumer.subscribe(Arrays.asList(topics), listener);
        else
            consumer.subscribe(Arrays.asList(topics));
        return consumer;
    }

    public void waitForRemainingTopics(long timeoutMs, String... names) throws InterruptedException {
        Set<String> wanted = Set.of(names);
        TestUtils.waitForCondition(() -> getAllTopicsInCluster().equals(wanted), timeoutMs, "the topics " + wanted);
    }

    public Set<String> getAllTopicsInCluster() {
        return administer(admin -> admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get());
    }

    public Properties getLogConfig(String topic) {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        Properties settings = new Properties();
        for (ConfigEntry entry : administer(admin -> admin.describeConfigs(Set.of(resource)).all().get()).get(resource).entries())
            if (entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG)
                settings.put(entry.name(), entry.value());
        return settings;
    }

    public void setGroupSessionTimeout(String group, int ms) {
        setGroup(group, "streams.session.timeout.ms", ms);
    }

    public void setGroupHeartbeatTimeout(String group, int ms) {
        setGroup(group, "streams.heartbeat.interval.ms", ms);
    }

    public void setGroupStandbyReplicas(String group, int replicas) {
        setGroup(group, "streams.num.standby.replicas", replicas);
    }

    public void setGroupStreamsInitialRebalanceDelay(String group, int ms) {
        setGroup(group, "streams.initial.rebalance.delay.ms", ms);
    }

    private void setGroup(String group, String key, int value) {
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry(key, String.valueOf(value)), AlterConfigOp.OpType.SET);
        administer(admin -> admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), List.of(set))).all().get());
    }

    private void unless(Class<? extends Exception> harmless, Work<KafkaFuture<Void>> work) {
        administer(admin -> {
            try {
                return work.with(admin).get();
            } catch (ExecutionException failure) {
                if (harmless.isInstance(failure.getCause()))
                    return null;
                throw failure;
            }
        });
    }

    private <T> T administer(Work<T> work) {
        try (Admin admin = createAdminClient()) {
            return work.with(admin);
        } catch (Exception failure) {
            throw new RuntimeException(failure);
        }
    }
}
