"""Every build uses the pinned versions."""

import re
import tomllib

import pytest
from ops import ROOT

# Cargo commands that resolve dependencies.
RESOLVING = re.compile(r"\bcargo (?:bench|build|check|clippy|doc|run|test|tree)\b")


def unlocked_commands(makefile):
    """The lines of a Makefile that resolve dependencies and can change Cargo.lock."""
    values = dict(re.findall(r"^(\w+) := (.*)$", makefile, re.MULTILINE))
    commands = makefile.replace("\\\n", " ").splitlines()
    commands = [re.sub(r"\$\((\w+)\)", lambda name: values.get(name[1], name[0]), line) for line in commands]
    return [line for line in commands if RESOLVING.search(line.split("#")[0]) and "--locked" not in line]


def test_every_cargo_command_of_the_makefile_is_locked():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert unlocked_commands(makefile) == []
    assert unlocked_commands(makefile.replace("test --quiet $(ALL) --lib", "test --quiet --lib")) != []


def test_every_run_of_the_command_names_its_package():
    """The package at the top level is the receiver: `cargo run` alone finds no program."""
    runs = []
    for path in [ROOT / "Makefile", *ROOT.glob("ops/*.py"), *ROOT.glob("benches/*"), *ROOT.glob("docs/*.md"), ROOT / "README.md"]:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        runs += [(path.name, line) for line in lines if re.search(r'\bcargo run\b|"cargo", "run"', line)]
    assert {name for name, _ in runs} >= {"Makefile"}
    assert [run for run in runs if "smartclean-command" not in run[1]] == []


@pytest.mark.parametrize("path", ["CargoLambda.toml", "src/bin/compact-function/CargoLambda.toml"])
def test_cargo_lambda_builds_functions_locked(path):
    assert tomllib.loads((ROOT / path).read_text(encoding="utf-8"))["build"]["locked"] is True


def test_python_tools_are_installed_by_hash():
    assert "--require-hashes" in (ROOT / ".make/install").read_text(encoding="utf-8")
