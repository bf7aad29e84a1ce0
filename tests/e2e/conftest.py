import os
import subprocess
import sys

import pytest
from deployed import ARCHITECTURE, BUILD, ROOT, Deployed, Lake, Operator
from emulator import Emulator
from local_aws import MiniStack


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    with MiniStack(tmp_path_factory.mktemp("aws")) as ministack:
        yield ministack


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The folder of `make package`, with the programs of `make e2e` in place of a release build."""
    folder = tmp_path_factory.mktemp("package")
    command, environment = folder / "smartclean-push", {**os.environ, "PATH": f"{ROOT}/.tools/bin:{os.environ['PATH']}"}
    subprocess.run(["strip", "-o", command, ROOT / "target/debug/smartclean-push"], check=True)
    functions = [BUILD / name / "bootstrap" for name in ("PushFunction", "BoardFunction", "CompactFunction")]
    subprocess.run([sys.executable, ROOT / ".make/package", folder / "package", ARCHITECTURE, *functions, command], env=environment, check=True)
    return folder / "package"


@pytest.fixture(scope="session")
def stack(aws, tmp_path_factory):
    return Deployed(aws, Operator(aws, tmp_path_factory.mktemp("operator")))


@pytest.fixture(scope="session")
def lake(stack):
    """The lake. Tests that do not use this fixture also prove that the main stack works alone."""
    return Lake(stack)


@pytest.fixture(autouse=True)
def isolate_test(request):
    """Messages of earlier tests do not affect this one."""
    if {"stack", "all_methods"} & set(request.fixturenames):
        request.getfixturevalue("stack").start_test()


@pytest.fixture(scope="session")
def all_methods(stack):
    """The stack with every auth method enabled."""
    stack.enable_auth_methods()
    return stack


@pytest.fixture(scope="session")
def emulator(aws, tmp_path_factory):
    emulator = Emulator(aws, tmp_path_factory.mktemp("emulator"))
    yield emulator
    emulator.stop()
