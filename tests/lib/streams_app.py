"""A Kafka Streams application of Apache Kafka's library (java/StreamsApp.java), what it is fed, and a checker that reads its
results with another client and knows exactly what they must be."""
import json, os, random, subprocess, threading, time

from harness import *

TOPICS = ("lines", "left", "right", "counts", "joined")
TASKS = 9  # three subtopologies of three tasks: words, their counts, the join
# Heartbeats and sessions of streams groups that suit a test.
QUICK = {"group.streams.min.heartbeat.interval.ms": 100, "group.streams.heartbeat.interval.ms": 200, "group.streams.initial.rebalance.delay.ms": 500,
         "group.streams.min.session.timeout.ms": 2000, "group.streams.session.timeout.ms": 10000, "group.streams.assignment.interval.ms": 100,
         "group.initial.rebalance.delay.ms": 500, "offsets.topic.num.partitions": 4, "transaction.state.log.num.partitions": 4}


def streams_jars(version=None):
    """Kafka Streams, and the clients that it stands on; another version than Kafka's server here, when one is given."""
    if not version:
        return maven_jars(os.path.join(ROOT, "tests/lib/java/streams-pom.xml"), "streams-libs")
    return maven_jars(os.path.join(ROOT, "tests/lib/java/streams-pom.xml"), f"streams-libs-{version}", f"-Dkafka.version={version}")


def compiled():
    source = os.path.join(ROOT, "tests/lib/java/StreamsApp.java")
    return cached("classes/StreamsApp", open(source).read(),
                  lambda out: run(["javac", "-nowarn", "-cp", streams_jars(), "-d", out, source], timeout_s=300))


class StreamsApp(Server):
    """One instance of the application; `dir` keeps its state between starts."""
    clean_codes = (0, 143)

    def __init__(self, broker, name="words", dir=None, protocol="streams", guarantee="at_least_once", port=None, threads=1, version=None, **settings):
        super().__init__()
        self.version = version
        self.dir, self.port = dir or temp_dir(), port or free_port()
        self.settings = {"bootstrap.servers": broker.bootstrap, "application.id": name, "state.dir": self.dir, "group.protocol": protocol,
                         "processing.guarantee": guarantee, "num.stream.threads": threads, "application.server": f"127.0.0.1:{self.port}", **settings}
        if protocol == "classic": # its members do not leave when they end
            self.settings.update({"main.consumer.session.timeout.ms": 6000, "main.consumer.heartbeat.interval.ms": 500})
        self.begin()

    def begin(self):
        command = java_command("StreamsApp", *(f"{key}={value}" for key, value in self.settings.items()), classpath=compiled(), kafka=streams_jars(self.version))
        self.process = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.PIPE, text=True, errors="replace")
        self.lines = []
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()
        return self

    def ask(self, letter, answer):
        start_at = len(self.lines)
        self.process.stdin.write(letter)
        self.process.stdin.flush()
        return self.wait_for(answer, start=start_at)

    def tasks(self):
        """(active, standby) as the instance has them."""
        words = self.ask("t", "^tasks ").split()
        return int(words[1]), int(words[3])


class Feed:
    """What has been sent, and what must come of it."""

    def __init__(self, broker, seed=1):
        self.broker, self.random = broker, random.Random(seed)
        self.words, self.joined, self.next = {}, set(), 0
        self.base = (int(time.time()) - 86_400) * 1000

    def _produce(self, topic, records):
        text = "".join(json.dumps(record) + "\n" for record in records)
        run([MYELIN_FAST, "produce", topic, "--input", "json", "--idempotent", "-q", "-b", self.broker.bootstrap], input=text)

    def send(self, lines, pairs):
        """Lines of words, and pairs of which most meet within the window."""
        vocabulary = [f"w{i}" for i in range(20)]
        texts = [[self.random.choice(vocabulary) for _ in range(self.random.randint(1, 6))] for _ in range(lines)]
        self._produce("lines", [{"value": " ".join(words)} for words in texts])
        for word in sum(texts, []):
            self.words[word] = self.words.get(word, 0) + 1
        lefts, rights, base = [], [], self.base
        for i in range(self.next, self.next + pairs):
            apart = self.random.choice((0, 1000, 59_000, 60_000, 61_000, 3_600_000))
            lefts.append({"key": f"k{i}", "value": f"L{i}", "timestamp": base + i})
            rights.append({"key": f"k{i}", "value": f"R{i}", "timestamp": base + i - apart})
            if apart <= 60_000:
                self.joined.add((f"k{i}", f"L{i}+R{i}"))
        self.next += pairs
        self._produce("left", lefts)
        self._produce("right", rights)


def committed(broker, topic):
    """(key, value) of all records that a reader of committed ones is given, partition by partition."""
    out = run(["kcat", "-b", broker.bootstrap, "-C", "-t", topic, "-e", "-q", "-X", "isolation.level=read_committed", "-o", "beginning", "-f", "%k %s\\n"])
    return [tuple(line.split(" ", 1)) for line in out.splitlines()]


def last_counts(broker):
    return {key: int(value) for key, value in committed(broker, "counts")}


def wait_until_done(broker, feed, timeout_s=240):
    eventually(lambda: last_counts(broker) == feed.words and len(set(committed(broker, "joined"))) >= len(feed.joined), timeout_s, "everything is counted and joined")


def check_exact(broker, feed):
    """Each word was counted 1, 2, 3, ... and each pair joined once: nothing lost, nothing twice."""
    counts = {}
    for key, value in committed(broker, "counts"):
        expect_equal(int(value), counts.get(key, 0) + 1, f"the next count of {key}")
        counts[key] = int(value)
    expect_equal(counts, feed.words, "the counts")
    joined = committed(broker, "joined")
    expect_equal(len(joined), len(set(joined)), "joins, and different ones")
    expect_equal(set(joined), feed.joined, "the joins")


def check_complete(broker, feed):
    """Nothing lost."""
    expect_equal(last_counts(broker), feed.words, "the counts")
    expect_equal(set(committed(broker, "joined")), feed.joined, "the joins")


def create_topics(broker):
    for topic in TOPICS:
        run([MYELIN_FAST, "topic", "create", topic, "--partitions", "3", "-b", broker.bootstrap])
