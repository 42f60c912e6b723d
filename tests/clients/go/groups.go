package main

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a consumer in a group: what it owns now, how often it lost something, what it read.
type member struct {
	sync.Mutex
	owned map[int32]bool
	lost  int
	read  map[string]bool
	end   func()
}

const groupPartitions = 4

func newMember() *member {
	return &member{owned: map[int32]bool{}, read: map[string]bool{}}
}

func (m *member) has() []int32 {
	m.Lock()
	defer m.Unlock()
	var owned []int32
	for p := range m.owned {
		owned = append(owned, p)
	}
	return owned
}

func (m *member) take(partition int32, offset int64) {
	m.Lock()
	defer m.Unlock()
	m.read[fmt.Sprint(partition, "/", offset)] = true
}

func until(what string, condition func() bool) {
	for end := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		expect(time.Now().Before(end), "%s: not within %v", what, patience)
	}
}

func shared(members ...*member) {
	until("every partition has one owner", func() bool {
		var all []int32
		for _, m := range members {
			owned := m.has()
			if len(owned) != groupPartitions/len(members) {
				return false
			}
			all = append(all, owned...)
		}
		sort.Slice(all, func(i, k int) bool { return all[i] < all[k] })
		return fmt.Sprint(all) == "[0 1 2 3]"
	})
}

func allRead(count int, members ...*member) {
	until(fmt.Sprint(count, " records are read"), func() bool {
		all := map[string]bool{}
		for _, m := range members {
			m.Lock()
			for r := range m.read {
				all[r] = true
			}
			m.Unlock()
		}
		return len(all) == count
	})
}

func fill(topic string, count int) {
	client := franz(&complaints{}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	var records []*kgo.Record
	for i := 0; i < count; i++ {
		records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % groupPartitions), Value: []byte("v")})
	}
	ctx, cancel := within()
	defer cancel()
	must(client.ProduceSync(ctx, records...).FirstErr())
}

func newShared(topic string) *kadm.Client {
	admin := kadm.NewClient(franz(&complaints{}))
	ctx, cancel := within()
	defer cancel()
	_, err := admin.CreateTopic(ctx, groupPartitions, 1, nil, topic)
	must(err)
	fill(topic, 80)
	return admin
}

func franzMember(group, topic string, opts ...kgo.Opt) *member {
	m := newMember()
	given := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		m.Lock()
		defer m.Unlock()
		for _, p := range partitions[topic] {
			m.owned[p] = true
		}
	}
	taken := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		m.Lock()
		defer m.Unlock()
		for _, p := range partitions[topic] {
			delete(m.owned, p)
			m.lost++
		}
	}
	client := franz(&complaints{}, append([]kgo.Opt{kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(100 * time.Millisecond), kgo.OnPartitionsAssigned(given), kgo.OnPartitionsRevoked(taken), kgo.OnPartitionsLost(taken)}, opts...)...)
	done := make(chan bool)
	go func() {
		for {
			fetches := client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				close(done)
				return
			}
			fetches.EachRecord(func(r *kgo.Record) { m.take(r.Partition, r.Offset) })
		}
	}()
	m.end = func() {
		ctx, cancel := within()
		defer cancel()
		must(client.CommitUncommittedOffsets(ctx))
		client.Close()
		<-done
	}
	return m
}

func franzGroup() {
	for name, balancer := range map[string]kgo.GroupBalancer{"range": kgo.RangeBalancer(), "cooperative": kgo.CooperativeStickyBalancer()} {
		topic := "franz-group-" + name
		admin := newShared(topic)
		a := franzMember(topic, topic, kgo.Balancers(balancer))
		shared(a)
		b := franzMember(topic, topic, kgo.Balancers(balancer))
		shared(a, b)
		allRead(80, a, b)
		expect(name != "cooperative" || a.lost == groupPartitions/2, "%d partitions were taken from the first", a.lost)
		ctx, cancel := within()
		described, err := admin.DescribeGroups(ctx, topic)
		must(err)
		expect(described[topic].State == "Stable" && len(described[topic].Members) == 2, "the group is %v", described[topic])
		a.end()
		shared(b)
		fill(topic, 20)
		allRead(100, a, b)
		b.end()
		lags, err := admin.Lag(ctx, topic)
		must(err)
		expect(lags[topic].Lag.Total() == 0 && lags[topic].State == "Empty", "the lag is %d, the state %s", lags[topic].Lag.Total(), lags[topic].State)
		_, err = admin.DeleteGroup(ctx, topic)
		must(err)
		cancel()
	}
}

