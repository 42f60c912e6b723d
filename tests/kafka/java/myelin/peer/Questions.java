package myelin.peer;

import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.message.DescribeConfigsRequestData;
import org.apache.kafka.common.message.DescribeConfigsRequestData.DescribeConfigsResource;
import org.apache.kafka.common.message.DescribeConfigsResponseData.DescribeConfigsResourceResult;
import org.apache.kafka.common.message.DescribeLogDirsRequestData;
import org.apache.kafka.common.message.DescribeLogDirsRequestData.DescribableLogDirTopic;
import org.apache.kafka.common.message.DescribeLogDirsRequestData.DescribableLogDirTopicCollection;
import org.apache.kafka.common.message.DescribeLogDirsResponseData.DescribeLogDirsPartition;
import org.apache.kafka.common.message.DescribeLogDirsResponseData.DescribeLogDirsResult;
import org.apache.kafka.common.message.DescribeLogDirsResponseData.DescribeLogDirsTopic;
import org.apache.kafka.common.message.DescribeProducersRequestData;
import org.apache.kafka.common.message.DescribeProducersResponseData.ProducerState;
import org.apache.kafka.common.message.IncrementalAlterConfigsRequestData;
import org.apache.kafka.common.message.IncrementalAlterConfigsRequestData.AlterConfigsResource;
import org.apache.kafka.common.message.IncrementalAlterConfigsRequestData.AlterConfigsResourceCollection;
import org.apache.kafka.common.message.IncrementalAlterConfigsRequestData.AlterableConfig;
import org.apache.kafka.common.message.IncrementalAlterConfigsRequestData.AlterableConfigCollection;
import org.apache.kafka.common.message.ListOffsetsRequestData.ListOffsetsPartition;
import org.apache.kafka.common.message.ListOffsetsRequestData.ListOffsetsTopic;
import org.apache.kafka.common.message.MetadataRequestData;
import org.apache.kafka.common.message.MetadataRequestData.MetadataRequestTopic;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponsePartition;
import org.apache.kafka.common.message.MetadataResponseData.MetadataResponseTopic;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestPartition;
import org.apache.kafka.common.message.OffsetCommitRequestData.OffsetCommitRequestTopic;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.AbstractRequest;
import org.apache.kafka.common.requests.AbstractResponse;
import org.apache.kafka.common.requests.DescribeConfigsRequest;
import org.apache.kafka.common.requests.DescribeConfigsResponse;
import org.apache.kafka.common.requests.DescribeLogDirsRequest;
import org.apache.kafka.common.requests.DescribeLogDirsResponse;
import org.apache.kafka.common.requests.DescribeProducersRequest;
import org.apache.kafka.common.requests.DescribeProducersResponse;
import org.apache.kafka.common.requests.IncrementalAlterConfigsRequest;
import org.apache.kafka.common.requests.IncrementalAlterConfigsResponse;
import org.apache.kafka.common.requests.ListOffsetsRequest;
import org.apache.kafka.common.requests.ListOffsetsResponse;
import org.apache.kafka.common.requests.MetadataRequest;
import org.apache.kafka.common.requests.MetadataResponse;
import org.apache.kafka.common.requests.OffsetCommitRequest;
import org.apache.kafka.common.requests.OffsetCommitResponse;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.RequestUtils;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;

import java.io.DataInputStream;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.function.IntSupplier;

/** Requests to a node, each on a connection of its own: a client's threads would count as leaks of the test that looks. */
final class Questions {
    private final IntSupplier port;

    Questions(IntSupplier port) {
        this.port = port;
    }

