"""What the make targets for the deployed stack ask and say, where MiniStack cannot play the other side."""

import importlib.machinery
import importlib.util
import io
import re
import subprocess
import sys

import pytest
from deployed import ROOT

loader = importlib.machinery.SourceFileLoader("stack", str(ROOT / ".make/stack"))
operator = importlib.util.module_from_spec(importlib.util.spec_from_loader("stack", loader))
sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
loader.exec_module(operator)
sys.dont_write_bytecode = before


class FakeStack:
    """A deployed stack as its report sees it."""

    name, region = "smartclean-push", "ap-southeast-1"

    def __init__(self, subscriptions, in_sandbox=True):
        self._subscriptions = [
            {"Protocol": protocol, "Endpoint": endpoint, "SubscriptionArn": arn}
            for protocol, endpoint, arn in subscriptions
        ]
        self._in_sandbox = in_sandbox

    def outputs(self):
        return {
            "AlertTopicArn": "arn:aws:sns:ap-southeast-1:123456789012:alerts",
            "PushUrl": "https://abc.execute-api.ap-southeast-1.amazonaws.com/push",
            "CredentialsCommand": "aws secretsmanager get-secret-value",
        }

    def client(self, service):
        assert service == "sns"
        return self

    def get_paginator(self, operation):
        assert operation == "list_subscriptions_by_topic"
        return self

    def paginate(self, TopicArn):
        return [{"Subscriptions": [subscription]} for subscription in self._subscriptions]

    def get_sms_sandbox_account_status(self):
        return {"IsInSandbox": self._in_sandbox}


CONFIRMED = "arn:aws:sns:ap-southeast-1:123456789012:alerts:1"


def said(capsys, *subscriptions, **options):
    operator.report(FakeStack(subscriptions, **options))
    return capsys.readouterr().out


def test_report_names_the_subscriptions_that_wait(capsys):
    text = said(capsys, ("email", "a@example.com", "PendingConfirmation"), ("email", "b@example.com", CONFIRMED))
    (line_of_a,) = (line for line in text.splitlines() if "a@example.com" in line)
    (line_of_b,) = (line for line in text.splitlines() if "b@example.com" in line)
    assert "WAITS FOR CONFIRMATION" in line_of_a
    assert "WAITS" not in line_of_b and "confirmed" in line_of_b
    assert "Subscription Confirmation" in text


def test_report_explains_nothing_that_is_no_trouble(capsys):
    text = said(capsys, ("email", "b@example.com", CONFIRMED))
    assert "Subscription Confirmation" not in text
    assert "SMS" not in text


def test_report_says_that_nobody_is_told(capsys):
    assert "nobody yet" in said(capsys)


@pytest.mark.parametrize("in_sandbox", [True, False])
@pytest.mark.parametrize("phone, in_singapore", [("+6591234567", True), ("+447700900123", False)])
def test_report_explains_sms(capsys, in_sandbox, phone, in_singapore):
    text = said(capsys, ("sms", phone, CONFIRMED), in_sandbox=in_sandbox)
    assert ("sandbox" in text) is in_sandbox
    assert ("registered sender ID" in text) is in_singapore


def test_answers_of_the_first_deploy_are_kept(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\neu-west-1\nnot an address\ncleaning@example.com\n\n"))
    path = tmp_path / "samconfig.local.toml"
    operator.ask_for_config(path)
    assert operator.read_config(path) == ("smartclean-push", "eu-west-1", {"AlertEmail": "cleaning@example.com"})
    assert "That does not look right: it should be one email address" in capsys.readouterr().out


def test_an_environment_is_a_stack_of_its_own_and_begins_with_its_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\ncleaning@example.com\n\nit@example.com\n"))
    path = tmp_path / "samconfig.prod.local.toml"
    operator.ask_for_config(path, "prod")
    name, _, parameters = operator.read_config(path)
    assert name == "smartclean-push-prod"
    assert parameters.items() >= {"AlertEmail": "cleaning@example.com", "OperationsEmail": "it@example.com"}.items()
    assert parameters["LogRetentionDays"] == "365"
    assert operator.local_config("prod").name == "samconfig.prod.local.toml" != operator.local_config(None).name


def test_every_setting_of_an_environment_is_a_parameter_that_may_be_so():
    known = operator.template_parameters()
    for environment in ("dev", "prod"):
        for name, value in operator.parameters_of(environment).items():
            allowed = [str(each) for each in known[name].get("AllowedValues", [value])]
            assert value in allowed, (environment, name)


def test_an_environment_that_is_none_says_which_there_are():
    with pytest.raises(operator.Stop, match="no environment production; there are: dev, prod"):
        operator.ask_for_config(None, "production")
    done = subprocess.run(
        [sys.executable, ROOT / ".make/stack", "--env", "prod", "report"], capture_output=True, encoding="utf-8"
    )
    assert (done.returncode, "run make deploy ENV=prod." in done.stderr) == (1, True), done.stderr


def test_unanswered_question_keeps_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("smartclean-push\n"))
    path = tmp_path / "samconfig.local.toml"
    with pytest.raises(operator.Stop, match="in a terminal"):
        operator.ask_for_config(path)
    assert not path.exists()


