import pytest
from deployed import Deployed, Lake, Operator
from emulator import Emulator
from local_aws import MiniStack


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    with MiniStack(tmp_path_factory.mktemp("aws")) as ministack:
        yield ministack


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
