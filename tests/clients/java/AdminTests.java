import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicaAssignmentException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.InvalidUpdateVersionException;
import org.apache.kafka.common.errors.KafkaStorageException;
import org.apache.kafka.common.errors.LogDirNotFoundException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Admin: topics, cluster, offsets, directories. Settings are in ConfigTests. */
final class AdminTests {
    static Admin admin;

    private AdminTests() {
    }

    static void topicsAreCreatedWithWhatWasAsked() throws Exception {
        var result = admin.createTopics(List.of(
            new NewTopic("made", 4, (short) 1).configs(Map.of("retention.ms", "86400000", "cleanup.policy", "compact")),
            new NewTopic("assigned", Map.of(0, List.of(1), 1, List.of(1))),
            new NewTopic("defaults", Optional.empty(), Optional.empty())));
        Suite.get(result.all());
        Suite.expectEqual(Suite.get(result.numPartitions("made")) + " " + Suite.get(result.replicationFactor("made")), "4 1", "told of made");
        Suite.expectEqual(Suite.get(result.numPartitions("defaults")), 3, "default partitions");
        var config = Suite.get(result.config("made"));
        Suite.expectEqual(config.get("retention.ms").value() + " " + config.get("cleanup.policy").value(), "86400000 compact", "settings told");
        var described = Suite.get(admin.describeTopics(List.of("made", "assigned", "defaults"),
            new DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames());
        var made = described.get("made");
        Suite.expectEqual(made.partitions().size() + " " + described.get("assigned").partitions().size(), "4 2", "partitions");
        Suite.expectEqual(made.topicId(), Suite.get(result.topicId("made")), "topic id");
        Suite.expect(!made.isInternal(), "internal");
        Suite.expectEqual(new TreeSet<>(made.authorizedOperations()), new TreeSet<>(Set.of(AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE,
            AclOperation.DELETE, AclOperation.ALTER, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS)), "operations");
        for (var p : made.partitions()) {
            Suite.expectEqual(p.leader().id() + " " + p.replicas().size() + " " + p.isr().size() + " " + p.leader().port(),
                "1 1 1 " + Suite.bootstrap.split(":")[1], "leader, replicas, ISR, port");
            Suite.expectEqual(p.elr() + " " + p.lastKnownElr(), "[] []", "ELR");
        }
        Suite.expectEqual(Suite.get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(made.topicId()))).allTopicIds()).get(made.topicId()).name(),
            "made", "described by id");
        Suite.expectEqual(Suite.get(admin.describeTopics(List.of("made"), new DescribeTopicsOptions().partitionSizeLimitPerResponse(2)).allTopicNames())
            .get("made").partitions().size(), 4, "partitions in pages of two");
        var listed = Suite.get(admin.listTopics(new ListTopicsOptions().listInternal(true)).namesToListings());
        Suite.expectEqual(listed.get("made").topicId(), made.topicId(), "listed id");
    }

    static void validatingCreatesNothing() throws Exception {
        var only = new CreateTopicsOptions().validateOnly(true);
        var result = admin.createTopics(List.of(new NewTopic("only-checked", 2, (short) 1)), only);
        Suite.get(result.all());
        Suite.expectEqual(Suite.get(result.numPartitions("only-checked")), 2, "partitions told");
        Suite.expectFails(InvalidReplicationFactorException.class, () -> admin.createTopics(List.of(new NewTopic("only-checked", 2, (short) 3)), only).all());
        Suite.expectFails(UnknownTopicOrPartitionException.class, () -> admin.describeTopics(List.of("only-checked")).allTopicNames());
        Suite.get(admin.createPartitions(Map.of("made", NewPartitions.increaseTo(9)), new CreatePartitionsOptions().validateOnly(true)).all());
        Suite.expectEqual(Suite.get(admin.describeTopics(List.of("made")).allTopicNames()).get("made").partitions().size(), 4, "partitions");
    }

    static Future<Void> create(NewTopic topic) {
        return admin.createTopics(List.of(topic)).all();
    }

    static void badTopicsAreRefusedWithTheRightException() throws Exception {
        Suite.expectFails(TopicExistsException.class, () -> create(new NewTopic("made", 1, (short) 1)));
        for (String name : List.of("bad name", "..", "x".repeat(250)))
            Suite.expectFails(InvalidTopicException.class, () -> create(new NewTopic(name, 1, (short) 1)));
        Suite.expectFails(InvalidPartitionsException.class, () -> create(new NewTopic("t", 0, (short) 1)));
        Suite.expectFails(InvalidReplicationFactorException.class, () -> create(new NewTopic("t", 1, (short) 2)));
        Suite.expectFails(InvalidReplicationFactorException.class, () -> create(new NewTopic("t", 1, (short) 0)));
        Suite.expectFails(InvalidConfigurationException.class, () -> create(new NewTopic("t", 1, (short) 1).configs(Map.of("no.such.setting", "1"))));
        Suite.expectFails(InvalidConfigurationException.class, () -> create(new NewTopic("t", 1, (short) 1).configs(Map.of("retention.ms", "soon"))));
        Suite.expectFails(InvalidConfigurationException.class, () -> create(new NewTopic("t", 1, (short) 1).configs(Map.of("cleanup.policy", "burn"))));
        Suite.expectFails(InvalidReplicaAssignmentException.class, () -> create(new NewTopic("t", Map.of(0, List.of(7)))));
        Suite.expectFails(InvalidReplicaAssignmentException.class, () -> create(new NewTopic("t", Map.of(0, List.of(1, 1)))));
        Suite.expectFails(InvalidReplicaAssignmentException.class, () -> create(new NewTopic("t", Map.of(1, List.of(1)))));
        /* One bad topic does not take the others with it; names that collide as metrics are refused. */
        var result = admin.createTopics(List.of(new NewTopic("with.dot", 1, (short) 1), new NewTopic("bad name", 1, (short) 1)));
        Suite.get(result.values().get("with.dot"));
        Suite.expectFails(InvalidTopicException.class, () -> create(new NewTopic("with_dot", 1, (short) 1)));
    }

    static void partitionsAreAdded() throws Exception {
        Suite.get(admin.createPartitions(Map.of("made", NewPartitions.increaseTo(6), "assigned", NewPartitions.increaseTo(3, List.of(List.of(1))))).all());
        var described = Suite.get(admin.describeTopics(List.of("made", "assigned")).allTopicNames());
        Suite.expectEqual(described.get("made").partitions().size() + " " + described.get("assigned").partitions().size(), "6 3", "partitions");
        try (var producer = DataTests.producer()) {
            Suite.expectEqual(Suite.get(producer.send(new ProducerRecord<>("assigned", 2, null, DataTests.bytes("v")))).offset(), 0L, "offset");
        }
        for (int count : new int[] {6, 2})
            Suite.expectFails(InvalidPartitionsException.class, () -> admin.createPartitions(Map.of("made", NewPartitions.increaseTo(count))).all());
        Suite.expectFails(UnknownTopicOrPartitionException.class, () -> admin.createPartitions(Map.of("none", NewPartitions.increaseTo(2))).all());
        Suite.expectFails(InvalidReplicaAssignmentException.class,
            () -> admin.createPartitions(Map.of("made", NewPartitions.increaseTo(8, List.of(List.of(1))))).all());
    }

    static void topicsAreDeletedByNameAndById() throws Exception {
        for (String name : List.of("gone-1", "gone-2"))
            DataTests.createTopic(name, 3);
        Uuid id = Suite.get(admin.describeTopics(List.of("gone-2")).allTopicNames()).get("gone-2").topicId();
        Suite.get(admin.deleteTopics(List.of("gone-1")).all());
        Suite.get(admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        Set<String> names = Suite.get(admin.listTopics().names());
        Suite.expect(!names.contains("gone-1") && !names.contains("gone-2"), "topics " + names);
        Suite.expectFails(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of("gone-1")).all());
        Suite.expectFails(UnknownTopicIdException.class, () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
        Suite.expectFails(UnknownTopicIdException.class, () -> admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds());
        DataTests.createTopic("gone-1", 1);
        Suite.expectEqual(Suite.get(admin.listOffsets(Map.of(new TopicPartition("gone-1", 0), OffsetSpec.latest())).all()).values().iterator().next().offset(),
            0L, "the new topic of the name is empty");
    }

    static void theClusterIsDescribed() throws Exception {
        var cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
        Suite.expectEqual(Suite.get(cluster.clusterId()).length(), 22, "length of the cluster id");
        Suite.expectEqual(Suite.get(cluster.controller()).id(), 1, "controller");
        Suite.expectEqual(Suite.get(cluster.nodes()).stream().map(n -> n.id() + "@" + n.host() + ":" + n.port()).toList(),
            List.of("1@" + Suite.bootstrap), "nodes");
        Suite.expectEqual(new TreeSet<>(Suite.get(cluster.authorizedOperations())), new TreeSet<>(Set.of(AclOperation.CREATE, AclOperation.ALTER,
            AclOperation.DESCRIBE, AclOperation.CLUSTER_ACTION, AclOperation.DESCRIBE_CONFIGS, AclOperation.ALTER_CONFIGS, AclOperation.IDEMPOTENT_WRITE)),
            "operations");
        var quorum = Suite.get(admin.describeMetadataQuorum().quorumInfo());
        Suite.expectEqual(quorum.leaderId() + " " + quorum.voters().size() + " " + quorum.voters().get(0).replicaId(), "1 1 1", "leader and voters");
        Suite.expect(quorum.leaderEpoch() > 0 && quorum.highWatermark() > 0 && quorum.voters().get(0).logEndOffset() >= quorum.highWatermark(), "quorum " + quorum);
    }

    static void featuresAreDescribedAndUpdated() throws Exception {
        var features = Suite.get(admin.describeFeatures().featureMetadata());
        Suite.expect(features.supportedFeatures().keySet().containsAll(Set.of("metadata.version", "group.version", "transaction.version", "kraft.version")),
            "supported " + features.supportedFeatures());
        short level = features.finalizedFeatures().get("metadata.version").maxVersionLevel();
        Suite.expect(features.finalizedFeaturesEpoch().isPresent() && level >= 25, "finalized " + features);
        short max = features.supportedFeatures().get("metadata.version").maxVersion();
        Suite.expectFails(InvalidUpdateVersionException.class, () -> admin.updateFeatures(
            Map.of("metadata.version", new FeatureUpdate((short) (max + 1), FeatureUpdate.UpgradeType.UPGRADE)), new UpdateFeaturesOptions()).all());
        Suite.get(admin.updateFeatures(Map.of("group.version", new FeatureUpdate((short) 0, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE)),
            new UpdateFeaturesOptions().validateOnly(true)).all());
        Suite.expectEqual(Suite.get(admin.describeFeatures().featureMetadata()).finalizedFeatures(), features.finalizedFeatures(), "features after a check");
        Suite.get(admin.updateFeatures(Map.of("group.version", new FeatureUpdate((short) 0, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE)), new UpdateFeaturesOptions()).all());
        Suite.expect(!Suite.get(admin.describeFeatures().featureMetadata()).finalizedFeatures().containsKey("group.version"), "group.version is still there");
        Suite.get(admin.updateFeatures(Map.of("group.version", new FeatureUpdate((short) 1, FeatureUpdate.UpgradeType.UPGRADE)), new UpdateFeaturesOptions()).all());
        Suite.expectEqual(Suite.get(admin.describeFeatures().featureMetadata()).finalizedFeatures().get("group.version").maxVersionLevel(), (short) 1, "group.version");
    }

    static void everyKindOfOffsetIsListed() throws Exception {
        DataTests.createTopic("offsets", 2);
        TopicPartition p = new TopicPartition("offsets", 0), empty = new TopicPartition("offsets", 1);
        try (var producer = DataTests.producer()) {
            for (long t : new long[] {1000, 5000, 3000, 5000, 2000})
                Suite.get(producer.send(new ProducerRecord<>("offsets", 0, 1_600_000_000_000L + t, null, DataTests.bytes("v"))));
        }
        Map<OffsetSpec, String> specs = new HashMap<>();
        specs.put(OffsetSpec.earliest(), "0 -1");
        specs.put(OffsetSpec.latest(), "5 -1");
        specs.put(OffsetSpec.maxTimestamp(), "1 1600000005000");
        specs.put(OffsetSpec.forTimestamp(1_600_000_002_500L), "1 1600000005000");
        specs.put(OffsetSpec.forTimestamp(1_600_000_000_000L), "0 1600000001000");
        specs.put(OffsetSpec.forTimestamp(1_600_000_009_000L), "-1 -1");
        specs.put(OffsetSpec.earliestLocal(), "0 -1");
        specs.put(OffsetSpec.latestTiered(), "-1 -1");
        for (var spec : specs.entrySet()) {
            ListOffsetsResultInfo info = Suite.get(admin.listOffsets(Map.of(p, spec.getKey())).all()).get(p);
            Suite.expectEqual(info.offset() + " " + info.timestamp(), spec.getValue(), spec.getKey().getClass().getSimpleName());
        }
        Suite.expectEqual(Suite.get(admin.listOffsets(Map.of(empty, OffsetSpec.maxTimestamp())).all()).get(empty).offset(), -1L, "max timestamp of nothing");
        Suite.expectEqual(Suite.get(admin.listOffsets(Map.of(empty, OffsetSpec.earliest())).all()).get(empty).offset(), 0L, "earliest of nothing");
    }

    static void recordsAreDeleted() throws Exception {
        Suite.expectWarnings("DeleteRecordsHandler.*OFFSET_OUT_OF_RANGE");
        DataTests.createTopic("shrinks", 2);
        TopicPartition p = new TopicPartition("shrinks", 0), all = new TopicPartition("shrinks", 1);
        try (var producer = DataTests.producer()) {
            for (int i = 0; i < 20; i++)
                Suite.get(producer.send(new ProducerRecord<>("shrinks", i % 2, null, DataTests.bytes("v" + i))));
        }
        var result = admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(4), all, RecordsToDelete.beforeOffset(-1)));
        Suite.expectEqual(Suite.get(result.lowWatermarks().get(p)).lowWatermark(), 4L, "low watermark");
        Suite.expectEqual(Suite.get(result.lowWatermarks().get(all)).lowWatermark(), 10L, "low watermark of all");
        Suite.expectFails(OffsetOutOfRangeException.class, () -> admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(11))).all());
        Suite.expectEqual(Suite.get(admin.listOffsets(Map.of(p, OffsetSpec.earliest())).all()).get(p).offset(), 4L, "earliest");
        try (var consumer = DataTests.consumer()) {
            consumer.assign(List.of(p));
            consumer.seekToBeginning(List.of(p));
            var got = DataTests.read(consumer, 6);
            Suite.expectEqual(got.get(0).offset() + " " + DataTests.text(got.get(0).value()), "4 v8", "first record");
        }
    }

    static void producersAreDescribed() throws Exception {
        DataTests.createTopic("written", 1);
        TopicPartition p = new TopicPartition("written", 0);
        try (var producer = DataTests.producer()) {
            for (int i = 0; i < 7; i++)
                Suite.get(producer.send(new ProducerRecord<>("written", DataTests.bytes("v"))));
        }
        var active = Suite.get(admin.describeProducers(List.of(p)).partitionResult(p)).activeProducers();
        Suite.expectEqual(active.size() + " " + active.get(0).lastSequence() + " " + active.get(0).producerEpoch() + " "
            + active.get(0).currentTransactionStartOffset().isPresent(), "1 6 0 false", "producers");
    }

    /* Two directories from here on. */

    static Map<String, LogDirDescription> logDirs() throws Exception {
        return Suite.get(admin.describeLogDirs(List.of(1)).allDescriptions()).get(1);
    }

    static void logDirectoriesAreDescribed() throws Exception {
        DataTests.createTopic("kept", 6);
        try (var producer = DataTests.producer()) {
            for (int i = 0; i < 60; i++)
                Suite.get(producer.send(new ProducerRecord<>("kept", i % 6, null, new byte[1000])));
        }
        Map<String, LogDirDescription> dirs = logDirs();
        Suite.expectEqual(dirs.size(), 2, "directories");
        int replicas = 0;
        for (LogDirDescription dir : dirs.values()) {
            Suite.expect(dir.error() == null && dir.totalBytes().getAsLong() > 0 && dir.usableBytes().getAsLong() > 0, "directory " + dir);
            for (var replica : dir.replicaInfos().entrySet())
                if (replica.getKey().topic().equals("kept")) {
                    replicas++;
                    Suite.expect(replica.getValue().size() > 10_000 && replica.getValue().offsetLag() == 0 && !replica.getValue().isFuture(), "replica " + replica);
                }
        }
        Suite.expectEqual(replicas, 6, "replicas");
        TopicPartitionReplica replica = new TopicPartitionReplica("kept", 0, 1);
        var info = Suite.get(admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica);
        Suite.expect(dirs.containsKey(info.getCurrentReplicaLogDir()) && info.getFutureReplicaLogDir() == null, "replica's directory " + info);
    }

    static void replicasMoveBetweenDirectories() throws Exception {
        TopicPartitionReplica replica = new TopicPartitionReplica("kept", 0, 1), unknown = new TopicPartitionReplica("not-there", 0, 1);
        String from = Suite.get(admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica).getCurrentReplicaLogDir();
        String to = logDirs().keySet().stream().filter(d -> !d.equals(from)).findFirst().get();
        Suite.get(admin.alterReplicaLogDirs(Map.of(replica, to)).all());
        try (var producer = DataTests.producer()) {
            for (int i = 0; i < 10; i++)
                Suite.get(producer.send(new ProducerRecord<>("kept", 0, null, new byte[1000])));
        }
        Suite.eventually("the replica is in " + to, () ->
            to.equals(Suite.get(admin.describeReplicaLogDirs(List.of(replica)).all()).get(replica).getCurrentReplicaLogDir()));
        Suite.expectEqual(DataTests.readAll("kept", 6, 70).size(), 70, "records");
        Suite.expectFails(LogDirNotFoundException.class, () -> admin.alterReplicaLogDirs(Map.of(replica, "/not/a/log/dir")).all());
        Suite.get(admin.alterReplicaLogDirs(Map.of(replica, to)).all());
    }

    static void run() throws Exception {
        try (Admin one = Admin.create(DataTests.properties())) {
            admin = one;
            Suite.test("topics_are_created_with_what_was_asked", AdminTests::topicsAreCreatedWithWhatWasAsked);
            Suite.test("validating_creates_nothing", AdminTests::validatingCreatesNothing);
            Suite.test("bad_topics_are_refused_with_the_right_exception", AdminTests::badTopicsAreRefusedWithTheRightException);
            Suite.test("partitions_are_added", AdminTests::partitionsAreAdded);
            Suite.test("topics_are_deleted_by_name_and_by_id", AdminTests::topicsAreDeletedByNameAndById);
            Suite.test("the_cluster_is_described", AdminTests::theClusterIsDescribed);
            Suite.test("features_are_described_and_updated", AdminTests::featuresAreDescribedAndUpdated);
            Suite.test("every_kind_of_offset_is_listed", AdminTests::everyKindOfOffsetIsListed);
            Suite.test("records_are_deleted", AdminTests::recordsAreDeleted);
            Suite.test("producers_are_described", AdminTests::producersAreDescribed);
        }
        Suite.useBroker("dirs=2");
        try (Admin two = Admin.create(DataTests.properties())) {
            admin = two;
            Suite.test("log_directories_are_described", AdminTests::logDirectoriesAreDescribed);
            Suite.test("replicas_move_between_directories", AdminTests::replicasMoveBetweenDirectories);
        }
    }
}
