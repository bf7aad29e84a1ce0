"""`make package`, and deploys from its folder on a computer without Rust."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile

import pytest
import requests
import tomlkit
from deployed import ARCHITECTURE, BUILD, ROOT, describe_stack
from ops import package as packages
from ops import settings
from samcli.yamlhelper import yaml_parse

NAME = "smartclean-push-prebuilt"
VERSION = tomlkit.parse((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]
READING = {"DevType": "SMARTCLEAN#ODRDTR_BATT_V1", "DEVID": "prebuilt", "InsID": "prebuilt", "Region": "Asia/Singapore", "v": {"amm": 270}}


def test_package_contains_the_functions_and_the_command(package):
    packages.verify(package)
    names = {"smartclean-push", "template.yaml", "lake.yaml", "push-function.zip", "board-function.zip", "compact-function.zip", "SHA256SUMS"}
    names |= {f"smartclean-push-{VERSION}-x86_64.tar.gz", f"smartclean-push_{VERSION}_amd64.deb"}
    assert {path.name for path in package.iterdir()} == names
    for name in ("push", "board", "compact"):
        with zipfile.ZipFile(package / f"{name}-function.zip") as archive:
            (entry,) = archive.infolist()
            assert (entry.filename, entry.external_attr >> 16 & 0o777) == ("bootstrap", 0o755)
            assert archive.read(entry) == (BUILD / f"{name.title()}Function" / "bootstrap").read_bytes()


def test_tarball_contains_the_files_of_the_server(package):
    (path,) = package.glob("*.tar.gz")
    with tarfile.open(path) as tarball:
        files = {entry.name.split("/", 1)[1]: entry for entry in tarball if entry.isfile()}
    assert files["usr/bin/smartclean-push"].mode & 0o777 == 0o755
    assert {"usr/lib/systemd/system/smartclean-push.service", "etc/smartclean-push/rules.toml", "etc/smartclean-push/environment"} <= files.keys()
    # Most distributions have a link at /lib, and `cp -r` does not copy a folder onto it.
    assert {name.split("/", 1)[0] for name in files} == {"usr", "etc"}
    assert sum("completion" in name or "site-functions" in name for name in files) == 3
    assert {entry.uname for entry in files.values()} == {"root"}


@pytest.mark.parametrize("name", ["template.yaml", "lake.yaml"])
def test_packed_template_deploys_a_zip_file_for_its_architecture(package, name):
    text = (package / name).read_text(encoding="utf-8")
    functions = {id: each for id, each in yaml_parse(text)["Resources"].items() if each["Type"] == "AWS::Serverless::Function"}
    # PushFunction is in push-function.zip.
    zips = {id: f"{id.removesuffix('Function').lower()}-function.zip" for id in functions}
    assert {id: each["Properties"]["CodeUri"] for id, each in functions.items()} == zips
    assert all((package / name).is_file() for name in zips.values())
    assert yaml_parse(text)["Parameters"]["Architecture"] | {"Description": ""} == {
        "Type": "String", "Default": ARCHITECTURE, "AllowedValues": [ARCHITECTURE], "Description": "",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["template.yaml", "lake.yaml"])
def test_version_of_a_stack_is_that_of_the_release(name):
    """CloudFormation cannot read the version from the program."""
    assert yaml_parse((ROOT / name).read_text(encoding="utf-8"))["Outputs"]["Version"]["Value"] == VERSION


def without_rust(aws, home):
    """The environment of a computer without Rust: no folder of PATH has cargo or rustup, and neither has the home folder."""
    folders = [each for each in os.environ["PATH"].split(":") if not any(shutil.which(name, path=each) for name in ("cargo", "rustup"))]
    environment = {**aws.environment, "PATH": ":".join(folders), "HOME": str(home)}
    assert subprocess.run(["sh", "-c", "command -v cargo rustup"], env=environment, check=False, capture_output=True).returncode != 0
    return environment


def make(environment, config, *arguments):
    command = ["make", *arguments, f"STACK={sys.executable} -m ops --config {config}"]
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "samconfig.local.toml"
    settings.write(path, NAME, "ap-southeast-1", {"Alarms": "no"})
    return path


def test_deploy_from_a_package_needs_no_rust(aws, package, config, tmp_path):
    environment = without_rust(aws, tmp_path)
    deployed = make(environment, config, "deploy", "lake", f"PREBUILT={package}")
    assert deployed.returncode == 0, deployed.stdout
    outputs, ids, _ = describe_stack(aws, NAME)
    lake, _, _ = describe_stack(aws, f"{NAME}-lake")
    assert (outputs["Version"], lake["Version"]) == (VERSION, VERSION)

    headers = {"Host": f"{ids['PushApi']}.execute-api.localhost:{aws.port}"}
    health = requests.get(f"{aws.endpoint}/health", headers=headers, timeout=60, verify=aws.certificate)
    assert health.json() == {"status": "ok", "version": VERSION}
    login = json.loads(aws.client("secretsmanager").get_secret_value(SecretId=outputs["CredentialsSecretArn"])["SecretString"])
    body = json.dumps([json.dumps(READING | {"unixT": time.time_ns() // 1_000_000})])
    response = requests.post(
        f"{aws.endpoint}/push", data=body, headers=headers, auth=(login["username"], login["password"]), timeout=60, verify=aws.certificate
    )
    assert response.json()["alerts"] == 1, response.text

    # The targets that run the command use the one of the package.
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nid = "soap-low"\nbelow = 10\n')
    written = make(environment, config, "rules", f"FILE={rules}", f"PREBUILT={package}")
    assert written.returncode == 0 and "Wrote" in written.stdout, written.stdout
    rules.write_text('[[rule]]\nid = "soap-lo"\nbelow = 10\n')
    refused = make(environment, config, "rules", f"FILE={rules}", f"PREBUILT={package}")
    assert refused.returncode != 0 and "Wrote" not in refused.stdout, refused.stdout

    # Without the package, the same targets name what is missing.
    for target in ("deploy", "install"):
        missing = make(environment, config, target)
        assert missing.returncode != 0 and "Rust is missing: cargo is not installed." in missing.stdout, missing.stdout


def test_damaged_package_is_not_deployed(aws, package, config, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(package, damaged)
    data = bytearray((damaged / "push-function.zip").read_bytes())
    data[len(data) // 2] ^= 1
    (damaged / "push-function.zip").write_bytes(data)
    settings.write(config, f"{NAME}-damaged", "ap-southeast-1", {})
    refused = make(without_rust(aws, tmp_path), config, "deploy", f"PREBUILT={damaged}")
    assert refused.returncode != 0
    assert "push-function.zip is damaged" in refused.stdout and "What to do next: copy the folder of the release again" in refused.stdout
    assert NAME + "-damaged" not in json.dumps(aws.client("cloudformation").list_stacks()["StackSummaries"], default=str)


def test_other_processor_than_that_of_the_package_is_refused(aws, package, config, tmp_path):
    other = {"arm64": "x86_64", "x86_64": "arm64"}[ARCHITECTURE]
    settings.write(config, f"{NAME}-other", "ap-southeast-1", {"Architecture": other})
    refused = make(without_rust(aws, tmp_path), config, "deploy", f"PREBUILT={package}")
    assert refused.returncode != 0 and f"Architecture={other}: use one of {ARCHITECTURE}" in refused.stdout, refused.stdout
