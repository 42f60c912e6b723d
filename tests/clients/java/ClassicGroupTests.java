import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ClassicGroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** KafkaConsumer with group.protocol=classic: several in a group, each in a thread of its own. */
final class ClassicGroupTests {
    private static final int PARTITIONS = 6;
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";

    private ClassicGroupTests() {
    }

    /** Polls until it is told to end, and keeps what it was given, what was taken from it, and what it read. */
    static final class Member extends Thread implements ConsumerRebalanceListener {
        final KafkaConsumer<byte[], byte[]> consumer;
        final Set<Integer> owned = new ConcurrentSkipListSet<>();
        final List<String> history = Collections.synchronizedList(new ArrayList<>());
        final Set<String> read = new ConcurrentSkipListSet<>();
        volatile Exception failed;
        volatile boolean ending;

        Member(String group, String topic, String... settings) {
            var all = Stream.concat(Stream.of("group.protocol", "classic", "group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
                "heartbeat.interval.ms", "100", "reconnect.backoff.max.ms", "200"), Stream.of(settings)).toArray(String[]::new);
            consumer = DataTests.consumer(all);
            consumer.subscribe(List.of(topic), this);
            start();
        }

        @Override
        public void run() {
            try (consumer) {
                while (!ending) {
                    var records = consumer.poll(Duration.ofMillis(50));
                    records.forEach(r -> read.add(r.partition() + "/" + r.offset()));
                    if (!records.isEmpty())
                        consumer.commitSync();
                }
            } catch (Exception e) {
                failed = e;
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> owned.add(p.partition()));
            history.add("+" + partitions.size());
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> owned.remove(p.partition()));
            history.add("-" + partitions.size());
        }

