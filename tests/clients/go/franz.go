package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// complaints keeps what franz-go logs at WARN and above.
type complaints struct{ lines []string }

func (c *complaints) Level() kgo.LogLevel { return kgo.LogLevelWarn }
func (c *complaints) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	c.lines = append(c.lines, fmt.Sprint(append([]any{level, " ", msg, " "}, keyvals...)...))
}

func franz(log *complaints, opts ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(bootstrap), kgo.WithLogger(log), kgo.AllowAutoTopicCreation()}, opts...)...)
	must(err)
	return client
}

func within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func fetch(client *kgo.Client, count int) []*kgo.Record {
	ctx, cancel := within()
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := client.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			panic(fmt.Sprintf("%d of %d records, then %v", len(records), count, e.Err))
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func from(topic string, partition int32, offset kgo.Offset) kgo.Opt {
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: offset}})
}

func franzCodecs() {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for name, codec := range codecs {
		topic, log := "franz-"+name, &complaints{}
		client := franz(log, kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond))
		var sent []*kgo.Record
		for i := 0; i < 2000; i++ {
			sent = append(sent, &kgo.Record{Topic: topic, Key: []byte(fmt.Sprint("k", i)), Value: bytes.Repeat([]byte{byte(i)}, i%300),
				Timestamp: time.UnixMilli(1700000000000 + int64(i)), Headers: []kgo.RecordHeader{{Key: "n", Value: []byte(fmt.Sprint(i))}}})
		}
		sent = append(sent, &kgo.Record{Topic: topic})
		ctx, cancel := within()
		must(client.ProduceSync(ctx, sent...).FirstErr())
		cancel()
		client.Close()
		consumer := franz(log, from(topic, 0, kgo.NewOffset().AtStart()))
		for i, got := range fetch(consumer, len(sent)) {
			want := sent[i]
			expect(got.Offset == int64(i) && bytes.Equal(got.Key, want.Key) && bytes.Equal(got.Value, want.Value) && (got.Key == nil) == (want.Key == nil) &&
				(len(want.Headers) == 0 || got.Timestamp.Equal(want.Timestamp) && string(got.Headers[0].Value) == string(want.Headers[0].Value)),
				"%s: record %d differs: %+v", topic, i, got)
		}
		consumer.Close()
		expect(len(log.lines) == 0, "franz-go says %v", log.lines)
	}
}

