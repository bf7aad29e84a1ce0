import platform

import pytest
from deployed import Deployed, deploy
from local_aws import MiniStack

ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


@pytest.fixture(scope="session")
def aws(tmp_path_factory):
    with MiniStack(tmp_path_factory.mktemp("aws")) as ministack:
        yield ministack


@pytest.fixture(scope="session")
def deploy_output(aws, tmp_path_factory):
    return deploy(aws, tmp_path_factory.mktemp("deploy"), ARCHITECTURE)


@pytest.fixture(scope="session")
def stack(aws, deploy_output):
    return Deployed(aws)
