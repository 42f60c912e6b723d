package kafka.server;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.stream.Stream;
import javax.security.auth.login.Configuration;
import kafka.utils.Logging;
import kafka.utils.TestInfoUtils;
import kafka.utils.TestUtils;
import myelin.peer.Node;
import myelin.peer.View;
import org.apache.kafka.clients.consumer.GroupProtocol;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.security.JaasUtils;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.storage.Formatter;
import org.apache.kafka.server.common.MetadataVersion;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.params.provider.Arguments;
import scala.Option;
import scala.collection.Seq;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Stands before the class of this name in Kafka's tests, with the same methods: the brokers that it creates are processes of
 * Myelin, and the controller is the first of them.
 */
public abstract class QuorumTestHarness implements Logging {
    private static final List<String> REPLICAS = List.of("offsets.topic.replication.factor", "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr", "share.coordinator.state.topic.replication.factor", "share.coordinator.state.topic.min.isr",
        "default.replication.factor");

    private final String clusterId = Uuid.randomUuid().toString();
    private String logIdent;
    private TestInfo testInfo;
    private final List<Node> nodes = new ArrayList<>();
    private ControllerServer controller;

    @Override
    public String logIdent() {
        return logIdent;
    }

    @Override
    public void logIdent_$eq(String ident) {
        logIdent = ident;
    }

    public SecurityProtocol controllerListenerSecurityProtocol() {
        return SecurityProtocol.PLAINTEXT;
    }

    public Seq<Properties> kraftControllerConfigs(TestInfo info) {
        return seq(List.of(new Properties()));
    }

    public MetadataVersion metadataVersion() {
        return MetadataVersion.latestTesting();
    }

    public Option<GroupProtocol> maybeGroupProtocolSpecified() {
        return TestInfoUtils.maybeGroupProtocolSpecified(testInfo);
    }

    public GroupProtocol groupProtocolFromTestParameters() {
        return maybeGroupProtocolSpecified().get();
    }

    public void addFormatterSettings(Formatter formatter) {}

    public Seq<SecurityProtocol> extraControllerSecurityProtocols() {
        return seq(List.of());
    }

    public ControllerServer controllerServer() {
        return controller;
    }

    public Seq<ControllerServer> controllerServers() {
        return seq(List.of(controllerServer()));
    }

    @BeforeEach
    public void setUp(TestInfo info) {
        testInfo = info;
    }

    /** The node has both roles. It is formatted unless its directories are an earlier one's. */
    public KafkaBroker createBroker(KafkaConfig config, Time time, boolean startup, Option<String> threadNamePrefix) {
        Map<String, Object> settings = new HashMap<>(config.originals());
        Map<String, Short> levels = new TreeMap<>();
        levels.put("transaction.version", (short) (TestInfoUtils.isTransactionV2Enabled(testInfo) ? 2 : 1));
        settings.remove("broker.id");
        settings.put("node.id", String.valueOf(config.nodeId()));
        settings.put("log.dirs", String.join(",", config.logDirs().stream().map(dir -> new File(dir).getAbsolutePath()).toList()));
        settings.put("process.roles", "broker,controller");
        settings.put("controller.listener.names", "CONTROLLER");
        settings.remove("controller.quorum.bootstrap.servers");
        String map = String.valueOf(settings.getOrDefault("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT"));
        settings.put("listener.security.protocol.map", map.contains("CONTROLLER:") ? map : map + ",CONTROLLER:PLAINTEXT");
        settings.put("listeners", settings.get("listeners") + ",CONTROLLER://localhost:0");
        REPLICAS.forEach(name -> settings.put(name, "1"));
        try {
            Node node = new Node(Files.createTempDirectory("node"), settings);
            nodes.add(node);
            node.set("controller.quorum.voters", config.nodeId() + "@localhost:" + node.port("CONTROLLER"));
            if (!new File(config.logDirs().get(0), "meta.properties").exists())
                node.format(clusterId, false, levels);
            KafkaConfig served = new KafkaConfig(new HashMap<>(node.settings()), false);
            View view = new View(node, served, clusterId, served.interBrokerListenerName(), levels);
            controller = view.controller();
            if (startup)
                view.broker().startup();
            return view.broker();
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    public Time createBroker$default$2() {
        return Time.SYSTEM;
    }

    public boolean createBroker$default$3() {
        return true;
    }

    public Option<String> createBroker$default$4() {
        return Option.empty();
    }

    @AfterEach
    public void tearDown() {
        nodes.forEach(Node::close);
        nodes.clear();
        TestUtils.clearYammerMetrics();
        System.clearProperty(JaasUtils.JAVA_LOGIN_CONFIG_PARAM);
        Configuration.setConfiguration(null);
    }

    public static Stream<Arguments> getTestGroupProtocolParametersAll() {
        return Stream.of(Arguments.of("classic"), Arguments.of("consumer"));
    }

    public static Stream<Arguments> getTestGroupProtocolParametersClassicGroupProtocolOnly() {
        return Stream.of(Arguments.of("classic"));
    }

    public static Stream<Arguments> getTestGroupProtocolParametersConsumerGroupProtocolOnly() {
        return Stream.of(Arguments.of("consumer"));
    }

    protected static <T> Seq<T> seq(List<T> list) {
        return CollectionConverters.asScala(list).toSeq();
    }
}
