"""Runs Apache Kafka's own integration tests against Myelin. A suite is a folder tests/kafka/X/ with three lists and a `run`:

    tests     what every run takes: `package.Class` or `package.Class.method`, a line each
    more      what there is besides; taken when KAFKA_TESTS=all
    left_out  `package.Class.method: why`, or `package.Class: why` (but for methods that are listed): what a broker of one in another
              process cannot pass, or what is not to be trusted on a loaded machine. Classes in the other lists go without these.

`run NAME` takes what has NAME in its line, from all three lists, or the class or method of that whole name. The lines are dealt
to some JVMs in turn: the tests mostly wait, and those of one JVM cannot run beside each other (they look for threads that others
left). With KAFKA_TESTS_OF=kafka Kafka's own brokers are tested, for a look at what a test does there. A test that is listed has
to pass: one that aborts itself counts as a failure, so that no test falls silent. One that fails is tried again, alone, and noted
when it passes then. How many are left out, and why, is told in a comment line."""
import collections, concurrent.futures, glob, os, subprocess, sys, threading, zlib

from harness import *

HERE = os.path.join(ROOT, "tests", "kafka")
JAVA = os.path.join(HERE, "java")
PORTS = 24  # of a JVM: a node has three

ATTEMPTS = 3
_print_lock = threading.Lock()


def classpath():
    pom = os.path.join(HERE, "pom.xml")
    libs = maven_jars(pom, f"kafka-tests-libs-{zlib.crc32(open(pom, 'rb').read()):08x}")
    sources = sorted(glob.glob(os.path.join(JAVA, "**", "*.java"), recursive=True))
    services = os.path.join(JAVA, "META-INF")
    text = "".join(open(source).read() for source in sources)

    def compile_(out):
        run(["javac", "-nowarn", "-cp", libs, "-d", os.path.join(out, "runner"), *sources], timeout_s=300)
        shutil.copytree(services, os.path.join(out, "runner", "META-INF"))
        os.makedirs(os.path.join(out, "kit"))
        for package in "org", "kafka":
            os.rename(os.path.join(out, "runner", package), os.path.join(out, "kit", package))
    classes = cached("classes/kafka-tests", text, compile_)
    kits = [] if os.environ.get("KAFKA_TESTS_OF") == "kafka" else [os.path.join(classes, "kit")]
    return os.pathsep.join(kits + [os.path.join(classes, "runner"), libs])


def lines_of(suite, name):
    path = os.path.join(suite, name)
    if not os.path.exists(path):
        return []
    lines = (line.strip() for line in open(path))
    return [line for line in lines if line and not line.startswith("#")]


def is_method(name):
    return name.rpartition(".")[2][0].islower()


def chosen(suite, wanted):
    """Lines for the runner, and {reason: count}."""
    left_out = dict(line.split(": ", 1) for line in lines_of(suite, "left_out"))
    if wanted.startswith("org."):
        return [wanted], collections.Counter()
    if wanted:
        every = lines_of(suite, "tests") + lines_of(suite, "more") + list(left_out)
        return [line for line in every if wanted in line], collections.Counter()
    lists = ["tests"] + (["more"] if os.environ.get("KAFKA_TESTS") == "all" else [])
    lines = [line for name in lists for line in lines_of(suite, name)]
    return lines + ["-" + name for name in left_out if name not in lines and is_method(name)], collections.Counter(left_out.values())


def jvm(path, heap, lines):
    """Runs what `lines` say, and prints what passed; gives {class.method: why} of what failed."""
    work = temp_dir()
    listed = os.path.join(work, "listed")
    with open(listed, "w") as out:
        out.write("\n".join(lines) + "\n")
    ports = ",".join(str(free_port()) for _ in range(PORTS))
    program = MYELIN_FAST if os.environ.get("KAFKA_TESTS_FAST") else MYELIN
    level = os.environ.get("KAFKA_TESTS_LOG", "off")  # what is printed; tests that look at the log need what is from INFO up
    log = ["-Dlog4j2.configurationFile=" + os.path.join(HERE, "log4j2.properties"), f"-Dprinted={level}",
           "-Dlogged=" + (level if level in ("debug", "trace") else "info")]
    process = start(["java", f"-Xmx{heap}", *JVM_SHORT, *log, f"-Djava.io.tmpdir={work}", f"-Dmyelin.program={program}", f"-Dmyelin.ports={ports}", "-cp", path, "myelin.peer.Runner", listed],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=work, text=True, errors="replace")
    failed = {}
    for line in process.stdout:
        kind, _, rest = line.rstrip("\n").partition(" ")
        if kind in ("FAIL", "SKIP"):
            name, _, why = rest.partition(": ")
            failed[name] = why
            line = f"# failed: {rest}\n"
        with _print_lock:
            print(line, end="", flush=True)
    code = process.wait()
    if code != 0 and not failed:
        failed[lines[0]] = f"its JVM ended with {code}"
    return failed


def judged(path, heap, lines):
    """As jvm(), and again for what failed: Kafka's tests give up after times that a loaded machine may need."""
    full = {line.split(".")[-2 if is_method(line) else -1]: line.rpartition(".")[0] if is_method(line) else line
            for line in lines if not line.startswith("-")}
    failed, before = jvm(path, heap, lines), {}
    for _ in range(ATTEMPTS - 1):
        if not failed or not all(name.split(".")[0] in full for name in failed):
            break
        before.update(failed)
        failed = jvm(path, heap, [full[name.split(".")[0]] + "." + name.split(".")[1] for name in failed])
    for name, why in before.items():
        if name not in failed:
            print(f"NOTE {name}: failed before it passed: {why}", flush=True)
    for name, why in failed.items():
        print(f"FAIL {name}: {why}", flush=True)
    return not failed


def main(suite, heap="768m", jvms=2):
    suite = os.path.dirname(os.path.abspath(suite))
    lines, left_out = chosen(suite, sys.argv[1] if len(sys.argv) > 1 else "")
    for why, count in left_out.most_common():
        print(f"# {count} left out: {why}", flush=True)
    try:
        path = classpath()
    except Skip as skip:
        print(f"SKIP {os.path.basename(suite)}: {skip}")
        sys.exit(0)
    wanted = [line for line in lines if not line.startswith("-")]
    without = [line for line in lines if line.startswith("-")]
    shares = [share for share in (wanted[i::jvms] for i in range(jvms)) if share]
    with concurrent.futures.ThreadPoolExecutor(jvms) as pool:
        well = all(list(pool.map(lambda share: judged(path, heap, share + without), shares)))
    sys.exit(0 if well else 1)
