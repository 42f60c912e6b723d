"""What the suites share: test reports, processes that end with the test, Myelin and Apache Kafka as servers on
loopback with free ports, and the packages of other clients. A suite is an executable `run` in tests/*/ or tests/*/*/:

    sys.path.insert(0, ...)            # tests/lib
    from harness import *

    @test
    def produce_then_consume_gives_the_same_records(): ...

    main()
"""
import atexit, contextlib, fcntl, os, random, re, shutil, signal, socket, subprocess, sys, tempfile, threading, time, traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MYELIN = os.environ.get("MYELIN", os.path.join(ROOT, "build/myelin"))
MYELIN_FAST = os.environ.get("MYELIN_FAST", os.path.join(ROOT, "build/myelin"))
CACHE = os.path.join(ROOT, "build", "test-cache")

_tests, _processes, _dirs = [], [], []


class Skip(Exception):
    """The machine cannot run this test; the reason is printed."""


def test(fn):
    _tests.append(fn)
    return fn


def expect(condition, why):
    if not condition:
        raise AssertionError(why() if callable(why) else why)


def expect_equal(got, wanted, what="value"):
    expect(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def main():
    """Runs the tests of the suite, those with sys.argv[1] in their name when it is given. What a test returns is a remark
    on its passing that whoever reads the result is to see."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    failed = 0
    for fn in _tests:
        if wanted not in fn.__name__:
            continue
        try:
            remark = fn()
            print(f"ok {fn.__name__}", flush=True)
            if remark:
                print(f"NOTE {fn.__name__}: {remark}", flush=True)
        except Skip as skip:
            print(f"SKIP {fn.__name__}: {skip}", flush=True)
        except Exception as error:
            failed += 1
            text = str(error) or type(error).__name__
            print(f"FAIL {fn.__name__}: {' | '.join(text.splitlines()[:12])[:1500]}", flush=True)
            traceback.print_exc(file=sys.stdout)
    sys.exit(1 if failed else 0)


# ---- processes and directories: none outlives the suite ------------------------------------------------------------

def _clean_up():
    for process in _processes:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    for path in _dirs:
        shutil.rmtree(path, ignore_errors=True)


atexit.register(_clean_up)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def temp_dir():
    """On the file system of the checkout, which takes direct I/O; removed at the end."""
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    path = tempfile.mkdtemp(prefix="test-", dir=os.path.join(ROOT, "build"))
    _dirs.append(path)
    return path


def start(command, **options):
    process = subprocess.Popen(command, start_new_session=True, **options)
    _processes.append(process)
    return process


def run(command, timeout_s=300, ok=True, **options):
    """Runs to the end; gives stdout, and raises with stderr when the exit status is not 0 (ok=True)."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout_s, **options)
    if ok and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))[:300]}: exit status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout if ok else done


_ports_taken = {}  # {port: the socket that says so}


