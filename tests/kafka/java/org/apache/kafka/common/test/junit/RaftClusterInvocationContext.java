package org.apache.kafka.common.test.junit;

import kafka.server.ControllerServer;
import kafka.server.KafkaBroker;

import myelin.peer.Needs;

import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.KafkaClusterTestKit;
import org.apache.kafka.common.test.TestKitNodes;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.apache.kafka.metadata.bootstrap.BootstrapMetadata;
import org.apache.kafka.server.common.Feature;
import org.apache.kafka.server.fault.FaultHandlerException;

import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/** Stands before Kafka's class of this name on the class path: one run of a test with a cluster that is one Myelin (see
 *  KafkaClusterTestKit). Topics that a test has the cluster create get one replica, as there is one broker. */
public class RaftClusterInvocationContext implements TestTemplateInvocationContext {
    private final String name;
    private final ClusterConfig config;
    private final boolean combined;

    public RaftClusterInvocationContext(String name, ClusterConfig config, boolean combined) {
        this.name = name;
        this.config = config;
        this.combined = combined;
    }

    @Override
    public String getDisplayName(int index) {
        return name + " [" + index + "] Type=Raft-" + (combined ? "Combined" : "Isolated") + ", " + String.join(",", config.displayTags());
    }

    @Override
    public List<Extension> getAdditionalExtensions() {
        Cluster cluster = new Cluster();
        return List.of((BeforeEachCallback) context -> cluster.begin(), (AfterTestExecutionCallback) context -> cluster.stop(), new ClusterInstanceParameterResolver(cluster));
    }

    private final class Cluster implements ClusterInstance {
        private KafkaClusterTestKit kit;
        private boolean started;
        private boolean stopped;

        void begin() throws Exception {
            try {
                format();
                if (config.isAutoStart())
                    start();
            } catch (Exception e) {
                stop();
                throw e;
            }
        }

        void format() throws Exception {
            if (kit != null)
                return;
            Map<String, Short> levels = new TreeMap<>();
            for (Feature feature : Feature.PRODUCTION_FEATURES)
                levels.put(feature.featureName(), feature.defaultLevel(config.metadataVersion()));
            config.features().forEach((feature, level) -> levels.put(feature.featureName(), level));
            TestKitNodes nodes = new TestKitNodes.Builder()
                .setBootstrapMetadata(BootstrapMetadata.fromVersions(config.metadataVersion(), levels, "test"))
                .setCombined(combined)
                .setNumBrokerNodes(config.numBrokers())
                .setNumControllerNodes(config.numControllers())
                .setNumDisksPerBroker(config.numDisksPerBroker())
                .setPerServerProperties(config.perServerOverrideProperties())
                .setBrokerListenerName(config.brokerListenerName())
                .setBrokerSecurityProtocol(config.brokerSecurityProtocol())
                .setControllerListenerName(config.controllerListenerName())
                .setControllerSecurityProtocol(config.controllerSecurityProtocol())
                .build();
            KafkaClusterTestKit.Builder builder = new KafkaClusterTestKit.Builder(nodes).setStandalone(config.standalone());
            config.serverProperties().forEach(builder::setConfigProp);
            kit = builder.build();
            kit.format();
        }

        @Override
        public Type type() {
            return combined ? Type.CO_KRAFT : Type.KRAFT;
        }

        @Override
        public Map<Integer, KafkaBroker> brokers() {
            return new HashMap<>(kit.brokers());
        }

        @Override
        public Map<Integer, ControllerServer> controllers() {
            return kit.controllers();
        }

        @Override
        public ClusterConfig config() {
            return config;
        }

        @Override
        public Set<Integer> controllerIds() {
            return kit.controllers().keySet();
        }

        @Override
        public ListenerName clientListener() {
            return config.brokerListenerName();
        }

        @Override
        public ListenerName controllerListenerName() {
            return config.controllerListenerName();
        }

        @Override
        public String bootstrapServers() {
            return kit.bootstrapServers();
        }

        @Override
        public String bootstrapControllers() {
            return kit.bootstrapControllers();
        }

        @Override
        public String clusterId() {
            return kit.nodes().clusterId();
        }

        @Override
        public Optional<FaultHandlerException> firstFatalException() {
            return Optional.empty();
        }

        @Override
        public Optional<FaultHandlerException> firstNonFatalException() {
            return Optional.empty();
        }

        @Override
        public void start() {
            try {
                format();
            } catch (RuntimeException e) {
                throw e;
            } catch (Exception e) {
                throw new RuntimeException(e);
            }
            if (!started)
                kit.startup();
            started = true;
        }

        @Override
        public boolean started() {
            return started;
        }

        @Override
        public void stop() {
            if (!stopped && kit != null) {
                stopped = true;
                kit.close();
            }
        }

        @Override
        public boolean stopped() {
            return stopped;
        }

        @Override
        public void shutdownBroker(int brokerId) {
            broker(brokerId).shutdown();
        }

        @Override
        public void startBroker(int brokerId) {
            broker(brokerId).startup();
        }

        private KafkaBroker broker(int brokerId) {
            KafkaBroker broker = kit.brokers().get(brokerId);
            if (broker == null && brokerId < config.numBrokers())
                throw Needs.abort("several brokers");
            if (broker == null)
                throw new IllegalArgumentException("no broker has the id " + brokerId);
            return broker;
        }

        @Override
        public void waitForReadyBrokers() {
            kit.waitForReadyBrokers();
        }

        @Override
        public void createTopic(String topic, int partitions, short replicas, Map<String, String> settings) throws InterruptedException {
            Map<String, String> ours = new HashMap<>(settings);
            if (config.numBrokers() > 1)
                ours.computeIfPresent("min.insync.replicas", (key, value) -> "1");
            ClusterInstance.super.createTopic(topic, partitions, config.numBrokers() > 1 ? 1 : replicas, ours);
        }
    }
}