    @SuppressWarnings("unchecked")
    private <T extends AbstractResponse> T ask(AbstractRequest request) {
        RequestHeader header = new RequestHeader(request.apiKey(), request.version(), "view", 1);
        ByteBuffer bytes = RequestUtils.serialize(header.data(), header.headerVersion(), request.data(), request.version());
        ByteBuffer frame = ByteBuffer.allocate(4 + bytes.remaining()).putInt(bytes.remaining()).put(bytes);
        try (Socket socket = new Socket("localhost", port.getAsInt())) {
            socket.getOutputStream().write(frame.array());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            return (T) AbstractResponse.parseResponse(ByteBuffer.wrap(answer), header);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private List<MetadataResponseTopic> topics(List<MetadataRequestTopic> wanted) {
        MetadataRequestData request = new MetadataRequestData().setTopics(wanted).setAllowAutoTopicCreation(false);
        return this.<MetadataResponse>ask(new MetadataRequest(request, (short) 12)).data().topics().stream().toList();
    }

    Map<String, Uuid> topicIds() {
        Map<String, Uuid> ids = new HashMap<>();
        topics(null).forEach(topic -> ids.put(topic.name(), topic.topicId()));
        return ids;
    }

    Optional<MetadataResponseTopic> topic(String name) {
        return topics(List.of(new MetadataRequestTopic().setName(name))).stream().filter(topic -> !topic.partitions().isEmpty()).findFirst();
    }

    Optional<MetadataResponsePartition> partition(TopicPartition wanted) {
        return topic(wanted.topic()).flatMap(topic -> topic.partitions().stream().filter(it -> it.partitionIndex() == wanted.partition()).findFirst());
    }

    long offset(TopicPartition partition, long timestamp) {
        ListOffsetsTopic topic = new ListOffsetsTopic().setName(partition.topic()).setPartitions(List.of(
            new ListOffsetsPartition().setPartitionIndex(partition.partition()).setTimestamp(timestamp)));
        ListOffsetsResponse response = ask(ListOffsetsRequest.Builder.forConsumer(false, IsolationLevel.READ_UNCOMMITTED)
            .setTargetTimes(List.of(topic)).build((short) 7));
        return response.data().topics().get(0).partitions().get(0).offset();
    }

    /** Of a topic: all of its settings, or what was set for it. */
    Properties settings(String topic, boolean set) {
        DescribeConfigsRequestData request = new DescribeConfigsRequestData().setResources(List.of(new DescribeConfigsResource()
            .setResourceType(ConfigResource.Type.TOPIC.id()).setResourceName(topic).setConfigurationKeys(null)));
        DescribeConfigsResponse response = ask(new DescribeConfigsRequest.Builder(request).build((short) 4));
        Properties found = new Properties();
        for (DescribeConfigsResourceResult each : response.data().results().get(0).configs()) {
            if (each.value() != null && (!set || each.configSource() == DescribeConfigsResponse.ConfigSource.TOPIC_CONFIG.id()))
                found.put(each.name(), each.value());
        }
        return found;
    }

    File directory(TopicPartition wanted) {
        DescribableLogDirTopicCollection topics = new DescribableLogDirTopicCollection();
        topics.add(new DescribableLogDirTopic().setTopic(wanted.topic()).setPartitions(List.of(wanted.partition())));
        DescribeLogDirsResponse response = ask(new DescribeLogDirsRequest(new DescribeLogDirsRequestData().setTopics(topics), (short) 4));
        for (DescribeLogDirsResult result : response.data().results()) {
            for (DescribeLogDirsTopic topic : result.topics()) {
                for (DescribeLogDirsPartition partition : topic.partitions()) {
                    if (!partition.isFutureKey())
                        return new File(result.logDir(), wanted.toString());
                }
            }
        }
        throw Needs.abort("a log directory with " + wanted);
    }

    Map<Long, ProducerStateEntry> producers(TopicPartition wanted) {
        DescribeProducersRequestData request = new DescribeProducersRequestData().setTopics(List.of(
            new DescribeProducersRequestData.TopicRequest().setName(wanted.topic()).setPartitionIndexes(List.of(wanted.partition()))));
        DescribeProducersResponse response = ask(new DescribeProducersRequest.Builder(request).build());
        Map<Long, ProducerStateEntry> found = new HashMap<>();
        for (ProducerState each : response.data().topics().get(0).partitions().get(0).activeProducers())
            found.put(each.producerId(), new ProducerStateEntry(each.producerId(), (short) each.producerEpoch(), each.coordinatorEpoch(),
                each.lastTimestamp(), each.currentTxnStartOffset() < 0 ? OptionalLong.empty() : OptionalLong.of(each.currentTxnStartOffset())));
        return found;
    }

    void alter(String topic, Map<String, String> settings, OpType how) {
        AlterableConfigCollection configs = new AlterableConfigCollection();
        settings.forEach((key, value) -> configs.add(new AlterableConfig().setName(key).setValue(how == OpType.DELETE ? null : value).setConfigOperation(how.id())));
        AlterConfigsResourceCollection resources = new AlterConfigsResourceCollection();
        resources.add(new AlterConfigsResource().setResourceType(ConfigResource.Type.TOPIC.id()).setResourceName(topic).setConfigs(configs));
        IncrementalAlterConfigsResponse response = ask(new IncrementalAlterConfigsRequest.Builder(new IncrementalAlterConfigsRequestData()
            .setResources(resources)).build((short) 1));
        Errors.forCode(response.data().responses().get(0).errorCode()).maybeThrow();
    }

    /** An offset of a group without members. */
    void commit(String group, TopicPartition partition) {
        OffsetCommitRequestTopic topic = new OffsetCommitRequestTopic().setName(partition.topic()).setPartitions(List.of(
            new OffsetCommitRequestPartition().setPartitionIndex(partition.partition()).setCommittedOffset(0)));
        OffsetCommitResponse response = ask(OffsetCommitRequest.Builder.forTopicNames(new OffsetCommitRequestData().setGroupId(group)
            .setTopics(List.of(topic))).build((short) 8));
        Errors.forCode(response.data().topics().get(0).partitions().get(0).errorCode()).maybeThrow();
    }
}
