"""Deployed rules: show, list with author, and restore."""

import re

import pytest

FIRST = '[[rule]]\nid = "soap-low"\nbelow = 10\n'
SECOND = '[[rule]]\nid = "soap-low"\nbelow = 20\n'


@pytest.fixture
def deployed(stack):
    """The stack without a rules file, before and after the test."""
    yield stack
    for key in stack.keys("config/"):
        stack.s3.delete_object(Bucket=stack.bucket, Key=key)
    stack.force_cold_start()


def put(stack, folder, name, text):
    (folder / name).write_text(text)
    stack.operator.run("rules", folder / name)


def test_versions_of_the_rules_are_listed_shown_and_restored(deployed, tmp_path):
    run = deployed.operator.run
    assert "built-in rules apply" in run("rules-show")
    put(deployed, tmp_path, "first.toml", FIRST)
    put(deployed, tmp_path, "second.toml", SECOND)
    assert run("rules-show") == SECOND

    newest, older = re.findall(r"^20\d\d-.*$", run("rules-history"), re.MULTILINE)[:2]
    assert "second.toml (current)" in newest and "first.toml" in older and "(current)" not in older
    assert all("arn:aws:iam::000000000000:root" in line for line in (newest, older))
    version = older.split()[2]
    assert run("rules-show", version) == FIRST and run("rules-show") == SECOND

    run("rules-restore", version)
    assert run("rules-show") == FIRST
    lines = re.findall(r"^20\d\d-.*$", run("rules-history"), re.MULTILINE)
    assert f"version {version} (current)" in lines[0] and "second.toml" in lines[1]


def test_unknown_version_changes_nothing(deployed, tmp_path):
    put(deployed, tmp_path, "first.toml", FIRST)
    for arguments in (["rules-restore", "no-such-version"], ["rules-restore"], ["rules-show", "no-such-version"]):
        with pytest.raises(RuntimeError, match="make rules-history"):
            deployed.operator.run(*arguments)
    assert deployed.operator.run("rules-show") == FIRST