def free_port():
    """Nobody else's for as long as this process lives, however often what listens on it comes and goes: out of the range that
    the kernel gives to connections, and marked as taken among all that run tests here by a socket of an abstract name."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as range_:
            end = min(int(range_.read().split()[0]), 32768)
    except OSError:
        end = 32768
    begin = 10240 if end > 12288 else 1024
    while True:
        port = random.SystemRandom().randrange(begin, max(end, begin + 2048))
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind(f"\0myelin-tests-port-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        _ports_taken[port] = mark
        return port


def eventually(condition, timeout_s=120, what="condition"):
    """Asks again until it gives something true; for state that tells no event."""
    end = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        expect(time.monotonic() < end, f"{what}: not within {timeout_s} s")
        time.sleep(0.02)


class Server:
    """A server process with its log kept line by line, so that tests can wait for a line."""

    def __init__(self):
        self.process, self.lines, self._changed = None, [], threading.Condition()

    def _launch(self, command, **options):
        self.process = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                             errors="replace", **options)
        self.lines = []
        threading.Thread(target=self._read, args=(self.process, self.lines), daemon=True).start()

    def _read(self, process, lines):
        for line in process.stdout:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            lines.append(None)
            self._changed.notify_all()

    def wait_for(self, pattern, timeout_s=180, start=0):
        """The first log line from line `start` on that the pattern is found in."""
        end, at = time.monotonic() + timeout_s, start
        with self._changed:
            while True:
                while at < len(self.lines):
                    if self.lines[at] is None:
                        raise AssertionError("server ended; its last lines: " + self.last_words())
                    if re.search(pattern, self.lines[at]):
                        return self.lines[at]
                    at += 1
                if not self._changed.wait(max(0, end - time.monotonic())) and time.monotonic() >= end:
                    raise AssertionError(f"no log line with {pattern!r}; last lines: " + self.last_words())

    def last_words(self):
        """The report of a sanitizer or a failed check when there is one, else the last lines."""
        lines = [line for line in self.lines if line]
        for i, line in enumerate(lines):
            if re.search(r"ERROR: \w+Sanitizer|runtime error:|check failed", line):
                return " | ".join(lines[i:i + 20])
        return " | ".join(lines[-8:])

    @property
    def pid(self):
        return self.process.pid

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        eventually(self._port_is_free, what="the kernel has closed the killed server's listener")

    def _port_is_free(self):
        """io_uring's last references to sockets go some time after the process."""
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", self.port))
                return True
            except OSError:
                return False

    def stop(self, timeout_s=180):
        """Clean stop; the exit status must be 0 (143 for a JVM)."""
        self.process.terminate()
        code = self.process.wait(timeout_s)
        expect(code in self.clean_codes, lambda: f"stopped with {code}: " + self.last_words())


class Myelin(Server):
    """`settings` are overrides; `fast` takes the build without sanitizers; the directory lives on between starts."""
    clean_codes = (0,)

    def __init__(self, settings=None, dir=None, fast=False, program=None, config_file=None, begin=True):
        super().__init__()
        self.dir = dir or temp_dir()
        self.port, self.http_port = free_port(), free_port()
        self.program = program or (MYELIN_FAST if fast else MYELIN)
        self.config_file = config_file
        self.settings = {"listeners": f"PLAINTEXT://127.0.0.1:{self.port}", "log.dirs": os.path.join(self.dir, "data"),
                         "myelin.http.listener": f"127.0.0.1:{self.http_port}"}
        if config_file:
            self.settings = {"myelin.http.listener": f"127.0.0.1:{self.http_port}"}
        self.settings.update(settings or {})
        if begin:
            self.begin()

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def begin(self, wait=True, env=None):
        command = [self.program, "server"] + ([self.config_file] if self.config_file else [])
        for key, value in self.settings.items():
            command += ["--override", f"{key}={value}"]
        self._launch(command, cwd=self.dir, env={**os.environ, **(env or {})})
        if wait:
            self.wait_for("serving")
        return self


# ---- Apache Kafka, the peer ------------------------------------------------------------------------------------------

