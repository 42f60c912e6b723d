package kafka.integration;

import java.io.File;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import kafka.server.BrokerServer;
import kafka.server.KafkaBroker;
import kafka.server.KafkaConfig;
import kafka.server.QuorumTestHarness;
import kafka.utils.TestUtils;
import myelin.peer.Needs;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.Time;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import scala.Option;
import scala.collection.Seq;
import scala.collection.mutable.ArrayBuffer;
import scala.collection.mutable.Buffer;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Stands before the class of this name in Kafka's tests, with the same methods. A test that wants several brokers gets the
 * first of them, and topics get as many replicas as there are brokers.
 */
public abstract class KafkaServerTestHarness extends QuorumTestHarness {
    private Seq<KafkaConfig> instanceConfigs;
    private final ArrayBuffer<KafkaBroker> brokers = new ArrayBuffer<>();
    private boolean[] alive;

    public abstract Seq<KafkaConfig> generateConfigs();

    public Seq<KafkaConfig> instanceConfigs() {
        return instanceConfigs;
    }

    public void instanceConfigs_$eq(Seq<KafkaConfig> configs) {
        instanceConfigs = configs;
    }

    public Seq<KafkaConfig> configs() {
        if (instanceConfigs == null) {
            Seq<KafkaConfig> wanted = generateConfigs();
            NewTopic.clusterIs(1, wanted.size());
            instanceConfigs = seq(List.of(wanted.head()));
        }
        return instanceConfigs;
    }

    public Buffer<KafkaBroker> brokers() {
        return brokers;
    }

