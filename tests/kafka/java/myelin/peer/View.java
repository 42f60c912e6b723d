package myelin.peer;

import kafka.log.LogManager;
import kafka.network.SocketServer;
import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaApis;
import kafka.server.KafkaConfig;
import kafka.server.ReplicaManager;
import kafka.server.SharedServer;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.image.loader.MetadataLoader;
import org.apache.kafka.metadata.BrokerState;
import org.apache.kafka.metadata.KRaftMetadataCache;
import org.apache.kafka.raft.LogOffsetMetadata;
import org.apache.kafka.raft.RaftLog;
import org.apache.kafka.storage.internals.log.UnifiedLog;

import org.mockito.Mockito;
import org.mockito.invocation.InvocationOnMock;

import java.io.File;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;

import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/** The objects of a broker in the same JVM, as far as a node in another process can answer for them: what its settings say,
 *  what an administrator's client is told by it, and what lies in its log directories. Whatever else is asked of them aborts
 *  the test. */
public final class View implements AutoCloseable {
    private final myelin.peer.Node node;
    private final KafkaConfig config;
    private final String clusterId;
    private final ListenerName clientListener;
    private final Map<String, Short> levels;
    private final BrokerServer broker;
    private final ControllerServer controller;
    private Admin admin;

    /** What a method of a stand-in answers. */
    private interface Served {
        Object answer(String method, InvocationOnMock call) throws Exception;
    }

    private static final Object UNSERVED = new Object();

    public View(myelin.peer.Node node, KafkaConfig config, String clusterId, ListenerName clientListener, Map<String, Short> levels) {
        this.node = node;
        this.config = config;
        this.clusterId = clusterId;
        this.clientListener = clientListener;
        this.levels = levels;
        SocketServer sockets = standIn(SocketServer.class, this::sockets);
        KRaftMetadataCache metadata = standIn(KRaftMetadataCache.class, this::metadata);
        LogManager logs = standIn(LogManager.class, this::logs);
        ReplicaManager replicas = standIn(ReplicaManager.class, (method, call) -> replicas(logs, method, call));
        KafkaApis requests = standIn(KafkaApis.class, this::requests);
        MetadataLoader loader = standIn(MetadataLoader.class, (method, call) -> method.equals("lastAppliedOffset") ? (Object) 0L : UNSERVED);
        RaftLog metadataLog = standIn(RaftLog.class, (method, call) -> method.equals("endOffset") ? new LogOffsetMetadata(0) : UNSERVED);
        KafkaRaftManager<?> raft = standIn(KafkaRaftManager.class, (method, call) -> method.equals("raftLog") ? metadataLog : UNSERVED);
        SharedServer shared = standIn(SharedServer.class, (method, call) -> switch (method) {
            case "loader" -> loader;
            case "raftManager" -> raft;
            case "clusterId" -> clusterId;
            default -> UNSERVED;
        });
        this.broker = standIn(BrokerServer.class, (method, call) -> switch (method) {
            case "sharedServer" -> shared;
            case "raftManager" -> raft;
            case "socketServer" -> sockets;
            case "metadataCache" -> metadata;
            case "logManager" -> logs;
            case "replicaManager" -> replicas;
            case "dataPlaneRequestProcessor" -> requests;
            default -> server(method, call);
        });
        this.controller = standIn(ControllerServer.class, (method, call) -> switch (method) {
            case "sharedServer" -> shared;
            case "raftManager" -> raft;
            case "socketServer" -> sockets;
            default -> server(method, call);
        });
    }

    private static <T> T standIn(Class<T> type, Served served) {
        return Mockito.mock(type, Mockito.withSettings().stubOnly().defaultAnswer(call -> {
            String method = call.getMethod().getName();
            if (method.equals("toString"))
                return type.getSimpleName();
            Object answer = served.answer(method, call);
            if (answer == UNSERVED)
                throw Needs.abort("the broker's own " + type.getSimpleName() + "." + method);
            return answer;
        }));
    }

    public BrokerServer broker() {
        return broker;
    }

    public ControllerServer controller() {
        return controller;
    }

