"""The operator's commands, as far as they need no AWS. tests/e2e runs them against a stand-in."""

import io
import json
import re
import subprocess
import sys

import pytest
from ops import ROOT, Stop, answers, credentials, deploy, report, subscriptions

TOPIC = "arn:aws:sns:ap-southeast-1:123456789012:alerts"


def run(*arguments, **options):
    """The command as the Makefile calls it."""
    return subprocess.run([sys.executable, "-m", "ops", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", **options)


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
            "AlertTopicArn": TOPIC,
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


CONFIRMED = f"{TOPIC}:1"


def said(capsys, *subscriptions, **options):
    report.report(FakeStack(subscriptions, **options))
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
    answers.ask(path)
    assert answers.read(path) == ("smartclean-push", "eu-west-1", {"AlertEmail": "cleaning@example.com"})
    assert "That does not look right: it should be one email address" in capsys.readouterr().out


def test_an_environment_is_a_stack_of_its_own_and_begins_with_its_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\ncleaning@example.com\n\nit@example.com\n"))
    path = tmp_path / "samconfig.prod.local.toml"
    answers.ask(path, "prod")
    name, _, parameters = answers.read(path)
    assert name == "smartclean-push-prod"
    assert parameters.items() >= {"AlertEmail": "cleaning@example.com", "OperationsEmail": "it@example.com"}.items()
    assert parameters["LogRetentionDays"] == "365"
    assert answers.path_of("prod").name == "samconfig.prod.local.toml" != answers.path_of(None).name


def test_every_setting_of_an_environment_is_a_parameter_that_may_be_so():
    known = answers.template_parameters()
    for environment in ("dev", "prod"):
        for name, value in answers.values_of(environment).items():
            allowed = [str(each) for each in known[name].get("AllowedValues", [value])]
            assert value in allowed, (environment, name)


def test_an_environment_that_is_none_says_which_there_are():
    with pytest.raises(Stop, match="no environment production; there are: dev, prod"):
        answers.ask(None, "production")
    done = run("--env", "prod", "report")
    assert (done.returncode, "run make deploy ENV=prod." in done.stderr) == (1, True), done.stderr


def test_unanswered_question_keeps_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("smartclean-push\n"))
    path = tmp_path / "samconfig.local.toml"
    with pytest.raises(Stop, match="in a terminal"):
        answers.ask(path)
    assert not path.exists()


def test_broken_config_says_what_to_do(tmp_path):
    path = tmp_path / "samconfig.local.toml"
    path.write_text("version = 0.1\n")
    with pytest.raises(Stop, match="delete samconfig.local.toml"):
        answers.read(path)


@pytest.mark.parametrize("command", ["report", "credentials", "test-alert"])
def test_nothing_deployed_says_what_to_do(tmp_path, command):
    done = run("--config", tmp_path / "none.toml", command)
    assert done.returncode == 1
    assert "What to do next: run make deploy." in done.stderr
    assert "Traceback" not in done.stderr


def test_rotation_renews_passwords_and_keeps_everything_else():
    short = {"username": "smartclean", "password": "old", "signing_key": "kept"}
    value, renewed = credentials.with_new_passwords(short)
    assert renewed == [("smartclean", value["password"])]
    assert len(value["password"]) == 40 and value["password"].isalnum()
    assert value == {"username": "smartclean", "password": value["password"], "signing_key": "kept"}

    def several():
        return {"clients": [{"username": "a", "password": "1"}, {"username": "b", "password": "2"}], "event_hub_keys": {}}

    value, renewed = credentials.with_new_passwords(several())
    assert [name for name, _ in renewed] == ["a", "b"] and "event_hub_keys" in value
    value, renewed = credentials.with_new_passwords(several(), "b")
    assert value["clients"][0]["password"] == "1" and [name for name, _ in renewed] == ["b"]


def test_rotation_of_what_it_cannot_renew_says_what_to_do():
    hashed = {"clients": [{"username": "a", "password": "$argon2id$v=19$x"}, {"username": "b", "password": "2"}]}
    with pytest.raises(Stop, match="The password of a is a hash"):
        credentials.with_new_passwords(hashed)
    credentials.with_new_passwords(hashed, "b")
    # A dollar sign alone makes no hash: one in a hundred generated passwords with punctuation begins with it.
    credentials.with_new_passwords({"username": "a", "password": "$ecret"})
    cases = json.loads((ROOT / "tests/data/password-hashes.json").read_text(encoding="utf-8"))
    assert [text for text in cases["hashes"] if not credentials.HASH.match(text)] == []
    assert [text for text in cases["passwords"] if credentials.HASH.match(text)] == []
    with pytest.raises(Stop, match="no client c; there are: a, b"):
        credentials.with_new_passwords(hashed, "c")


def test_event_hub_key_is_added_to_the_others():
    value, key = credentials.with_event_hub_key({"username": "a", "password": "1"}, "send")
    assert value == {"clients": [{"username": "a", "password": "1"}], "event_hub_keys": {"send": key}}
    value, another = credentials.with_event_hub_key(value, "more")
    assert value["event_hub_keys"] == {"send": key, "more": another} and key != another


def test_missing_aws_credentials_say_what_to_do(tmp_path):
    path = tmp_path / "samconfig.local.toml"
    answers.write(path, "smartclean-push", "ap-southeast-1", {})
    done = run("--config", path, "report", env={"PATH": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)})
    assert done.returncode == 1
    assert "aws configure" in done.stderr
    assert "Traceback" not in done.stderr