        void end() throws Exception {
            ending = true;
            join(120000);
            Suite.expect(!isAlive(), "a consumer does not close");
        }
    }

    static void shared(Member... members) throws Exception {
        Suite.eventually("every partition has one owner", () -> {
            List<Integer> all = new ArrayList<>();
            for (Member member : members) {
                Suite.expect(member.failed == null, "a member failed: " + member.failed);
                Set<Integer> owned = new TreeSet<>(member.owned);
                if (owned.size() < PARTITIONS / members.length)
                    return false;
                all.addAll(owned);
            }
            Collections.sort(all);
            return all.equals(Stream.iterate(0, i -> i + 1).limit(PARTITIONS).toList());
        });
    }

    static void fill(String topic, int count) throws Exception {
        try (var producer = DataTests.producer()) {
            List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
            for (int i = 0; i < count; i++)
                records.add(new ProducerRecord<>(topic, i % PARTITIONS, null, DataTests.bytes("v" + i)));
            DataTests.sendAll(producer, records);
        }
    }

    static void allRead(int count, Member... members) throws Exception {
        Suite.eventually(count + " records are read", () -> Stream.of(members).flatMap(m -> m.read.stream()).distinct().count() == count);
    }

    static void membersShareAndTakeOver(String assignor) throws Exception {
        Suite.expectWarnings("nothing");
        String topic = "classic-" + assignor.toLowerCase();
        DataTests.createTopic(topic, PARTITIONS);
        fill(topic, 600);
        String strategy = ASSIGNORS + assignor;
        Member a = new Member(topic, topic, "partition.assignment.strategy", strategy);
        shared(a);
        Member b = new Member(topic, topic, "partition.assignment.strategy", strategy);
        shared(a, b);
        Member c = new Member(topic, topic, "partition.assignment.strategy", strategy);
        shared(a, b, c);
        allRead(600, a, b, c);
        a.end();
        shared(b, c);
        fill(topic, 60);
        allRead(660, a, b, c);
        if (assignor.startsWith("Cooperative"))
            Suite.expect(b.history.stream().noneMatch(h -> h.equals("-3")), "all was taken from one that stays: " + b.history);
        b.end();
        shared(c);
        c.end();
        try (Admin admin = Admin.create(DataTests.properties())) {
            var group = Suite.get(admin.describeClassicGroups(List.of(topic)).all()).get(topic);
            Suite.expectEqual(group.state(), ClassicGroupState.EMPTY, "state at the end");
            var offsets = Suite.get(admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata());
            Suite.expectEqual(offsets.values().stream().map(o -> o.offset()).toList(), Collections.nCopies(PARTITIONS, 110L), "committed");
        }
    }

    static void staticMembersComeBack() throws Exception {
        Suite.expectWarnings("nothing");
        DataTests.createTopic("classic-static", PARTITIONS);
        Member a = new Member("classic-static", "classic-static", "group.instance.id", "a");
        Member b = new Member("classic-static", "classic-static", "group.instance.id", "b");
        shared(a, b);
        Set<Integer> before = new TreeSet<>(b.owned);
        int quiet = a.history.size();
        b.end();
        b = new Member("classic-static", "classic-static", "group.instance.id", "b");
        shared(a, b);
        Suite.expectEqual(new TreeSet<>(b.owned), before, "partitions of the one that came back");
        Suite.expectEqual(a.history.size(), quiet, "what the other was told");
        try (Admin admin = Admin.create(DataTests.properties())) {
            b.end();
            Suite.get(admin.removeMembersFromConsumerGroup("classic-static", new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("b")))).all());
            Suite.expectFails(UnknownMemberIdException.class, () -> admin.removeMembersFromConsumerGroup("classic-static",
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody")))).memberResult(new MemberToRemove("nobody")));
        }
        shared(a);
        a.end();
    }

    static void oneNameIsHeldOnce() throws Exception {
        Suite.expectWarnings("FENCED", "fenced", "fatal", "error", "Fenced");
        DataTests.createTopic("classic-fenced", PARTITIONS);
        Member a = new Member("classic-fenced", "classic-fenced", "group.instance.id", "one");
        shared(a);
        Member b = new Member("classic-fenced", "classic-fenced", "group.instance.id", "one");
        Suite.eventually("the first is fenced", () -> a.failed != null);
        Suite.expectEqual(a.failed.getClass(), FencedInstanceIdException.class, "how it fails");
        shared(b);
        b.end();
    }

    /** The group is stable before and after, at the same generation: nobody is told anything. (A client that begins again with its
     *  bootstrap servers when no broker is left forgets its topics, and joins again of its own accord.) */
    static void membersLiveThroughABroker(String how) throws Exception {
        Suite.expectWarnings("could not be established", "terminated unexpectedly", "disconnected", "Disconnecting from node", "FetchSessionHandler",
            "Offset commit failed", "coordinator");
        String topic = "classic-" + how;
        DataTests.createTopic(topic, PARTITIONS);
        Member a = new Member(topic, topic, "metadata.recovery.strategy", "none"), b = new Member(topic, topic, "metadata.recovery.strategy", "none");
        shared(a, b);
        fill(topic, 60);
        allRead(60, a, b);
        int told = a.history.size() + b.history.size();
        Suite.ask(how);
        fill(topic, 60);
        allRead(120, a, b);
        Suite.expectEqual(a.history.size() + b.history.size(), told, "assignments");
        a.end();
        b.end();
    }

    static void run() throws Exception {
        Suite.useBroker("num.partitions=3 offsets.topic.num.partitions=4 group.initial.rebalance.delay.ms=100 group.min.session.timeout.ms=1000");
        for (String assignor : List.of("RangeAssignor", "CooperativeStickyAssignor"))
            Suite.test("classic_members_share_and_take_over_with_" + assignor, () -> membersShareAndTakeOver(assignor));
        Suite.test("static_classic_members_come_back_to_what_they_had", ClassicGroupTests::staticMembersComeBack);
        Suite.test("one_static_name_is_held_by_one_classic_member", ClassicGroupTests::oneNameIsHeldOnce);
        for (String how : List.of("restart", "kill"))
            Suite.test("classic_members_go_on_after_" + how, () -> membersLiveThroughABroker(how));
    }
}
