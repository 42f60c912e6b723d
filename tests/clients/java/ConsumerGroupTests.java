import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidRegularExpression;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;

/** KafkaConsumer with group.protocol=consumer, alone and beside members of the classic protocol. */
final class ConsumerGroupTests {
    private static final int PARTITIONS = 6;
    private static final List<String> CONSUMER = List.of("group.protocol", "consumer");
    private static final List<String> CLASSIC = List.of("group.protocol", "classic", "heartbeat.interval.ms", "100", "session.timeout.ms", "30000");

    private ConsumerGroupTests() {
    }

    /** Polls until it is told to end, commits what it read. */
    static final class Member extends Thread implements ConsumerRebalanceListener {
        final KafkaConsumer<byte[], byte[]> consumer;
        final Set<String> owned = new ConcurrentSkipListSet<>();
        final Set<String> read = new ConcurrentSkipListSet<>();
        volatile Exception failed;
        volatile boolean ending;

        Member(List<String> protocol, String group, Object topics, String... settings) {
            consumer = DataTests.consumer(Stream.of(protocol.stream(), Stream.of("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", "false",
                "reconnect.backoff.max.ms", "200"), Stream.of(settings)).flatMap(s -> s).toArray(String[]::new));
            if (topics instanceof SubscriptionPattern pattern)
                consumer.subscribe(pattern, this);
            else
                consumer.subscribe(List.of((String) topics), this);
            start();
        }

        @Override
        public void run() {
            try (consumer) {
                while (!ending) {
                    var records = consumer.poll(Duration.ofMillis(50));
                    records.forEach(r -> read.add(r.topic() + r.partition() + "/" + r.offset()));
                    if (!records.isEmpty())
                        consumer.commitAsync();
                }
            } catch (Exception e) {
                failed = e;
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> owned.add(p.toString()));
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(p -> owned.remove(p.toString()));
        }

        void end() throws Exception {
            ending = true;
            join(120000);
            Suite.expect(!isAlive(), "a consumer does not close");
        }
    }

    static List<String> partitions(String... topics) {
        return Stream.of(topics).flatMap(t -> Stream.iterate(0, i -> i + 1).limit(PARTITIONS).map(i -> t + "-" + i)).sorted().toList();
    }

    /** Each of the partitions has one owner, each member its part. */
    static void shared(List<String> partitions, Member... members) throws Exception {
        Suite.eventually("every partition has one owner", () -> {
            List<String> all = new ArrayList<>();
            for (Member member : members) {
                Suite.expect(member.failed == null, "a member failed: " + member.failed);
                Set<String> owned = new TreeSet<>(member.owned);
                if (owned.size() < partitions.size() / members.length)
                    return false;
                all.addAll(owned);
            }
            Collections.sort(all);
            return all.equals(partitions);
        });
    }

    static void allRead(int count, Member... members) throws Exception {
        Suite.eventually(count + " records are read", () -> Stream.of(members).flatMap(m -> m.read.stream()).distinct().count() == count);
    }

    static void membersShareAndTakeOver() throws Exception {
        Suite.expectWarnings("nothing");
        DataTests.createTopic("kip848", PARTITIONS);
        ClassicGroupTests.fill("kip848", 600);
        Member a = new Member(CONSUMER, "kip848", "kip848");
        shared(partitions("kip848"), a);
        Member b = new Member(CONSUMER, "kip848", "kip848");
        shared(partitions("kip848"), a, b);
        Member c = new Member(CONSUMER, "kip848", "kip848", "group.remote.assignor", "range");
        shared(partitions("kip848"), a, b, c);
        allRead(600, a, b, c);
        try (Admin admin = Admin.create(DataTests.properties())) {
            var group = Suite.get(admin.describeConsumerGroups(List.of("kip848")).all()).get("kip848");
            Suite.expectEqual(group.members().size(), 3, "members");
            Suite.expectEqual(group.type(), GroupType.CONSUMER, "type");
            Suite.expectEqual(group.partitionAssignor(), "range", "assignor");
            a.end();
            shared(partitions("kip848"), b, c);
            ClassicGroupTests.fill("kip848", 60);
            allRead(660, a, b, c);
            b.end();
            shared(partitions("kip848"), c);
            c.end();
            var listed = Suite.get(admin.listGroups().all()).stream().filter(g -> g.groupId().equals("kip848")).findFirst().orElseThrow();
            Suite.expectEqual(listed.groupState().orElseThrow(), GroupState.EMPTY, "state at the end");
            Suite.get(admin.deleteConsumerGroups(List.of("kip848")).all());
        }
    }

    static void staticMembersComeBack() throws Exception {
        DataTests.createTopic("kip848-static", PARTITIONS);
        Suite.expectWarnings("");
        Member a = new Member(CONSUMER, "kip848-static", "kip848-static", "group.instance.id", "a");
        Member b = new Member(CONSUMER, "kip848-static", "kip848-static", "group.instance.id", "b");
        shared(partitions("kip848-static"), a, b);
        Set<String> owned = new TreeSet<>(a.owned);
        Member thief = new Member(CONSUMER, "kip848-static", "kip848-static", "group.instance.id", "a");
        Suite.eventually("one of two with the same name is refused", () -> thief.failed != null);
        Suite.expect(thief.failed instanceof UnreleasedInstanceIdException, "refused with " + thief.failed);
        a.end();
        Member back = new Member(CONSUMER, "kip848-static", "kip848-static", "group.instance.id", "a");
        Suite.eventually("it has what it had", () -> new TreeSet<>(back.owned).equals(owned));
        shared(partitions("kip848-static"), back, b);
        back.end();
        b.end();
    }