    public Buffer<KafkaBroker> servers() {
        return brokers;
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    public Buffer<BrokerServer> brokerServers() {
        return (Buffer) brokers;
    }

    public boolean[] alive() {
        return alive;
    }

    public void alive_$eq(boolean[] now) {
        alive = now;
    }

    public void configureSecurityBeforeServersStart(TestInfo info) {}

    public void configureSecurityAfterServersStart() {}

    public Option<KafkaBroker> serverForId(int id) {
        return Option.apply(CollectionConverters.asJava(brokers).stream().filter(each -> each.config().brokerId() == id).findFirst().orElse(null));
    }

    public int boundPort(KafkaBroker broker) {
        return broker.boundPort(listenerName());
    }

    public String bootstrapServers(ListenerName listener) {
        return TestUtils.bootstrapServers(brokers.toSeq(), listener);
    }

    public ListenerName bootstrapServers$default$1() {
        return listenerName();
    }

    public SecurityProtocol securityProtocol() {
        return SecurityProtocol.PLAINTEXT;
    }

    public ListenerName listenerName() {
        return ListenerName.forSecurityProtocol(securityProtocol());
    }

    public Option<File> trustStoreFile() {
        return Option.empty();
    }

    public Option<Properties> serverSaslProperties() {
        return Option.empty();
    }

    public Option<Properties> clientSaslProperties() {
        return Option.empty();
    }

    public Time brokerTime(int brokerId) {
        return Time.SYSTEM;
    }

    @Override
    @BeforeEach
    public void setUp(TestInfo info) {
        super.setUp(info);
        configs();
        configureSecurityBeforeServersStart(info);
        createBrokers(true);
        configureSecurityAfterServersStart();
    }

    @Override
    @AfterEach
    public void tearDown() {
        TestUtils.shutdownServers(brokers.toSeq(), true);
        NewTopic.clusterIs(Integer.MAX_VALUE, Integer.MAX_VALUE);
        super.tearDown();
    }

    public void recreateBrokers(boolean reconfigure, boolean startup) {
        if (reconfigure)
            instanceConfigs = null;
        TestUtils.shutdownServers(brokers.toSeq(), false);
        brokers.clear();
        createBrokers(startup);
    }

    public boolean recreateBrokers$default$1() {
        return false;
    }

    public boolean recreateBrokers$default$2() {
        return false;
    }

    public void createOffsetsTopic(ListenerName listener, Properties adminConfig) {
        try (Admin admin = TestUtils.createAdminClient(brokers.toSeq(), listener, adminConfig)) {
            TestUtils.createOffsetsTopicWithAdmin(admin, brokers.toSeq(), controllerServers());
        }
    }

    public ListenerName createOffsetsTopic$default$1() {
        return listenerName();
    }

    public Properties createOffsetsTopic$default$2() {
        return new Properties();
    }

    public scala.collection.immutable.Map<Object, Object> createTopic(String topic, int partitions, int replicas, Properties config,
                                                                      ListenerName listener, Properties adminConfig) {
        try (Admin admin = TestUtils.createAdminClient(brokers.toSeq(), listener, adminConfig)) {
            return TestUtils.createTopicWithAdmin(admin, topic, brokers.toSeq(), controllerServers(), partitions, replicas,
                scala.collection.immutable.Map$.MODULE$.empty(), config);
        }
    }

    public int createTopic$default$2() {
        return 1;
    }

    public int createTopic$default$3() {
        return 1;
    }

    public Properties createTopic$default$4() {
        return new Properties();
    }

    public ListenerName createTopic$default$5() {
        return listenerName();
    }

    public Properties createTopic$default$6() {
        return new Properties();
    }

    public scala.collection.immutable.Map<Object, Object> createTopicWithAssignment(String topic,
            scala.collection.Map<Object, Seq<Object>> assignment, ListenerName listener) {
        try (Admin admin = TestUtils.createAdminClient(brokers.toSeq(), listener, new Properties())) {
            return TestUtils.createTopicWithAdmin(admin, topic, brokers.toSeq(), controllerServers(), 1, 1, assignment, new Properties());
        }
    }

    public ListenerName createTopicWithAssignment$default$3() {
        return listenerName();
    }

    public void deleteTopic(String topic, ListenerName listener) {
        try (Admin admin = TestUtils.createAdminClient(brokers.toSeq(), listener, new Properties())) {
            TestUtils.deleteTopicWithAdmin(admin, topic, aliveBrokers(), controllerServers());
        }
    }

    public ListenerName deleteTopic$default$2() {
        return listenerName();
    }

    public void addAndVerifyAcls(scala.collection.immutable.Set<AccessControlEntry> acls, ResourcePattern resource) {
        throw Needs.abort("ACLs");
    }

    public void removeAndVerifyAcls(scala.collection.immutable.Set<AccessControlEntry> acls, ResourcePattern resource) {
        throw Needs.abort("ACLs");
    }

    public int killRandomBroker() {
        killBroker(0);
        return 0;
    }

    public void killBroker(int index) {
        killBroker(index, Duration.ofMinutes(5));
    }

    public void killBroker(int index, Duration timeout) {
        if (index >= brokers.size())
            throw Needs.abort("several brokers");
        if (alive[index]) {
            brokers.apply(index).shutdown(timeout);
            brokers.apply(index).awaitShutdown();
            alive[index] = false;
        }
    }

    public void startBroker(int index) {
        if (!alive[index]) {
            brokers.apply(index).startup();
            alive[index] = true;
        }
    }

    public void restartDeadBrokers(boolean reconfigure) {
        if (reconfigure)
            instanceConfigs = null;
        configs();
        for (int i = 0; i < alive.length; i++) {
            if (!alive[i] && reconfigure)
                brokers.update(i, create(configs().apply(i)));
            startBroker(i);
        }
    }

    public boolean restartDeadBrokers$default$1() {
        return false;
    }

    public void waitForUserScramCredentialToAppearOnAllBrokers(String principal, String mechanism) {
        throw Needs.abort("SCRAM");
    }

    private Map<String, Uuid> ids() {
        return brokers.head().metadataCache().topicNamesToIds();
    }

    public scala.collection.immutable.Map<String, Uuid> getTopicIds(Seq<String> names) {
        Map<String, Uuid> found = new HashMap<>(), all = ids();
        CollectionConverters.asJava(names).forEach(name -> found.put(name, all.get(name)));
        return immutable(found);
    }

    public scala.collection.immutable.Map<String, Uuid> getTopicIds() {
        return immutable(ids());
    }

    public scala.collection.immutable.Map<Uuid, String> getTopicNames() {
        Map<Uuid, String> found = new HashMap<>();
        ids().forEach((name, id) -> found.put(id, name));
        return immutable(found);
    }

    private static <K, V> scala.collection.immutable.Map<K, V> immutable(Map<K, V> map) {
        return scala.collection.immutable.Map$.MODULE$.from(CollectionConverters.asScala(map));
    }

    private void createBrokers(boolean startup) {
        Seq<KafkaConfig> wanted = configs();
        alive = new boolean[wanted.size()];
        for (int i = 0; i < alive.length; i++) {
            brokers.addOne(create(wanted.apply(i)));
            if (startup)
                startBroker(i);
        }
    }

    private KafkaBroker create(KafkaConfig config) {
        return createBroker(config, brokerTime(config.brokerId()), false, Option.empty());
    }

    public Seq<KafkaBroker> aliveBrokers() {
        return seq(CollectionConverters.asJava(brokers).stream().filter(each -> alive[CollectionConverters.asJava(brokers).indexOf(each)]).toList());
    }

    public void ensureConsistentKRaftMetadata() {}

    public void changeClientIdConfig(String clientId, Properties config) {
        throw Needs.abort("quotas");
    }
}
