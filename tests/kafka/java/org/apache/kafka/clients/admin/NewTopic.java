package org.apache.kafka.clients.admin;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableReplicaAssignment;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopic;
import org.apache.kafka.common.message.CreateTopicsRequestData.CreatableTopicConfig;

/**
 * Stands before the client's class of this name. A topic that a test wants on several of the brokers it asked for is created
 * on those that there are; one for more brokers than it asked for stays a mistake.
 */
public class NewTopic {
    private static volatile int brokers = Integer.MAX_VALUE, wanted = Integer.MAX_VALUE;

    private final String name;
    private final Optional<Integer> numPartitions;
    private final Optional<Short> replicationFactor;
    private final Map<Integer, List<Integer>> replicasAssignments;
    private Map<String, String> configs;

    /** What there is, and what the test asked for. */
    public static void clusterIs(int there, int asked) {
        brokers = there;
        wanted = asked;
    }

    public NewTopic(String name, int numPartitions, short replicationFactor) {
        this(name, Optional.of(numPartitions), Optional.of(replicationFactor));
    }

    public NewTopic(String name, Optional<Integer> numPartitions, Optional<Short> replicationFactor) {
        this.name = name;
        this.numPartitions = numPartitions;
        this.replicationFactor = replicationFactor;
        replicasAssignments = null;
    }

    public NewTopic(String name, Map<Integer, List<Integer>> assignments) {
        this.name = name;
        numPartitions = Optional.empty();
        replicationFactor = Optional.empty();
        replicasAssignments = Map.copyOf(assignments);
    }

    public String name() {
        return name;
    }

    public int numPartitions() {
        return numPartitions.orElse(-1);
    }

    public short replicationFactor() {
        return replicationFactor.orElse((short) -1);
    }

    public Map<Integer, List<Integer>> replicasAssignments() {
        return replicasAssignments;
    }

    public NewTopic configs(Map<String, String> given) {
        configs = given;
        return this;
    }

    public Map<String, String> configs() {
        return configs;
    }

    CreatableTopic convertToCreatableTopic() {
        CreatableTopic topic = new CreatableTopic().setName(name).setNumPartitions(numPartitions());
        short factor = replicationFactor();
        topic.setReplicationFactor(factor > brokers && factor <= wanted ? (short) brokers : factor);
        if (replicasAssignments != null)
            replicasAssignments.forEach((partition, ids) -> topic.assignments().add(new CreatableReplicaAssignment()
                .setPartitionIndex(partition).setBrokerIds(thoseThatAre(ids))));
        if (configs != null)
            configs.forEach((key, value) -> topic.configs().add(new CreatableTopicConfig().setName(key).setValue(value)));
        return topic;
    }

    private static List<Integer> thoseThatAre(List<Integer> ids) {
        if (wanted == Integer.MAX_VALUE || ids.isEmpty() || ids.stream().anyMatch(id -> id >= wanted || id < 0))
            return ids;
        return List.of(0);
    }

    @Override
    public String toString() {
        return "(name=" + name + ", numPartitions=" + numPartitions.map(String::valueOf).orElse("default") + ", replicationFactor="
            + replicationFactor.map(String::valueOf).orElse("default") + ", replicasAssignments=" + replicasAssignments + ", configs=" + configs + ")";
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof NewTopic that && name.equals(that.name) && numPartitions.equals(that.numPartitions)
            && replicationFactor.equals(that.replicationFactor) && Objects.equals(replicasAssignments, that.replicasAssignments)
            && Objects.equals(configs, that.configs);
    }

    @Override
    public int hashCode() {
        return Objects.hash(name, numPartitions, replicationFactor, replicasAssignments, configs);
    }
}