class FakeSns:
    """SNS as far as subscriptions go: what is listed, and what was asked for."""

    def __init__(self, *subscriptions):
        self._listed = [
            {"Protocol": protocol, "Endpoint": endpoint, "SubscriptionArn": arn} for protocol, endpoint, arn in subscriptions
        ]
        self.asked = []

    def outputs(self):
        return {"AlertTopicArn": TOPIC, "OperationsTopicArn": f"{TOPIC}-operations"}

    def client(self, service):
        assert service == "sns"
        return self

    def get_paginator(self, operation):
        assert operation == "list_subscriptions_by_topic"
        return self

    def paginate(self, TopicArn):
        return [{"Subscriptions": self._listed}]

    def __getattr__(self, call):
        return lambda **arguments: self.asked.append((call, arguments))


def address(kind, endpoint):
    return subscriptions.Address(kind, endpoint)


@pytest.mark.parametrize(
    "kind, endpoint, protocol, channel",
    [
        ("email", "day@example.com", "email", ["email"]),
        ("phone", "+6591234567", "sms", ["sms"]),
        ("https", "https://example.com/hook?key=1", "https", None),
    ],
)
def test_subscription_gets_the_messages_of_its_channel(kind, endpoint, protocol, channel):
    sns = FakeSns()
    subscriptions.subscribe(sns, address(kind, endpoint), {})
    ((call, asked),) = sns.asked
    assert (call, asked["TopicArn"], asked["Protocol"], asked["Endpoint"]) == ("subscribe", TOPIC, protocol, endpoint)
    filter_policy = asked["Attributes"].get("FilterPolicy")
    assert (filter_policy and json.loads(filter_policy)) == (channel and {"channel": channel})


@pytest.mark.parametrize(
    "kind, endpoint",
    [("email", "nobody"), ("email", ""), ("phone", "91234567"), ("phone", ""), ("https", "http://example.com/"), ("https", "https://")],
)
def test_address_that_cannot_be_reached_is_not_subscribed(kind, endpoint):
    sns = FakeSns()
    with pytest.raises(Stop, match="is not an address"):
        subscriptions.subscribe(sns, address(kind, endpoint), {})
    assert sns.asked == []


def test_confirmed_address_is_not_subscribed_again_and_a_pending_one_is(capsys):
    sns = FakeSns(("email", "a@example.com", f"{TOPIC}:1"), ("email", "b@example.com", "PendingConfirmation"))
    subscriptions.subscribe(sns, address("email", "a@example.com"), {})
    assert sns.asked == [] and "already" in capsys.readouterr().out
    subscriptions.subscribe(sns, address("email", "b@example.com"), {})
    assert [call for call, _ in sns.asked] == ["subscribe"]


