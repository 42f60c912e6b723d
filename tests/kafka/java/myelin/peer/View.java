package myelin.peer;

import kafka.cluster.Partition;
import kafka.log.LogManager;
import kafka.network.SocketServer;
import kafka.raft.KafkaRaftManager;
import kafka.server.BrokerServer;
import kafka.server.ControllerServer;
import kafka.server.KafkaApis;
import kafka.server.KafkaConfig;
import kafka.server.ReplicaManager;
import kafka.server.SharedServer;

import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.internals.Topic;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponsePartition;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseTopic;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.ListOffsetsRequest;
import org.apache.kafka.controller.Controller;
import org.apache.kafka.controller.ResultOrError;
import org.apache.kafka.coordinator.group.GroupCoordinator;
import org.apache.kafka.image.loader.MetadataLoader;
import org.apache.kafka.metadata.BrokerState;
import org.apache.kafka.metadata.KRaftMetadataCache;
import org.apache.kafka.metadata.LeaderAndIsr;
import org.apache.kafka.metadata.LeaderRecoveryState;
import org.apache.kafka.raft.LogOffsetMetadata;
import org.apache.kafka.raft.RaftLog;
import org.apache.kafka.server.BrokerLifecycleManager;
import org.apache.kafka.storage.internals.checkpoint.OffsetCheckpointFile;
import org.apache.kafka.storage.internals.log.LogCleaner;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.UnifiedLog;

import org.mockito.Mockito;
import org.mockito.invocation.InvocationOnMock;

import java.io.File;
import java.io.IOException;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;

import scala.Option;
import scala.jdk.javaapi.CollectionConverters;

/** The objects of a broker in the same JVM, as far as a node in another process can answer for them: what its settings say,
 *  what it answers to requests, and what lies in its log directories. Whatever else is asked of them aborts
 *  the test. */
public final class View {
    private final myelin.peer.Node node;
    private final KafkaConfig config;
    private final String clusterId;
    private final Map<String, Short> levels;
    private final BrokerServer broker;
    private final ControllerServer controller;
    private final Questions ask;

    /** What a method of a stand-in answers. */
    private interface Served {
        Object answer(String method, InvocationOnMock call) throws Exception;
    }

    private static final Object UNSERVED = new Object();

    public View(myelin.peer.Node node, KafkaConfig config, String clusterId, ListenerName clientListener, Map<String, Short> levels) {
        this.node = node;
        this.config = config;
        this.clusterId = clusterId;
        this.levels = levels;
        this.ask = new Questions(() -> node.port(clientListener.value()));
        SocketServer sockets = standIn(SocketServer.class, this::sockets);
        KRaftMetadataCache metadata = standIn(KRaftMetadataCache.class, this::metadata);
        LogManager logs = standIn(LogManager.class, this::logs);
        ReplicaManager replicas = standIn(ReplicaManager.class, (method, call) -> replicas(logs, method, call));
        KafkaApis requests = standIn(KafkaApis.class, (method, call) -> method.equals("metadataCache") ? metadata : requests(method, call));
        MetadataLoader loader = standIn(MetadataLoader.class, (method, call) -> method.equals("lastAppliedOffset") ? (Object) 0L : UNSERVED);
        RaftLog metadataLog = standIn(RaftLog.class, (method, call) -> method.equals("endOffset") ? new LogOffsetMetadata(0) : UNSERVED);
        KafkaRaftManager<?> raft = standIn(KafkaRaftManager.class, (method, call) -> method.equals("raftLog") ? metadataLog : UNSERVED);
        SharedServer shared = standIn(SharedServer.class, (method, call) -> switch (method) {
            case "loader" -> loader;
            case "raftManager" -> raft;
            case "clusterId" -> clusterId;
            default -> UNSERVED;
        });
        GroupCoordinator groups = standIn(GroupCoordinator.class, this::groups);
        BrokerLifecycleManager life = standIn(BrokerLifecycleManager.class, this::life);
        SocketServer quorum = standIn(SocketServer.class, this::quorum);
        Controller decider = standIn(Controller.class, this::decider);
        this.broker = standIn(BrokerServer.class, (method, call) -> switch (method) {
            case "sharedServer" -> shared;
            case "raftManager" -> raft;
            case "socketServer" -> sockets;
            case "metadataCache" -> metadata;
            case "logManager" -> logs;
            case "replicaManager" -> replicas;
            case "dataPlaneRequestProcessor" -> requests;
            case "groupCoordinator" -> groups;
            case "lifecycleManager" -> life;
            default -> server(method, call);
        });
        this.controller = standIn(ControllerServer.class, (method, call) -> switch (method) {
            case "sharedServer" -> shared;
            case "raftManager" -> raft;
            case "socketServer" -> quorum;
            case "controller" -> decider;
            default -> server(method, call);
        });
    }

