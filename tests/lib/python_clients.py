"""The Python clients' virtual environment, for suites that use them: the packages of tests/clients/python/requirements.txt, in the cache."""
import os, sys
from harness import *

REQUIREMENTS = os.path.join(ROOT, "tests/clients/python/requirements.txt")


def enter_environment(suite):
    """Goes on in the environment's Python; where it cannot be made the suite is skipped."""
    if "python-clients" in sys.prefix:
        return

    def make(path):
        run([sys.executable, "-m", "venv", path])
        run([f"{path}/bin/pip", "install", "-q", "--disable-pip-version-check", "-r", REQUIREMENTS], timeout_s=600)
    try:
        python = cached("python-clients", open(REQUIREMENTS).read(), make) + "/bin/python"
    except Exception as error:
        print(f"SKIP {suite}: confluent-kafka, aiokafka and kafka-python cannot be installed: {' '.join(str(error).split())[:300]}")
        sys.exit(0)
    os.execv(python, [python, *map(os.path.abspath, sys.argv[:1]), *sys.argv[1:]])
