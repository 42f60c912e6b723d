package main

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Consumer.Return.Errors = true
	config.Producer.Retry.Max, config.Metadata.Retry.Max = 100, 100 // the topic is made when it is first asked for
	return config
}

func saramaCodecs() {
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		topic, config := "sarama-"+codec.String(), saramaConfig()
		config.Producer.Compression = codec
		producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
		must(err)
		var sent []*sarama.ProducerMessage
		for i := 0; i < 1000; i++ {
			sent = append(sent, &sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprint("k", i)), Value: sarama.ByteEncoder(bytes.Repeat([]byte{byte(i)}, i%300)),
				Timestamp: time.UnixMilli(1700000000000 + int64(i)), Headers: []sarama.RecordHeader{{Key: []byte("n"), Value: []byte(fmt.Sprint(i))}}})
		}
		if err := producer.SendMessages(sent); err != nil {
			for _, failed := range err.(sarama.ProducerErrors) {
				panic(fmt.Sprint(topic, ": ", failed.Err))
			}
		}
		must(producer.Close())
		consumer, err := sarama.NewConsumer([]string{bootstrap}, config)
		must(err)
		partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
		must(err)
		for i := range sent {
			select {
			case got := <-partition.Messages():
				expect(got.Offset == int64(i) && string(got.Key) == fmt.Sprint("k", i) && bytes.Equal(got.Value, bytes.Repeat([]byte{byte(i)}, i%300)) &&
					got.Timestamp.UnixMilli() == 1700000000000+int64(i) && string(got.Headers[0].Value) == fmt.Sprint(i), "%s: record %d differs: %+v", topic, i, got)
			case err := <-partition.Errors():
				panic(err)
			case <-time.After(patience):
				panic(fmt.Sprintf("%s: nothing after %d records", topic, i))
			}
		}
		must(partition.Close())
		must(consumer.Close())
	}
}

func saramaAdmin() {
	admin, err := sarama.NewClusterAdmin([]string{bootstrap}, saramaConfig())
	must(err)
	defer admin.Close()
	value := "1234567"
	must(admin.CreateTopic("sarama-admin", &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1, ConfigEntries: map[string]*string{"retention.ms": &value}}, false))
	err = admin.CreateTopic("sarama-admin", &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1}, false)
	expect(errors.Is(err, sarama.ErrTopicAlreadyExists), "created twice: %v", err)
	must(admin.CreatePartitions("sarama-admin", 5, nil, false))
	topics, err := admin.DescribeTopics([]string{"sarama-admin"})
	must(err)
	expect(len(topics[0].Partitions) == 5, "partitions %v", topics[0])
	configs, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: "sarama-admin", ConfigNames: []string{"retention.ms"}})
	must(err)
	expect(len(configs) == 1 && configs[0].Value == value, "settings %v", configs)
	must(admin.IncrementalAlterConfig(sarama.TopicResource, "sarama-admin", map[string]sarama.IncrementalAlterConfigsEntry{
		"segment.bytes": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: ptr("2000000")}}, false))
	must(admin.DeleteRecords("sarama-none", map[int32]int64{0: 5}))
	client, err := sarama.NewClient([]string{bootstrap}, saramaConfig())
	must(err)
	defer client.Close()
	for when, want := range map[int64]int64{sarama.OffsetOldest: 5, sarama.OffsetNewest: 1000, 1700000000500: 500} {
		offset, err := client.GetOffset("sarama-none", 0, when)
		must(err)
		expect(offset == want, "offset of %d: got %d, wanted %d", when, offset, want)
	}
	must(admin.DeleteTopic("sarama-admin"))
	brokers, _, err := admin.DescribeCluster()
	must(err)
	expect(len(brokers) == 1 && brokers[0].Addr() == bootstrap, "brokers %v", brokers)
}

func saramaErrors() {
	config := saramaConfig()
	config.Producer.MaxMessageBytes = 5000000
	config.Producer.Retry.Max = 0
	config.Producer.Idempotent = false
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	must(err)
	defer producer.Close()
	_, _, err = producer.SendMessage(&sarama.ProducerMessage{Topic: "sarama-none", Value: sarama.ByteEncoder(make([]byte, 2000000))})
	expect(errors.Is(err, sarama.ErrMessageSizeTooLarge), "a large record: %v", err)
	consumer, err := sarama.NewConsumer([]string{bootstrap}, config)
	must(err)
	defer consumer.Close()
	_, err = consumer.ConsumePartition("sarama-none", 0, 100000)
	expect(errors.Is(err, sarama.ErrOffsetOutOfRange), "out of range: %v", err)
}

func saramaTests() bool {
	passed := test("sarama_round_trips_every_codec", saramaCodecs)
	passed = test("sarama_administers", saramaAdmin) && passed
	return test("sarama_is_told_what_is_wrong", saramaErrors) && passed
}