    private static <T> T standIn(Class<T> type, Served served) {
        return Mockito.mock(type, Mockito.withSettings().stubOnly().defaultAnswer(call -> {
            String method = call.getMethod().getName();
            if (method.equals("toString"))
                return type.getSimpleName();
            if (method.contains("$default$"))
                return call.callRealMethod();
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

    private Object quorum(String method, InvocationOnMock call) {
        return method.equals("boundPort") ? (Object) node.port(config.controllerListenerNames().get(0)) : UNSERVED;
    }

    private Object requests(String method, InvocationOnMock call) {
        return switch (method) {
            case "isConsumerGroupProtocolEnabled" -> levels.getOrDefault("group.version", (short) 0) > 0;
            case "clusterId" -> clusterId;
            default -> UNSERVED;
        };
    }

    private Object life(String method, InvocationOnMock call) {
        return method.equals("initialUnfenceFuture") ? CompletableFuture.completedFuture(null) : UNSERVED;
    }

    /** What Kafka's coordinator wants its topic to be like. */
    private Object groups(String method, InvocationOnMock call) {
        if (!method.equals("groupMetadataTopicConfigs"))
            return UNSERVED;
        Properties wanted = new Properties();
        wanted.put("cleanup.policy", "compact");
        wanted.put("compression.type", "producer");
        wanted.put("segment.bytes", String.valueOf(config.groupCoordinatorConfig().offsetsTopicSegmentBytes()));
        return wanted;
    }

    private Object decider(String method, InvocationOnMock call) {
        Map<String, Uuid> ids = method.startsWith("find") ? ask.topicIds() : Map.of();
        switch (method) {
            case "findAllTopicIds":
                return CompletableFuture.completedFuture(ids);
            case "findTopicIds":
                Map<Object, ResultOrError<Uuid>> found = new HashMap<>();
                for (Object name : (Iterable<?>) call.getArgument(1))
                    found.put(name, ids.containsKey(name) ? new ResultOrError<>(ids.get(name)) : new ResultOrError<>(Errors.UNKNOWN_TOPIC_OR_PARTITION, null));
                return CompletableFuture.completedFuture(found);
            default:
                return UNSERVED;
        }
    }

    private Object metadata(String method, InvocationOnMock call) {
        switch (method) {
            case "numPartitions":
                return ask.topic(call.getArgument(0)).map(topic -> topic.partitions().size());
            case "contains":
                if (call.getArgument(0) instanceof TopicPartition)
                    return ask.partition(call.getArgument(0)).isPresent();
                return ask.topic(call.getArgument(0)).isPresent();
            case "getTopicId":
                return ask.topic(call.getArgument(0)).map(MetadataResponseTopic::topicId).orElse(Uuid.ZERO_UUID);
            case "getAllTopics":
                return ask.topicIds().keySet();
            case "topicNamesToIds":
                return ask.topicIds();
            case "topicConfig":
                return ask.settings(call.getArgument(0), true);
            case "getLeaderAndIsr":
                return ask.partition(new TopicPartition(call.getArgument(0), call.getArgument(1))).map(it ->
                    new LeaderAndIsr(it.leaderId(), it.leaderEpoch(), it.isrNodes(), LeaderRecoveryState.RECOVERED, 0));
            case "getPartitionLeaderEndpoint":
                return ask.partition(new TopicPartition(call.getArgument(0), call.getArgument(1))).map(it ->
                    it.leaderId() < 0 ? Node.noNode() : self(call.getArgument(2)));
            case "hasAliveBroker":
                return node.running() && call.getArgument(0).equals(config.nodeId());
            case "getAliveBrokerNodes":
                return node.running() ? List.of(self(call.getArgument(0))) : List.of();
            default:
                return UNSERVED;
        }
    }

    private Node self(ListenerName listener) {
        return new Node(config.nodeId(), "localhost", node.port(listener.value()));
    }

    private Object logs(String method, InvocationOnMock call) {
        switch (method) {
            case "liveLogDirs":
                return CollectionConverters.asScala(Arrays.stream(node.settings().get("log.dirs").split(",")).map(File::new).toList()).toSeq();
            case "getLog":
                return Option.apply(log(call.getArgument(0)));
            case "cleaner":
                return standIn(LogCleaner.class, (asked, how) -> asked.equals("awaitCleaned") ? isCleaned(how.getArgument(0), how.getArgument(1),
                    how.getArgument(2)) : UNSERVED);
            default:
                return UNSERVED;
        }
    }

    /** Of a partition that is there, or null. */
    private UnifiedLog log(TopicPartition partition) {
        if (ask.partition(partition).isEmpty())
            return null;
        ProducerStateManager producers = standIn(ProducerStateManager.class, (method, call) ->
            method.equals("activeProducers") ? ask.producers(partition) : UNSERVED);
        return standIn(UnifiedLog.class, (method, call) -> switch (method) {
            case "dir" -> ask.directory(partition);
            case "topicPartition" -> partition;
            case "logStartOffset" -> ask.offset(partition, ListOffsetsRequest.EARLIEST_TIMESTAMP);
            case "logEndOffset", "highWatermark" -> ask.offset(partition, ListOffsetsRequest.LATEST_TIMESTAMP);
            case "numberOfSegments" -> (int) Arrays.stream(ask.directory(partition).list()).filter(name -> name.endsWith(".log")).count();
            case "producerStateManager" -> producers;
            case "roll" -> roll(partition);
            case "config" -> new LogConfig(ask.settings(partition.topic(), false));
            default -> UNSERVED;
        });
    }

    /** The next record after the shortest possible time begins a segment: a commit by a group of nobody. The one before it is
     *  soon in its file, where the cleaner finds it. */
    private static final Map<String, String> ROLLING = Map.of("segment.ms", "1");
    private static final Map<String, String> SOON = Map.of("flush.ms", "100");

    private Object roll(TopicPartition partition) {
        if (!partition.equals(new TopicPartition(Topic.GROUP_METADATA_TOPIC_NAME, 0)))
            throw Needs.abort("a new segment of " + partition);
        ask.alter(partition.topic(), SOON, OpType.SET);
        ask.alter(partition.topic(), ROLLING, OpType.SET);
        ask.commit("nobody", partition);
        ask.alter(partition.topic(), ROLLING, OpType.DELETE);
        return null;
    }

    /** The cleaner's checkpoint tells how far it came. */
    private boolean isCleaned(TopicPartition partition, long offset, long timeoutMs) throws IOException, InterruptedException {
        File checkpoint = new File(ask.directory(partition).getParentFile(), "cleaner-offset-checkpoint");
        for (long end = System.nanoTime() + timeoutMs * 1_000_000; System.nanoTime() < end; Thread.sleep(20)) {
            if (checkpoint.exists() && new OffsetCheckpointFile(checkpoint, null).read().getOrDefault(partition, 0L) >= offset)
                return true;
        }
        return false;
    }

    private Object replicas(LogManager logs, String method, InvocationOnMock call) {
        switch (method) {
            case "localLog":
                return Option.apply(log(call.getArgument(0)));
            case "onlinePartition":
                return Option.apply(ask.partition(call.getArgument(0)).map(it -> online(call.getArgument(0), it)).orElse(null));
            case "logManager":
                return logs;
            default:
                return UNSERVED;
        }
    }

    private Partition online(TopicPartition partition, MetadataResponsePartition told) {
        UnifiedLog led = told.leaderId() == config.nodeId() ? log(partition) : null;
        return standIn(Partition.class, (method, call) -> switch (method) {
            case "leaderLogIfLocal" -> Option.apply(led);
            case "getLeaderEpoch" -> told.leaderEpoch();
            default -> UNSERVED;
        });
    }
}