def test_broken_config_says_what_to_do(tmp_path):
    path = tmp_path / "samconfig.local.toml"
    path.write_text("version = 0.1\n")
    with pytest.raises(operator.Stop, match="delete samconfig.local.toml"):
        operator.read_config(path)


@pytest.mark.parametrize("command", ["report", "credentials", "test-alert"])
def test_nothing_deployed_says_what_to_do(tmp_path, command):
    done = subprocess.run(
        [sys.executable, ROOT / ".make/stack", "--config", tmp_path / "none.toml", command],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert "What to do next: run make deploy." in done.stderr
    assert "Traceback" not in done.stderr


def test_rotation_renews_passwords_and_keeps_everything_else():
    short = {"username": "smartclean", "password": "old", "signing_key": "kept"}
    value, renewed = operator.with_new_passwords(short)
    assert renewed == [("smartclean", value["password"])]
    assert len(value["password"]) == 40 and value["password"].isalnum()
    assert value == {"username": "smartclean", "password": value["password"], "signing_key": "kept"}

    def several():
        return {"clients": [{"username": "a", "password": "1"}, {"username": "b", "password": "2"}], "event_hub_keys": {}}

    value, renewed = operator.with_new_passwords(several())
    assert [name for name, _ in renewed] == ["a", "b"] and "event_hub_keys" in value
    value, renewed = operator.with_new_passwords(several(), "b")
    assert value["clients"][0]["password"] == "1" and [name for name, _ in renewed] == ["b"]


def test_rotation_of_what_it_cannot_renew_says_what_to_do():
    hashed = {"clients": [{"username": "a", "password": "$argon2id$v=19$x"}, {"username": "b", "password": "2"}]}
    with pytest.raises(operator.Stop, match="The password of a is kept as a hash"):
        operator.with_new_passwords(hashed)
    operator.with_new_passwords(hashed, "b")
    # A dollar sign alone makes no hash: one in a hundred generated passwords with punctuation begins with it.
    operator.with_new_passwords({"username": "a", "password": "$ecret"})
    code = (ROOT / "src/domain/auth/password.rs").read_text(encoding="utf-8")
    [kinds] = re.findall(r"OTHER_HASHES: \[&str; \d+\] = \[(.*?)\];", code)
    assert operator.HASHES == tuple(kind.strip('"') for kind in kinds.split(", "))
    with pytest.raises(operator.Stop, match="no client c; there are: a, b"):
        operator.with_new_passwords(hashed, "c")


def test_event_hub_key_is_added_to_the_others():
    value, key = operator.with_event_hub_key({"username": "a", "password": "1"}, "send")
    assert value == {"clients": [{"username": "a", "password": "1"}], "event_hub_keys": {"send": key}}
    value, another = operator.with_event_hub_key(value, "more")
    assert value["event_hub_keys"] == {"send": key, "more": another} and key != another


def test_missing_aws_credentials_say_what_to_do(tmp_path):
    path = tmp_path / "samconfig.local.toml"
    operator.write_config(path, "smartclean-push", "ap-southeast-1", {})
    done = subprocess.run(
        [sys.executable, ROOT / ".make/stack", "--config", path, "report"],
        env={"PATH": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    assert "aws configure" in done.stderr
    assert "Traceback" not in done.stderr
