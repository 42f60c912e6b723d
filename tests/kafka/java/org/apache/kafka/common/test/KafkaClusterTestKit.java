package org.apache.kafka.common.test;

import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaConfig;

import myelin.peer.Needs;
import myelin.peer.Node;
import myelin.peer.View;

import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.Utils;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.server.common.ApiMessageAndVersion;
import org.apache.kafka.server.common.Feature;
import org.apache.kafka.server.common.MetadataVersion;

import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Stands before Kafka's class of this name on the class path: the cluster of a test is one Myelin in a process of its own.
 *  It has the first broker's id, also as a controller, and what the test sets for the first broker and the first controller. A
 *  test that asks for more brokers gets this one, and topics of one replica. */
public class KafkaClusterTestKit implements AutoCloseable {
    /** Settings that name classes to be loaded into the broker. */
    private static final List<String> PLUG_INS = List.of("authorizer.class.name", "principal.builder.class", "client.quota.callback.class",
        "create.topic.policy.class.name", "alter.config.policy.class.name", "metric.reporters", "kafka.metrics.reporters",
        "remote.log.storage.manager.class.name", "group.consumer.assignors");
    private static final List<String> REPLICAS = List.of("offsets.topic.replication.factor", "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr", "share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr",
        "default.replication.factor", "min.insync.replicas");

    public static class Builder {
        private final TestKitNodes nodes;
        private final Map<String, Object> given = new HashMap<>();
        private boolean standalone;
        private boolean deleteOnClose = true;

        public Builder(TestKitNodes nodes) {
            this.nodes = nodes;
        }

        public Builder setConfigProp(String key, Object value) {
            given.put(key, value);
            return this;
        }

        public Builder setStandalone(boolean standalone) {
            this.standalone = standalone;
            return this;
        }

        public Builder setInitialVoterSet(Map<Integer, Uuid> initialVoterSet) {
            throw Needs.abort("an initial set of voters");
        }

        public Builder setDeleteOnClose(boolean deleteOnClose) {
            this.deleteOnClose = deleteOnClose;
            return this;
        }

        public KafkaClusterTestKit build() throws Exception {
            if (nodes.brokerNodes().isEmpty() || nodes.controllerNodes().isEmpty())
                throw Needs.abort("a cluster without brokers or controllers");
            if (nodes.brokerListenerProtocol() != SecurityProtocol.PLAINTEXT || nodes.controllerListenerProtocol() != SecurityProtocol.PLAINTEXT)
                throw Needs.abort("SASL");
            return new KafkaClusterTestKit(nodes, settings(), standalone, deleteOnClose);
        }

        private Map<String, Object> settings() {
            TestKitNode broker = nodes.brokerNodes().get(nodes.brokerNodes().firstKey());
            TestKitNode controller = nodes.controllerNodes().get(nodes.controllerNodes().firstKey());
            String client = nodes.brokerListenerName().value();
            String quorum = nodes.controllerListenerName().value();
            Map<String, Object> settings = new HashMap<>(given);
            settings.putAll(broker.propertyOverrides());
            settings.putAll(controller.propertyOverrides());
            for (String name : PLUG_INS) {
                String value = String.valueOf(settings.getOrDefault(name, ""));
                if (!value.isEmpty() && !name.equals("group.consumer.assignors"))
                    throw Needs.abort("a plug-in in the broker's JVM (" + name + ")");
            }
            settings.put("process.roles", "broker,controller");
            settings.put("node.id", String.valueOf(broker.id()));
            settings.put("log.dirs", String.join(",", broker.logDataDirectories()));
            settings.put("metadata.log.dir", nodes.isCombined(broker.id()) ? controller.metadataDirectory() : broker.logDataDirectories().iterator().next());
            settings.putIfAbsent("listener.security.protocol.map", client + ":PLAINTEXT," + quorum + ":PLAINTEXT");
            settings.putIfAbsent("listeners", client + "://localhost:0," + quorum + "://localhost:0");
            if (!settings.get("listeners").toString().contains(quorum + "://"))
                settings.put("listeners", settings.get("listeners") + "," + quorum + "://localhost:0");
            settings.putIfAbsent("inter.broker.listener.name", client);
            settings.putIfAbsent("controller.listener.names", quorum);
            boolean shareStatesAreKept = !"".equals(settings.get("group.share.persister.class.name"));
            if (nodes.brokerNodes().size() > 1 || !shareStatesAreKept) {
                for (String name : REPLICAS)
                    settings.put(name, "1");
            }
            settings.putIfAbsent("log.cleaner.dedupe.buffer.size", "2097152");
            settings.putIfAbsent("log.cleaner.backoff.ms", "200");
            settings.putIfAbsent("unstable.feature.versions.enable", "true");
            settings.put("unstable.api.versions.enable", "false");
            return settings;
        }
    }