    static void expressionsFindNewTopics() throws Exception {
        Suite.expectWarnings("");
        DataTests.createTopic("expr-1", PARTITIONS);
        DataTests.createTopic("other-1", PARTITIONS);
        Member a = new Member(CONSUMER, "expr", new SubscriptionPattern("expr-\\d+"));
        Member b = new Member(CONSUMER, "expr", new SubscriptionPattern("expr-\\d+"));
        shared(partitions("expr-1"), a, b);
        DataTests.createTopic("expr-2", PARTITIONS);
        shared(partitions("expr-1", "expr-2"), a, b);
        a.end();
        b.end();
        Member bad = new Member(CONSUMER, "expr-bad", new SubscriptionPattern("expr-[x"));
        Suite.eventually("a bad expression is refused", () -> bad.failed != null);
        Suite.expect(bad.failed instanceof InvalidRegularExpression, "refused with " + bad.failed);
    }

    /** Classic members, then one of the new protocol, then only new ones, then back, and records all the while. */
    static void aGroupIsUpgradedAndDowngraded() throws Exception {
        Suite.expectWarnings("");
        DataTests.createTopic("mixed", PARTITIONS);
        ClassicGroupTests.fill("mixed", 600);
        String cooperative = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        Member a = new Member(CLASSIC, "mixed", "mixed", "partition.assignment.strategy", cooperative);
        Member b = new Member(CLASSIC, "mixed", "mixed", "partition.assignment.strategy", cooperative);
        shared(partitions("mixed"), a, b);
        Member c = new Member(CONSUMER, "mixed", "mixed");
        shared(partitions("mixed"), a, b, c);
        ClassicGroupTests.fill("mixed", 60);
        allRead(660, a, b, c);
        a.end();
        b.end();
        shared(partitions("mixed"), c);
        Member d = new Member(CLASSIC, "mixed", "mixed", "partition.assignment.strategy", cooperative);
        shared(partitions("mixed"), c, d);
        c.end();
        shared(partitions("mixed"), d);
        try (Admin admin = Admin.create(DataTests.properties())) {
            Suite.eventually("it is a classic group again", () ->
                Suite.get(admin.listGroups().all()).stream().anyMatch(g -> g.groupId().equals("mixed") && g.type().orElseThrow() == GroupType.CLASSIC));
        }
        ClassicGroupTests.fill("mixed", 60);
        allRead(720, a, b, c, d);
        d.end();
    }

    static void aGroupHasSettings() throws Exception {
        try (Admin admin = Admin.create(DataTests.properties())) {
            var group = new ConfigResource(ConfigResource.Type.GROUP, "settings");
            Suite.get(admin.incrementalAlterConfigs(Map.of(group, List.of(new AlterConfigOp(new ConfigEntry("consumer.heartbeat.interval.ms", "200"),
                AlterConfigOp.OpType.SET)))).all());
            Suite.expectEqual(Suite.get(admin.describeConfigs(List.of(group)).all()).get(group).get("consumer.heartbeat.interval.ms").value(), "200", "setting");
        }
    }

    /** The coordinator goes and comes back, members stay in their group. */
    static void membersOutliveTheBroker() throws Exception {
        Suite.expectWarnings("");
        DataTests.createTopic("outlive", PARTITIONS);
        ClassicGroupTests.fill("outlive", 600);
        Member a = new Member(CONSUMER, "outlive", "outlive");
        Member b = new Member(CONSUMER, "outlive", "outlive");
        shared(partitions("outlive"), a, b);
        Set<String> owned = new TreeSet<>(a.owned);
        Suite.ask("kill");
        ClassicGroupTests.fill("outlive", 60);
        allRead(660, a, b);
        Suite.expectEqual(new TreeSet<>(a.owned), owned, "owned after the kill");
        a.end();
        shared(partitions("outlive"), b);
        b.end();
    }

    static void run() throws Exception {
        Suite.useBroker("num.partitions=3 group.initial.rebalance.delay.ms=0 group.consumer.min.heartbeat.interval.ms=100 group.consumer.heartbeat.interval.ms=100 "
            + "group.consumer.assignment.interval.ms=100 group.consumer.min.session.timeout.ms=1000");
        Suite.test("members_of_a_consumer_group_share_and_take_over", ConsumerGroupTests::membersShareAndTakeOver);
        Suite.test("static_members_of_a_consumer_group_come_back_to_what_they_had", ConsumerGroupTests::staticMembersComeBack);
        Suite.test("expressions_of_a_consumer_group_find_new_topics", ConsumerGroupTests::expressionsFindNewTopics);
        Suite.test("a_group_is_upgraded_and_downgraded_while_it_consumes", ConsumerGroupTests::aGroupIsUpgradedAndDowngraded);
        Suite.test("a_group_has_settings_of_its_own", ConsumerGroupTests::aGroupHasSettings);
        Suite.test("members_of_a_consumer_group_outlive_the_broker", ConsumerGroupTests::membersOutliveTheBroker);
    }
}