def maven_jars(pom, name, *options):
    """The dependencies of a pom.xml, fetched once: a class path."""
    libs = os.path.join(CACHE, name)
    if not os.path.exists(os.path.join(libs, ".complete")):
        if not shutil.which("mvn") or not shutil.which("java"):
            raise Skip("no java or mvn")
        os.makedirs(CACHE, exist_ok=True)
        with open(os.path.join(CACHE, name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(os.path.join(libs, ".complete")):
                run(["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={libs}", *options], timeout_s=600)
                open(os.path.join(libs, ".complete"), "w").close()
    return os.path.join(libs, "*")


# Another version of Kafka can be asked for: KAFKA_VERSION=4.4.0 make test T=interop/directory
KAFKA_VERSION = os.environ.get("KAFKA_VERSION", "4.3.1")


def kafka_classpath(version=KAFKA_VERSION):
    """Kafka's server, tools and clients."""
    return maven_jars(os.path.join(ROOT, "tests/lib/java/pom.xml"), f"kafka-libs-{version}", f"-Dkafka.version={version}")


# A short run is over before the second compiler pays; a benchmark leaves the JVM's own choices.
JVM_SHORT = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
JVM_DEFAULT = ("-XX:+UseG1GC",)


def java_command(main_class, *args, heap="256m", classpath="", jvm=JVM_SHORT, kafka=None):
    """`classpath` stands before the peer's, or before `kafka` when that is to be used in its place."""
    path = (classpath + ":" if classpath else "") + (kafka or kafka_classpath())
    return ["java", f"-Xmx{heap}", *jvm, "-cp", path, main_class, *map(str, args)]


def java(main_class, *args, timeout_s=300, ok=True, **options):
    """Runs a main class of Kafka's artifacts: java("org.apache.kafka.tools.TopicCommand", "--list", ...)."""
    return run(java_command(main_class, *args), timeout_s=timeout_s, ok=ok, **options)


def cached(name, inputs, make):
    """A directory in the cache that make(path) fills once, and again when `inputs` (a text) is another."""
    path = os.path.join(CACHE, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = path + ".made-from"
        if not os.path.exists(stamp) or open(stamp).read() != inputs:
            with contextlib.suppress(FileNotFoundError):
                os.remove(stamp)
            shutil.rmtree(path, ignore_errors=True)
            os.makedirs(path)
            make(path)
            with open(stamp, "w") as out:
                out.write(inputs)
    return path


def java_compile(*sources):
    """Compiles .java files together against Kafka's jars, once; gives the class path to add."""
    name = os.path.splitext(os.path.basename(sources[0]))[0] + "-" + KAFKA_VERSION
    text = "".join(open(source).read() for source in sources)
    return cached(f"classes/{name}", text,
                  lambda out: run(["javac", "-nowarn", "-cp", kafka_classpath(), "-d", out, *sources], timeout_s=300))


class Kafka(Server):
    """Apache Kafka in KRaft combined mode, one node; formats its directory on first start."""
    clean_codes = (0, 143)

    def __init__(self, settings=None, dir=None, heap="512m", jvm=JVM_SHORT, format_args=(), begin=True, cluster_id="4L6g3nShT-eMCtK--X86sw",
                 classpath=""):
        super().__init__()
        self.dir, self.heap, self.jvm, self.classpath = dir or temp_dir(), heap, jvm, classpath
        self.port, self.controller_port = free_port(), free_port()
        self.settings = {
            "process.roles": "broker,controller", "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self.controller_port}",
            "controller.listener.names": "CONTROLLER", "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": os.path.join(self.dir, "data"), "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1", "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1", "share.coordinator.state.topic.min.isr": "1",
            "offsets.topic.num.partitions": "4", "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0", **(settings or {})}
        self.cluster_id, self.format_args = cluster_id, format_args
        if begin:
            self.begin()

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.port}"

    def write_config(self):
        path = os.path.join(self.dir, "server.properties")
        with open(path, "w") as out:
            for key, value in self.settings.items():
                out.write(f"{key}={value}\n")
        return path

    def begin(self, wait=True):
        config = self.write_config()
        first = self.settings["log.dirs"].split(",")[0]
        if not os.path.exists(os.path.join(first, "meta.properties")):
            java("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", config, "--standalone", *self.format_args)
        warnings = java_compile(os.path.join(ROOT, "tests/lib/java/StaticLoggerBinder.java"))  # what Kafka warns of is in its last words
        classpath = os.pathsep.join(filter(None, (self.classpath, warnings)))
        self._launch(java_command("kafka.Kafka", config, heap=self.heap, jvm=self.jvm, classpath=classpath))
        if wait:
            self._wait_ready()
        return self

    def _wait_ready(self):
        def answers():
            expect(self.process.poll() is None, lambda: "Kafka ended: " + self.last_words())
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        eventually(answers, 180, "Kafka answers")