def test_subscription_that_was_ended_is_made_again_while_sns_still_lists_it():
    sns = FakeSns(("email", "a@example.com", "Deleted"))
    subscriptions.subscribe(sns, address("email", "a@example.com"), {})
    assert [call for call, _ in sns.asked] == ["subscribe"]
    with pytest.raises(Stop, match="subscribed: nobody"):
        subscriptions.unsubscribe(FakeSns(("email", "a@example.com", "Deleted")), address("email", "a@example.com"), {})


def test_only_the_address_named_is_unsubscribed():
    sns = FakeSns(("email", "a@example.com", f"{TOPIC}:1"), ("email", "b@example.com", f"{TOPIC}:2"))
    subscriptions.unsubscribe(sns, address("email", "b@example.com"), {})
    assert sns.asked == [("unsubscribe", {"SubscriptionArn": f"{TOPIC}:2"})]


def test_address_that_is_not_subscribed_or_not_ours_to_end_says_what_to_do(capsys):
    sns = FakeSns(("email", "a@example.com", f"{TOPIC}:1"), ("email", "b@example.com", "PendingConfirmation"))
    with pytest.raises(Stop, match="c@example.com is not subscribed; subscribed: a@example.com, b@example.com"):
        subscriptions.unsubscribe(sns, address("email", "c@example.com"), {})
    with pytest.raises(Stop, match="remove AlertEmail=a@example.com"):
        subscriptions.unsubscribe(sns, address("email", "a@example.com"), {"AlertEmail": "a@example.com"})
    subscriptions.unsubscribe(sns, address("email", "b@example.com"), {})
    assert sns.asked == [] and "never confirmed" in capsys.readouterr().out


def test_confirmed_subscription_can_be_ended_by_the_operator_only():
    sns = FakeSns()
    link = f"https://sns.ap-southeast-1.amazonaws.com/confirmation.html?TopicArn={TOPIC}&Token=0123&Endpoint=a@example.com"
    subscriptions.confirm(sns, link)
    asked = {"TopicArn": TOPIC, "Token": "0123", "AuthenticateOnUnsubscribe": "true"}
    assert sns.asked == [("confirm_subscription", asked)]


@pytest.mark.parametrize("link", ["", "https://example.com/", f"https://sns/?TopicArn={TOPIC}", f"https://sns/?Token=1&TopicArn={TOPIC}-other"])
def test_link_that_confirms_nothing_here_is_refused(link):
    sns = FakeSns()
    with pytest.raises(Stop, match="not the link of a subscription"):
        subscriptions.confirm(sns, link)
    assert sns.asked == []


def test_parameter_that_no_template_has_is_named_before_anything_is_deployed():
    with pytest.raises(Stop, match="no parameter AlertEmail2 in"):
        deploy.main(None, None, {"AlertEmail2": "b@example.com", "AlertEmail": "a@example.com"})


def test_every_parameter_is_deployed_with_a_value():
    known = answers.template_parameters()
    values = answers.every_value(known, {"AlertEmail": "a@example.com"})
    assert values.keys() == known.keys()
    assert (values["AlertEmail"], values["AlertPhone"], values["Alarms"], values["QuietMinutes"]) == ("a@example.com", "", "yes", "720")


@pytest.mark.parametrize("command", ["subscribe", "unsubscribe"])
def test_address_that_is_missing_is_asked_for_as_make_takes_it(tmp_path, command):
    config = tmp_path / "samconfig.local.toml"
    config.write_text('[default.global.parameters]\nstack_name = "a"\nregion = "eu-west-1"\nparameter_overrides = []\n')
    done = run("--config", config, command)
    assert done.returncode == 1 and f"make {command} EMAIL=you@example.com" in done.stderr, done.stderr


def test_every_target_that_runs_the_command_builds_it_first_and_shows_that():
    """A build takes minutes, in which nothing is to be seen otherwise."""
    for target in ("run", "check-rules FILE=r.toml", "rules FILE=r.toml", "schema", "test-alert"):
        planned = subprocess.run(["make", "--dry-run", *target.split()], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert "\ncargo build --locked --bin smartclean-push\n" in planned, planned


def test_help_names_every_command():
    assert {"deploy", "lake", "subscribe", "confirm"} <= set(re.findall(r"^    ([a-z-]+)", run("--help").stdout, re.MULTILINE))