func franzAdmin() {
	log := &complaints{}
	client := franz(log)
	defer client.Close()
	admin := kadm.NewClient(client)
	ctx, cancel := within()
	defer cancel()
	value := "1234567"
	made, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"retention.ms": &value}, "franz-admin")
	must(err)
	expect(made.NumPartitions == 3, "partitions %d", made.NumPartitions)
	wrong := func(err error, want *kerr.Error) { expect(errors.Is(err, want), "got %v, wanted %v", err, want) }
	_, err = admin.CreateTopic(ctx, 1, 1, nil, "franz-admin")
	wrong(err, kerr.TopicAlreadyExists)
	_, err = admin.CreateTopic(ctx, 1, 1, nil, "bad name")
	wrong(err, kerr.InvalidTopicException)
	_, err = admin.CreateTopic(ctx, 1, 4, nil, "t")
	wrong(err, kerr.InvalidReplicationFactor)
	more, err := admin.UpdatePartitions(ctx, 6, "franz-admin")
	must(err)
	must(more.Error())
	topics, err := admin.ListTopics(ctx, "franz-admin")
	must(err)
	expect(len(topics["franz-admin"].Partitions) == 6 && topics["franz-admin"].ID == made.ID, "topics %v", topics)
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "segment.bytes", Value: ptr("2000000")}}, "franz-admin")
	must(err)
	must(altered[0].Err)
	configs, err := admin.DescribeTopicConfigs(ctx, "franz-admin")
	must(err)
	values := map[string]string{}
	for _, c := range configs[0].Configs {
		values[c.Key] = c.MaybeValue()
	}
	expect(values["retention.ms"] == "1234567" && values["segment.bytes"] == "2000000", "settings %v", values)
	for i := 0; i < 10; i++ {
		must(client.ProduceSync(ctx, &kgo.Record{Topic: "franz-admin", Key: []byte("same"), Value: []byte{byte(i)}, Timestamp: time.UnixMilli(1000 + int64(i))}).FirstErr())
	}
	ends, err := admin.ListEndOffsets(ctx, "franz-admin")
	must(err)
	var p int32
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 10 {
			p = o.Partition
		}
	})
	at, err := admin.ListOffsetsAfterMilli(ctx, 1004, "franz-admin")
	must(err)
	expect(at["franz-admin"][p].Offset == 4, "offset of a time %+v", at["franz-admin"][p])
	offsets := kadm.Offsets{}
	offsets.AddOffset("franz-admin", p, 3, -1)
	deleted, err := admin.DeleteRecords(ctx, offsets)
	must(err)
	expect(deleted["franz-admin"][p].LowWatermark == 3, "deleted %+v", deleted)
	starts, err := admin.ListStartOffsets(ctx, "franz-admin")
	must(err)
	expect(starts["franz-admin"][p].Offset == 3, "start %+v", starts["franz-admin"][p])
	dirs, err := admin.DescribeAllLogDirs(ctx, nil)
	must(err)
	expect(len(dirs) == 1, "directories %+v", dirs)
	producers, err := admin.DescribeProducers(ctx, topics.TopicsSet())
	must(err)
	expect(len(producers["franz-admin"].Partitions[p].ActiveProducers) == 1, "producers %+v", producers)
	_, err = admin.DeleteTopic(ctx, "franz-admin")
	must(err)
	_, err = admin.DeleteTopic(ctx, "franz-admin")
	wrong(err, kerr.UnknownTopicOrPartition)
	expect(len(log.lines) == 0, "franz-go says %v", log.lines)
}

func ptr(s string) *string { return &s }

func franzErrors() {
	log := &complaints{}
	client := franz(log, kgo.ProducerBatchMaxBytes(5000000), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx, cancel := within()
	defer cancel()
	err := client.ProduceSync(ctx, &kgo.Record{Topic: "franz-none", Value: make([]byte, 2000000)}).FirstErr()
	expect(errors.Is(err, kerr.MessageTooLarge), "a large record: %v", err)
	client.Close()
	consumer := franz(log, from("franz-none", 0, kgo.NewOffset().At(100000)), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	defer consumer.Close()
	errs := consumer.PollFetches(ctx).Errors()
	expect(len(errs) > 0 && errors.Is(errs[0].Err, kerr.OffsetOutOfRange), "out of range: %v", errs)
}

func franzKilled() {
	client := franz(&complaints{}, kgo.ProducerBatchMaxBytes(2000), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	defer client.Close()
	failed := make(chan error, 20000)
	for i := 0; i < 20000; i++ {
		client.Produce(context.Background(), &kgo.Record{Topic: "franz-killed", Value: []byte(fmt.Sprint(i))}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed <- err
			}
		})
		if i == 10000 {
			ask("kill")
		}
	}
	ctx, cancel := within()
	defer cancel()
	must(client.Flush(ctx))
	expect(len(failed) == 0, "%d failed", len(failed))
	consumer := franz(&complaints{}, from("franz-killed", 0, kgo.NewOffset().AtStart()))
	defer consumer.Close()
	for i, r := range fetch(consumer, 20000) {
		expect(r.Offset == int64(i) && string(r.Value) == fmt.Sprint(i), "record %d is %s at %d", i, r.Value, r.Offset)
	}
}

func franzTests() bool {
	passed := test("franz_go_round_trips_every_codec", franzCodecs)
	passed = test("franz_go_administers", franzAdmin) && passed
	passed = test("franz_go_is_told_what_is_wrong", franzErrors) && passed
	return test("franz_go_goes_on_after_the_broker_is_killed", franzKilled) && passed
}