    private Object server(String method, InvocationOnMock call) {
        switch (method) {
            case "config":
                return config;
            case "clusterId":
                return clusterId;
            case "brokerState":
                return node.running() ? BrokerState.RUNNING : BrokerState.NOT_RUNNING;
            case "isShutdown":
                return !node.running();
            case "startup":
                node.start();
                return null;
            case "shutdown":
                node.stop();
                return null;
            case "awaitShutdown":
                return null;
            case "boundPort":
                return node.port(((ListenerName) call.getArgument(0)).value());
            case "authorizerPlugin":
                return Option.empty();
            default:
                return UNSERVED;
        }
    }

    private Object sockets(String method, InvocationOnMock call) {
        return method.equals("boundPort") ? (Object) node.port(((ListenerName) call.getArgument(0)).value()) : UNSERVED;
    }

    private Object requests(String method, InvocationOnMock call) {
        return method.equals("isConsumerGroupProtocolEnabled") ? (Object) (levels.getOrDefault("group.version", (short) 0) > 0) : UNSERVED;
    }

    private Object metadata(String method, InvocationOnMock call) throws Exception {
        switch (method) {
            case "numPartitions":
                return describe(call.getArgument(0)).map(topic -> topic.partitions().size());
            case "contains":
                if (call.getArgument(0) instanceof TopicPartition)
                    return has(call.getArgument(0));
                return describe(call.getArgument(0)).isPresent();
            case "getTopicId":
                return describe(call.getArgument(0)).map(TopicDescription::topicId).orElse(Uuid.ZERO_UUID);
            case "getAllTopics":
                return admin().listTopics(new ListTopicsOptions().listInternal(true)).names().get();
            case "hasAliveBroker":
                return node.running() && call.getArgument(0).equals(config.nodeId());
            case "getAliveBrokerNodes":
                return node.running() ? List.of(new Node(config.nodeId(), "localhost", node.port(((ListenerName) call.getArgument(0)).value()))) : List.of();
            default:
                return UNSERVED;
        }
    }

    /** One broker's log ends at its high watermark. */
    private Object logs(String method, InvocationOnMock call) throws Exception {
        switch (method) {
            case "liveLogDirs":
                return CollectionConverters.asScala(directories()).toSeq();
            case "getLog":
                TopicPartition partition = call.getArgument(0);
                return log(partition);
            default:
                return UNSERVED;
        }
    }

    private Option<UnifiedLog> log(TopicPartition partition) {
        return onDisk(partition).map(dir -> Option.apply(standIn(UnifiedLog.class, (method, call) -> switch (method) {
            case "dir" -> dir;
            case "topicPartition" -> partition;
            case "logStartOffset" -> offset(partition, OffsetSpec.earliest());
            case "highWatermark", "logEndOffset" -> offset(partition, OffsetSpec.latest());
            default -> UNSERVED;
        }))).orElse(Option.empty());
    }

    private long offset(TopicPartition partition, OffsetSpec spec) throws InterruptedException, ExecutionException {
        return admin().listOffsets(Map.of(partition, spec)).partitionResult(partition).get().offset();
    }

    private Object replicas(LogManager logs, String method, InvocationOnMock call) throws Exception {
        switch (method) {
            case "onlinePartition":
                if (has(call.getArgument(0)))
                    throw Needs.abort("the broker's own Partition");
                return Option.empty();
            case "localLog":
                return log(call.getArgument(0));
            case "logManager":
                return logs;
            default:
                return UNSERVED;
        }
    }

    private boolean has(TopicPartition partition) throws Exception {
        return describe(partition.topic()).filter(topic -> topic.partitions().stream().anyMatch(p -> p.partition() == partition.partition())).isPresent();
    }

    private List<File> directories() {
        return Arrays.stream(node.settings().get("log.dirs").split(",")).map(File::new).toList();
    }

    private Optional<File> onDisk(TopicPartition partition) {
        return directories().stream().map(dir -> new File(dir, partition.toString())).filter(File::isDirectory).findFirst();
    }

    private Optional<TopicDescription> describe(String topic) throws InterruptedException, ExecutionException {
        try {
            return Optional.of(admin().describeTopics(List.of(topic)).allTopicNames().get().get(topic));
        } catch (ExecutionException e) {
            if (e.getCause() instanceof UnknownTopicOrPartitionException)
                return Optional.empty();
            throw e;
        }
    }

    private synchronized Admin admin() {
        if (admin == null)
            admin = Admin.create(Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, "localhost:" + node.port(clientListener.value())));
        return admin;
    }

    @Override
    public synchronized void close() {
        if (admin != null)
            admin.close(Duration.ofSeconds(10));
        admin = null;
    }
}