func franzStatic() {
	newShared("franz-static")
	a := franzMember("franz-static", "franz-static", kgo.InstanceID("a"))
	b := franzMember("franz-static", "franz-static", kgo.InstanceID("b"))
	shared(a, b)
	before, lost := fmt.Sprint(len(b.has())), a.lost
	b.end()
	b = franzMember("franz-static", "franz-static", kgo.InstanceID("b"))
	shared(a, b)
	expect(fmt.Sprint(len(b.has())) == before && a.lost == lost, "the one that stayed lost %d partitions", a.lost-lost)
	a.end()
	b.end()
}

type saramaHandler struct{ *member }

func (h saramaHandler) Setup(session sarama.ConsumerGroupSession) error {
	h.Lock()
	defer h.Unlock()
	h.owned = map[int32]bool{}
	for _, partitions := range session.Claims() {
		for _, p := range partitions {
			h.owned[p] = true
		}
	}
	return nil
}

func (h saramaHandler) Cleanup(sarama.ConsumerGroupSession) error {
	h.Lock()
	defer h.Unlock()
	h.owned = map[int32]bool{}
	return nil
}

func (h saramaHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		h.take(message.Partition, message.Offset)
		session.MarkMessage(message, "")
	}
	return nil
}

func saramaMember(topic, instance string) *member {
	config := saramaConfig()
	config.Consumer.Group.InstanceId = instance
	config.Consumer.Return.Errors = false
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval, config.Consumer.Group.Session.Timeout = 100*time.Millisecond, 30*time.Second
	group, err := sarama.NewConsumerGroup([]string{bootstrap}, topic, config)
	must(err)
	m := newMember()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() {
		for ctx.Err() == nil {
			group.Consume(ctx, []string{topic}, saramaHandler{m})
		}
		close(done)
	}()
	m.end = func() {
		cancel()
		<-done
		must(group.Close())
	}
	return m
}

func saramaGroup() {
	topic := "sarama-group"
	admin := newShared(topic)
	a := saramaMember(topic, "")
	shared(a)
	b := saramaMember(topic, "")
	shared(a, b)
	allRead(80, a, b)
	a.end()
	shared(b)
	fill(topic, 20)
	allRead(100, a, b)
	b.end()
	ctx, cancel := within()
	defer cancel()
	lags, err := admin.Lag(ctx, topic)
	must(err)
	expect(lags[topic].Lag.Total() == 0, "the lag is %d", lags[topic].Lag.Total())
}

func saramaStatic() {
	topic := "sarama-static"
	admin := newShared(topic)
	a, b := saramaMember(topic, "a"), saramaMember(topic, "b")
	shared(a, b)
	described := func() (map[string]string, int32) {
		ctx, cancel := within()
		defer cancel()
		found, err := admin.DescribeGroups(ctx, topic)
		must(err)
		names, owned := map[string]string{}, int32(0)
		for _, member := range found[topic].Members {
			if member.InstanceID != nil {
				names[*member.InstanceID] = member.MemberID
			}
			if assigned, ok := member.Assigned.AsConsumer(); ok {
				for _, t := range assigned.Topics {
					owned += int32(len(t.Partitions))
				}
			}
		}
		return names, owned
	}
	names, _ := described()
	expect(len(names) == 2, "static members %v", names)
	before := fmt.Sprint(sorted(b.has()))
	b.end() // does not leave
	away, owned := described()
	expect(fmt.Sprint(away) == fmt.Sprint(names) && owned == groupPartitions, "while one is away: %v, %d partitions", away, owned)
	b = saramaMember(topic, "b")
	shared(a, b)
	now, _ := described()
	expect(now["a"] == names["a"] && now["b"] != names["b"], "members %v, and then %v", names, now)
	expect(fmt.Sprint(sorted(b.has())) == before, "the one that came back has %v, and had %v", sorted(b.has()), before)
	allRead(80, a, b)
	a.end()
	b.end()
}

func sorted(partitions []int32) []int32 {
	sort.Slice(partitions, func(i, k int) bool { return partitions[i] < partitions[k] })
	return partitions
}

func groupTests() bool {
	passed := test("franz_go_members_share_and_take_over", franzGroup)
	passed = test("franz_go_static_members_come_back", franzStatic) && passed
	passed = test("sarama_members_share_and_take_over", saramaGroup) && passed
	return test("sarama_static_members_come_back", saramaStatic) && passed
}