    private final TestKitNodes nodes;
    private final boolean standalone;
    private final boolean deleteOnClose;
    private final Map<String, Short> levels = new TreeMap<>();
    private final Node node;
    private final View view;
    private final MockFaultHandler fatalFaultHandler = new MockFaultHandler("fatalFaultHandler");
    private final MockFaultHandler nonFatalFaultHandler = new MockFaultHandler("nonFatalFaultHandler");

    private KafkaClusterTestKit(TestKitNodes nodes, Map<String, Object> settings, boolean standalone, boolean deleteOnClose) throws IOException {
        this.nodes = nodes;
        this.standalone = standalone;
        this.deleteOnClose = deleteOnClose;
        String quorum = nodes.controllerListenerName().value();
        this.node = new Node(new File(nodes.baseDirectory(), "node").toPath(), settings);
        String own = "localhost:" + node.port(quorum);
        node.set(standalone ? "controller.quorum.bootstrap.servers" : "controller.quorum.voters", standalone ? own : settings.get("node.id") + "@" + own);
        MetadataVersion newest = MetadataVersion.latestProduction();
        MetadataVersion version = nodes.bootstrapMetadata().metadataVersion();
        boolean unreleased = version.featureLevel() > newest.featureLevel();
        levels.put(MetadataVersion.FEATURE_NAME, (unreleased ? newest : version).featureLevel());
        for (Feature feature : Feature.PRODUCTION_FEATURES) {
            short level = nodes.bootstrapMetadata().featureLevel(feature.featureName());
            levels.put(feature.featureName(), unreleased ? (short) Math.min(level, feature.latestProduction()) : level);
        }
        if (standalone)
            levels.remove("kraft.version"); // it follows
        KafkaConfig config = new KafkaConfig(new HashMap<>(node.settings()), false);
        this.view = new View(node, config, nodes.clusterId(), nodes.brokerListenerName(), levels);
    }

    public void format() throws Exception {
        node.format(nodes.clusterId(), standalone, levels);
    }

    public void startup() {
        NewTopic.clusterIs(1, nodes.brokerNodes().size());
        node.start();
    }

    public void waitForReadyBrokers() {
        if (!node.running())
            throw new AssertionError("the broker does not run");
    }

    public Admin admin() {
        return admin(Map.of());
    }

    public Admin admin(Map<String, Object> configs) {
        return admin(configs, false);
    }

    public Admin admin(Map<String, Object> configs, boolean usingBootstrapControllers) {
        Map<String, Object> settings = new HashMap<>(configs);
        String key = usingBootstrapControllers ? AdminClientConfig.BOOTSTRAP_CONTROLLERS_CONFIG : CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG;
        settings.remove(usingBootstrapControllers ? CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG : AdminClientConfig.BOOTSTRAP_CONTROLLERS_CONFIG);
        settings.putIfAbsent(key, usingBootstrapControllers ? bootstrapControllers() : bootstrapServers());
        return Admin.create(settings);
    }

    public String bootstrapServers() {
        return "localhost:" + node.port(nodes.brokerListenerName().value());
    }

    public String bootstrapControllers() {
        return "localhost:" + node.port(nodes.controllerListenerName().value());
    }

    public Map<Integer, ControllerServer> controllers() {
        return Map.of(nodes.brokerNodes().firstKey(), view.controller());
    }

    public Controller waitForActiveController() {
        throw Needs.abort("the broker's own Controller");
    }

    public Map<Integer, BrokerServer> brokers() {
        return Map.of(nodes.brokerNodes().firstKey(), view.broker());
    }

    public Map<Integer, KafkaRaftManager<ApiMessageAndVersion>> raftManagers() {
        throw Needs.abort("the broker's own KafkaRaftManager");
    }

    public TestKitNodes nodes() {
        return nodes;
    }

    public MockFaultHandler fatalFaultHandler() {
        return fatalFaultHandler;
    }

    public MockFaultHandler nonFatalFaultHandler() {
        return nonFatalFaultHandler;
    }

    /** Fails when the process did not end well. */
    @Override
    public void close() {
        NewTopic.clusterIs(Integer.MAX_VALUE, Integer.MAX_VALUE);
        try {
            node.close();
        } finally {
            if (deleteOnClose)
                Utils.closeQuietly(() -> Utils.delete(new File(nodes.baseDirectory())), "directory");
        }
    }
}
