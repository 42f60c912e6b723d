"""Runs Apache Kafka's own integration tests against Myelin. A suite is a folder tests/kafka/X/ with three lists and a `run`:

    tests     what every run takes: `package.Class` or `package.Class.method`, a line each
    more      what there is besides; taken when KAFKA_TESTS=all
    left_out  `package.Class.method: why`, or `package.Class: why`: what a broker of one in another process cannot pass, or what is
              not to be trusted on a loaded machine. A class in the other lists goes without these.

`run NAME` takes what has NAME in its line, from all three lists. A test that is listed has to pass: one that aborts itself counts
as a failure, so that no test falls silent. How many are left out, and why, is told in a comment line."""
import collections, glob, os, subprocess, sys

from harness import *

HERE = os.path.join(ROOT, "tests", "kafka")
JAVA = os.path.join(HERE, "java")
PORTS = 48


def classpath():
    libs = maven_jars(os.path.join(HERE, "pom.xml"), "kafka-tests-libs")
    sources = sorted(glob.glob(os.path.join(JAVA, "**", "*.java"), recursive=True))
    services = os.path.join(JAVA, "META-INF")
    text = "".join(open(source).read() for source in sources)

    def compile_(out):
        run(["javac", "-nowarn", "-cp", libs, "-d", out, *sources], timeout_s=300)
        shutil.copytree(services, os.path.join(out, "META-INF"))
    return cached("classes/kafka-tests", text, compile_) + os.pathsep + libs


def lines_of(suite, name):
    path = os.path.join(suite, name)
    if not os.path.exists(path):
        return []
    lines = (line.strip() for line in open(path))
    return [line for line in lines if line and not line.startswith("#")]


def chosen(suite, wanted):
    """Lines for the runner, and {reason: count}."""
    left_out = dict(line.split(": ", 1) for line in lines_of(suite, "left_out"))
    if wanted:
        every = lines_of(suite, "tests") + lines_of(suite, "more") + list(left_out)
        return [line for line in every if wanted in line], collections.Counter()
    lists = ["tests"] + (["more"] if os.environ.get("KAFKA_TESTS") == "all" else [])
    lines = [line for name in lists for line in lines_of(suite, name)]
    return lines + ["-" + name for name in left_out], collections.Counter(left_out.values())


def main(suite, heap="768m"):
    suite = os.path.dirname(os.path.abspath(suite))
    lines, left_out = chosen(suite, sys.argv[1] if len(sys.argv) > 1 else "")
    for why, count in left_out.most_common():
        print(f"# {count} left out: {why}", flush=True)
    try:
        path = classpath()
    except Skip as skip:
        print(f"SKIP {os.path.basename(suite)}: {skip}")
        sys.exit(0)
    work = temp_dir()
    listed = os.path.join(work, "listed")
    with open(listed, "w") as out:
        out.write("\n".join(lines) + "\n")
    ports = ",".join(str(free_port()) for _ in range(PORTS))
    program = MYELIN_FAST if os.environ.get("KAFKA_TESTS_FAST") else MYELIN
    log = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=" + os.environ.get("KAFKA_TESTS_LOG", "off")]
    process = start(["java", f"-Xmx{heap}", *JVM_SHORT, *log, f"-Djava.io.tmpdir={work}",
                     f"-Dmyelin.program={program}", f"-Dmyelin.ports={ports}", "-cp", path, "myelin.peer.Runner", listed],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=work, text=True, errors="replace")
    failed, counted = False, 0
    for line in process.stdout:
        if line.startswith("SKIP "):
            line = "FAIL " + line[5:]
        failed |= line.startswith("FAIL ")
        counted += line.startswith(("ok ", "FAIL "))
        print(line, end="", flush=True)
    code = process.wait()
    if code != 0 and not failed:
        print(f"FAIL {os.path.basename(suite)}: the JVM ended with {code}")
    sys.exit(1 if failed or code != 0 else 0)
