package main

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// wanted are the values of the transactions that are committed: every third one is aborted.
func isCommitted(transaction int) bool { return transaction%3 != 1 }

func expectValues(what string, got []string) {
	next := 0
	for t := 0; t < 9; t++ {
		for i := 0; isCommitted(t) && i < 20; i++ {
			value := fmt.Sprint(t, "-", i)
			expect(next < len(got) && got[next] == value, "%s: record %d of %d is not %s", what, next, len(got), value)
			next++
		}
	}
	expect(next == len(got), "%s: %d records, not %d", what, len(got), next)
}

func readCommitted(topic string, count int) []string {
	log := &complaints{}
	client := franz(log, from(topic, 0, kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer client.Close()
	var values []string
	for _, record := range fetch(client, count) {
		values = append(values, string(record.Value))
	}
	return values
}

func franzTransactions() {
	log, topic := &complaints{}, "franz-transactions"
	client := franz(log, kgo.TransactionalID("franz"), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	ctx, cancel := within()
	defer cancel()
	for t := 0; t < 9; t++ {
		must(client.BeginTransaction())
		var records []*kgo.Record
		for i := 0; i < 20; i++ {
			records = append(records, &kgo.Record{Value: []byte(fmt.Sprint(t, "-", i))})
		}
		must(client.ProduceSync(ctx, records...).FirstErr())
		must(client.EndTransaction(ctx, kgo.TransactionEndTry(isCommitted(t))))
	}
	expectValues(topic, readCommitted(topic, 120))
	found, err := kadm.NewClient(client).DescribeTransactions(ctx, "franz")
	must(err)
	expect(found["franz"].State == "CompleteCommit", "described as %+v", found["franz"])
	expect(len(log.lines) == 0, "franz-go says %v", log.lines)
}

// Reads, writes and commits offsets in one transaction.
func franzCopies() {
	log, in, out := &complaints{}, "franz-copied", "franz-copies"
	plain := franz(log, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	ctx, cancel := within()
	defer cancel()
	for i := 0; i < 100; i++ {
		must(plain.ProduceSync(ctx, &kgo.Record{Topic: in, Value: []byte(fmt.Sprint(i))}).FirstErr())
	}
	plain.Close()
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(bootstrap), kgo.TransactionalID("franz-copier"), kgo.ConsumerGroup("franz-copiers"),
		kgo.ConsumeTopics(in), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets(), kgo.AllowAutoTopicCreation(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(err)
	defer session.Close()
	for copied := 0; copied < 100; {
		fetches := session.PollRecords(ctx, 30)
		must(ctx.Err())
		must(session.Begin())
		count := 0
		fetches.EachRecord(func(r *kgo.Record) {
			session.Produce(ctx, &kgo.Record{Topic: out, Value: r.Value}, nil)
			count++
		})
		done, err := session.End(ctx, kgo.TryCommit)
		must(err)
		if done {
			copied += count
		}
	}
	got := readCommitted(out, 100)
	for i, value := range got {
		expect(value == fmt.Sprint(i), "copy %d is %s", i, value)
	}
}

func saramaTransactions() {
	config, topic := saramaConfig(), "sarama-transactions"
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Retry.Max = 20
	config.Producer.Transaction.ID = "sarama"
	config.Producer.Transaction.Timeout = 30 * time.Second
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Net.MaxOpenRequests = 1
	producer, err := sarama.NewSyncProducer([]string{bootstrap}, config)
	must(err)
	for t := 0; t < 9; t++ {
		must(producer.BeginTxn())
		for i := 0; i < 20; i++ {
			_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(t, "-", i))})
			must(err)
		}
		must(producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: int64(t + 1)}}}, topic))
		if isCommitted(t) {
			must(producer.CommitTxn())
		} else {
			must(producer.AbortTxn())
		}
	}
	must(producer.Close())
	expectValues(topic, readCommitted(topic, 120))
	client, err := sarama.NewClusterAdmin([]string{bootstrap}, saramaConfig())
	must(err)
	defer client.Close()
	until("the offset of the last transaction is there", func() bool {
		offsets, err := client.ListConsumerGroupOffsets(topic, map[string][]int32{topic: {0}})
		return err == nil && offsets.GetBlock(topic, 0) != nil && offsets.GetBlock(topic, 0).Offset == 9
	})
}

func transactionTests() bool {
	passed := test("franz_go_transactions_are_whole_or_absent", franzTransactions)
	passed = test("franz_go_copies_with_offsets_in_transactions", franzCopies) && passed
	return test("sarama_transactions_are_whole_or_absent", saramaTransactions) && passed
}
