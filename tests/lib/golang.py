"""Go for the suites that need it: the one there is, or the one that a go.mod asks for."""
import glob, json, os, re, shutil
from harness import Skip, cached, expect, run, temp_dir


def version_of(text):
    return tuple(map(int, re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text).groups(default="0")))


def newer_go(go, wanted):
    """The Go that go.mod asks for, from the module golang.org/toolchain, which `go` checks as any other. From 1.21 on it does
    all this by itself; what an older one downloads cannot be run yet."""
    if version_of(run([go, "env", "GOVERSION"])) >= (1, 21, 0):
        return go, {"GOTOOLCHAIN": f"go{wanted}+auto"}
    system, machine = run([go, "env", "GOOS", "GOARCH"]).split()
    done = run([go, "mod", "download", "-json", f"golang.org/toolchain@v0.0.1-go{wanted}.{system}-{machine}"], cwd=temp_dir(), ok=False, timeout_s=900)
    if done.returncode != 0:
        raise Skip(f"{run([go, 'version']).strip()} is too old for franz-go and sarama, and Go {wanted} cannot be had: {' '.join(done.stdout.split())[-200:]}")
    dir = json.loads(done.stdout)["Dir"]
    for path in glob.glob(f"{dir}/bin/*") + glob.glob(f"{dir}/pkg/tool/*/*"):
        os.chmod(path, 0o755)
    return f"{dir}/bin/go", {"GOROOT": dir, "GOTOOLCHAIN": "local"}


def go_build(name, module, *command):
    """A program made by `go COMMAND -o PROGRAM ...` in the module's directory, once for its sources; `command` is `build` or
    `test -c`, and the package. Skips, with the reason, where there is no Go."""
    go = shutil.which("go")
    if not go:
        raise Skip("there is no go")
    sources = sorted(glob.glob(f"{module}/*.go") if command[0] == "build" else []) + [f"{module}/go.mod", f"{module}/go.sum"]
    wanted = re.search(r"(?m)^go (\S+)", open(f"{module}/go.mod").read()).group(1)

    def make(path):
        program, settings = (go, {}) if version_of(run([go, "env", "GOVERSION"])) >= version_of(wanted) else newer_go(go, wanted)
        built = run([program, *command[:-1], "-o", f"{path}/{name}", command[-1]], cwd=module, ok=False, timeout_s=900, env={**os.environ, **settings})
        expect(built.returncode == 0, f"go {command[0]}: {built.stderr[-1500:]}")
    return f"{cached(name, ''.join(open(source).read() for source in sources) + ' '.join(command), make)}/{name}"
