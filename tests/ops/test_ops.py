"""The commands of the operator, as far as they need no AWS. tests/e2e runs them against MiniStack."""

import io
import json
import re
import subprocess
import sys

import pytest
from ops import ROOT, CommandError, credentials, deploy, report, settings, state, subscriptions
from ops.__main__ import parser
from ops.rules import ACCEPTED, KEY

TOPIC = "arn:aws:sns:ap-southeast-1:123456789012:alerts"


def run(*arguments, **options):
    """Runs a command as the Makefile does."""
    return subprocess.run([sys.executable, "-m", "ops", *arguments], cwd=ROOT, capture_output=True, encoding="utf-8", **options)


class FakeStack:
    """A deployed stack with the given subscriptions."""

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
            "BoardUrl": "https://abc.execute-api.ap-southeast-1.amazonaws.com/board",
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

    def get_subscription_attributes(self, SubscriptionArn):
        policy = {"to": ["day", "night", {"exists": False}]} if SubscriptionArn.endswith(":of-teams") else {"channel": ["email"]}
        return {"Attributes": {"FilterPolicy": json.dumps(policy)}}


CONFIRMED = f"{TOPIC}:1"


def report_text(capsys, *subscriptions, **options):
    report.report(FakeStack(subscriptions, **options))
    return capsys.readouterr().out


def test_report_lists_unconfirmed_subscriptions(capsys):
    text = report_text(capsys, ("email", "a@example.com", "PendingConfirmation"), ("email", "b@example.com", CONFIRMED))
    (line_of_a,) = (line for line in text.splitlines() if "a@example.com" in line)
    (line_of_b,) = (line for line in text.splitlines() if "b@example.com" in line)
    assert "NOT CONFIRMED" in line_of_a
    assert "NOT" not in line_of_b and "confirmed" in line_of_b
    assert "Subscription Confirmation" in text


def test_report_lists_the_audiences_of_each_subscription(capsys):
    text = report_text(capsys, ("email", "a@example.com", f"{TOPIC}:of-teams"), ("email", "b@example.com", CONFIRMED))
    (line_of_a,) = (line for line in text.splitlines() if "a@example.com" in line)
    (line_of_b,) = (line for line in text.splitlines() if "b@example.com" in line)
    assert line_of_a.endswith("confirmed, for day, night") and line_of_b.endswith("confirmed")


def test_report_does_not_explain_problems_that_do_not_exist(capsys):
    text = report_text(capsys, ("email", "b@example.com", CONFIRMED))
    assert "Subscription Confirmation" not in text
    assert "SMS" not in text


def test_report_names_the_board_and_how_to_invite_phones(capsys):
    text = report_text(capsys)
    assert "https://abc.execute-api.ap-southeast-1.amazonaws.com/board" in text and "make invite" in text


def test_report_without_subscriptions_names_the_command_to_subscribe(capsys):
    assert "nobody: run make subscribe" in report_text(capsys)


@pytest.mark.parametrize("in_sandbox", [True, False])
@pytest.mark.parametrize("phone, in_singapore", [("+6591234567", True), ("+447700900123", False)])
def test_report_explains_sms(capsys, in_sandbox, phone, in_singapore):
    text = report_text(capsys, ("sms", phone, CONFIRMED), in_sandbox=in_sandbox)
    assert ("sandbox" in text) is in_sandbox
    assert ("registered sender ID" in text) is in_singapore


def test_settings_of_the_first_deploy_are_saved(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\neu-west-1\nnot an address\ncleaning@example.com\n\n"))
    path = tmp_path / "samconfig.local.toml"
    settings.prompt(path)
    assert settings.read(path) == ("smartclean-push", "eu-west-1", {"AlertEmail": "cleaning@example.com"})
    assert "'not an address' is not valid. Enter one email address" in capsys.readouterr().out


def test_environment_has_its_own_stack_and_starts_with_its_initial_values(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n\ncleaning@example.com\n\nit@example.com\n"))
    path = tmp_path / "samconfig.prod.local.toml"
    settings.prompt(path, "prod")
    name, _, parameters = settings.read(path)
    assert name == "smartclean-push-prod"
    assert parameters.items() >= {"AlertEmail": "cleaning@example.com", "OperationsEmail": "it@example.com"}.items()
    assert parameters["LogRetentionDays"] == "365"
    assert settings.path_for("prod").name == "samconfig.prod.local.toml" != settings.path_for(None).name


def test_initial_values_of_environments_are_valid_parameters():
    known = settings.template_parameters()
    for environment in ("dev", "prod"):
        for name, value in settings.initial_values(environment).items():
            allowed = [str(each) for each in known[name].get("AllowedValues", [value])]
            assert value in allowed, (environment, name)


def test_unknown_environment_is_refused_with_the_list_of_known_ones():
    with pytest.raises(CommandError, match="no environment production. Its environments: dev, prod"):
        settings.prompt(None, "production")
    done = run("--env", "prod", "report")
    assert (done.returncode, "run make deploy ENV=prod." in done.stderr) == (1, True), done.stderr


def test_interrupted_first_deploy_saves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("smartclean-push\n"))
    path = tmp_path / "samconfig.local.toml"
    with pytest.raises(CommandError, match="there is no terminal"):
        settings.prompt(path)
    assert not path.exists()


def test_invalid_settings_file_is_refused_with_a_remedy(tmp_path):
    path = tmp_path / "samconfig.local.toml"
    path.write_text("version = 0.1\n")
    with pytest.raises(CommandError, match="delete samconfig.local.toml"):
        settings.read(path)


@pytest.mark.parametrize("command", ["report", "credentials", "test-alert"])
def test_command_without_a_deployed_stack_is_refused_with_a_remedy(tmp_path, command):
    done = run("--config", tmp_path / "none.toml", command)
    assert done.returncode == 1
    assert "What to do next: run make deploy." in done.stderr
    assert "Traceback" not in done.stderr


def test_rotation_changes_passwords_and_nothing_else():
    short = {"username": "smartclean", "password": "old", "signing_key": "unchanged"}
    value, changed = credentials.with_new_passwords(short)
    assert changed == [("smartclean", value["password"])]
    assert len(value["password"]) == 40 and value["password"].isalnum()
    assert value == {"username": "smartclean", "password": value["password"], "signing_key": "unchanged"}

    def several():
        return {"clients": [{"username": "a", "password": "1"}, {"username": "b", "password": "2"}], "event_hub_keys": {}}

    value, changed = credentials.with_new_passwords(several())
    assert [name for name, _ in changed] == ["a", "b"] and "event_hub_keys" in value
    value, changed = credentials.with_new_passwords(several(), "b")
    assert value["clients"][0]["password"] == "1" and [name for name, _ in changed] == ["b"]


def test_rotation_of_a_hash_or_an_unknown_client_is_refused_with_a_remedy():
    hashed = {"clients": [{"username": "a", "password": "$argon2id$v=19$x"}, {"username": "b", "password": "2"}]}
    with pytest.raises(CommandError, match="The password of a is a hash"):
        credentials.with_new_passwords(hashed)
    credentials.with_new_passwords(hashed, "b")
    # One in a hundred generated passwords with punctuation starts with a dollar sign.
    credentials.with_new_passwords({"username": "a", "password": "$ecret"})
    cases = json.loads((ROOT / "tests/data/password-hashes.json").read_text(encoding="utf-8"))
    assert [text for text in cases["hashes"] if not credentials.HASH.match(text)] == []
    assert [text for text in cases["passwords"] if credentials.HASH.match(text)] == []
    with pytest.raises(CommandError, match="no client c. The clients: a, b"):
        credentials.with_new_passwords(hashed, "c")


def test_event_hub_key_is_added_to_the_existing_ones():
    value, key = credentials.with_event_hub_key({"username": "a", "password": "1"}, "send")
    assert value == {"clients": [{"username": "a", "password": "1"}], "event_hub_keys": {"send": key}}
    value, another = credentials.with_event_hub_key(value, "more")
    assert value["event_hub_keys"] == {"send": key, "more": another} and key != another


def test_missing_aws_credentials_are_reported_with_a_remedy(tmp_path):
    path = tmp_path / "samconfig.local.toml"
    settings.write(path, "smartclean-push", "ap-southeast-1", {})
    done = run("--config", path, "report", env={"PATH": "/nowhere", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)})
    assert done.returncode == 1
    assert "aws configure" in done.stderr
    assert "Traceback" not in done.stderr


class FakeSns:
    """SNS with the given subscriptions. It records calls."""

    def __init__(self, *subscriptions, policies=None, rules="", newest_rules=None):
        self._policies = policies or {}
        self._rules = {ACCEPTED: rules, KEY: rules if newest_rules is None else newest_rules}
        self._listed = [
            {"Protocol": protocol, "Endpoint": endpoint, "SubscriptionArn": arn} for protocol, endpoint, arn in subscriptions
        ]
        self.calls = []

    def outputs(self):
        return {"AlertTopicArn": TOPIC, "OperationsTopicArn": f"{TOPIC}-operations", "RawBucketName": "raw"}

    def client(self, service):
        return self

    def get_object(self, Bucket, Key):
        return {"Body": io.BytesIO(self._rules[Key].encode())}

    def get_subscription_attributes(self, SubscriptionArn):
        return {"Attributes": self._policies.get(SubscriptionArn, {})}

    def get_paginator(self, operation):
        assert operation == "list_subscriptions_by_topic"
        return self

    def paginate(self, TopicArn):
        return [{"Subscriptions": self._listed}]

    def __getattr__(self, call):
        return lambda **arguments: self.calls.append((call, arguments))


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
def test_subscription_filters_the_messages_of_its_channel(kind, endpoint, protocol, channel):
    sns = FakeSns()
    subscriptions.subscribe(sns, address(kind, endpoint), {})
    ((call, arguments),) = sns.calls
    assert (call, arguments["TopicArn"], arguments["Protocol"], arguments["Endpoint"]) == ("subscribe", TOPIC, protocol, endpoint)
    filter_policy = arguments["Attributes"].get("FilterPolicy")
    assert (filter_policy and json.loads(filter_policy)) == (channel and {"channel": channel})


RULES = '[[audience]]\nid = "day"\n[[audience]]\nid = "night"\n'


@pytest.mark.parametrize("kind, endpoint, channel", [("email", "a@example.com", ["email"]), ("https", "https://example.com/", None)])
def test_address_of_an_audience_gets_its_messages_and_those_for_everybody(kind, endpoint, channel):
    sns = FakeSns(rules=RULES)
    subscriptions.subscribe(sns, address(kind, endpoint), {}, "day")
    ((call, arguments),) = sns.calls
    expected = {"to": ["day", {"exists": False}]} | ({"channel": channel} if channel else {})
    assert (call, json.loads(arguments["Attributes"]["FilterPolicy"])) == ("subscribe", expected)


def test_unknown_audience_is_refused_with_the_nearest_one():
    for rules, audience, hint in [
        (RULES, "nigth", "did you mean night?"), (RULES, "x", "the rules have day, night."), ("", "day", "no \\[\\[audience]]; run make rules"),
    ]:  # fmt: skip
        sns = FakeSns(rules=rules)
        with pytest.raises(CommandError, match=f"no audience '{audience}'") as refused:
            subscriptions.subscribe(sns, address("email", "a@example.com"), {}, audience)
        assert re.search(hint, str(refused.value)) and sns.calls == []


def test_audience_of_rules_that_are_not_in_force_yet_is_refused_until_they_are():
    sns = FakeSns(rules="", newest_rules=RULES)
    with pytest.raises(CommandError, match="does not use the newest rules yet") as refused:
        subscriptions.subscribe(sns, address("email", "a@example.com"), {}, "day")
    assert sns.calls == [] and "wait a minute" in str(refused.value)


def test_address_can_have_several_audiences_and_one_that_gets_everything_is_not_restricted(capsys):
    policy = {"FilterPolicy": json.dumps({"channel": ["email"], "to": ["day", {"exists": False}]})}
    sns = FakeSns(("email", "a@example.com", f"{TOPIC}:1"), ("email", "b@example.com", f"{TOPIC}:2"), policies={f"{TOPIC}:1": policy}, rules=RULES)
    subscriptions.subscribe(sns, address("email", "a@example.com"), {}, "day")
    subscriptions.subscribe(sns, address("email", "b@example.com"), {}, "day")
    assert sns.calls == [] and "the messages of every audience" in capsys.readouterr().out
    subscriptions.subscribe(sns, address("email", "a@example.com"), {}, "night")
    ((call, arguments),) = sns.calls
    assert (call, arguments["SubscriptionArn"]) == ("set_subscription_attributes", f"{TOPIC}:1")
    assert json.loads(arguments["AttributeValue"]) == {"channel": ["email"], "to": ["day", "night", {"exists": False}]}


@pytest.mark.parametrize(
    "kind, endpoint",
    [("email", "nobody"), ("email", ""), ("phone", "91234567"), ("phone", ""), ("https", "http://example.com/"), ("https", "https://")],
)
def test_invalid_address_is_not_subscribed(kind, endpoint):
    sns = FakeSns()
    with pytest.raises(CommandError, match="is not a valid address"):
        subscriptions.subscribe(sns, address(kind, endpoint), {})
    assert sns.calls == []


def test_unconfirmed_address_is_subscribed_again_and_a_confirmed_one_is_not(capsys):
    sns = FakeSns(("email", "a@example.com", f"{TOPIC}:1"), ("email", "b@example.com", "PendingConfirmation"))
    subscriptions.subscribe(sns, address("email", "a@example.com"), {})
    assert sns.calls == [] and "already" in capsys.readouterr().out
    subscriptions.subscribe(sns, address("email", "b@example.com"), {})
    assert [call for call, _ in sns.calls] == ["subscribe"]


def test_ended_subscription_is_added_again_while_sns_still_lists_it():
    sns = FakeSns(("email", "a@example.com", "Deleted"))
    subscriptions.subscribe(sns, address("email", "a@example.com"), {})
    assert [call for call, _ in sns.calls] == ["subscribe"]
    with pytest.raises(CommandError, match="Subscribed addresses: none"):
        subscriptions.unsubscribe(FakeSns(("email", "a@example.com", "Deleted")), address("email", "a@example.com"), {})


def test_only_the_given_address_is_unsubscribed():
    sns = FakeSns(("email", "a@example.com", f"{TOPIC}:1"), ("email", "b@example.com", f"{TOPIC}:2"))
    subscriptions.unsubscribe(sns, address("email", "b@example.com"), {})
    assert sns.calls == [("unsubscribe", {"SubscriptionArn": f"{TOPIC}:2"})]


def test_address_that_cannot_be_unsubscribed_is_refused_with_a_remedy(capsys):
    sns = FakeSns(("email", "a@example.com", f"{TOPIC}:1"), ("email", "b@example.com", "PendingConfirmation"))
    with pytest.raises(CommandError, match="c@example.com is not subscribed. Subscribed addresses: a@example.com, b@example.com"):
        subscriptions.unsubscribe(sns, address("email", "c@example.com"), {})
    with pytest.raises(CommandError, match="remove AlertEmail=a@example.com"):
        subscriptions.unsubscribe(sns, address("email", "a@example.com"), {"AlertEmail": "a@example.com"})
    subscriptions.unsubscribe(sns, address("email", "b@example.com"), {})
    assert sns.calls == [] and "never confirmed" in capsys.readouterr().out


def test_ending_a_confirmed_subscription_requires_aws_credentials():
    sns = FakeSns()
    link = f"https://sns.ap-southeast-1.amazonaws.com/confirmation.html?TopicArn={TOPIC}&Token=0123&Endpoint=a@example.com"
    subscriptions.confirm(sns, link)
    arguments = {"TopicArn": TOPIC, "Token": "0123", "AuthenticateOnUnsubscribe": "true"}
    assert sns.calls == [("confirm_subscription", arguments)]


@pytest.mark.parametrize("link", ["", "https://example.com/", f"https://sns/?TopicArn={TOPIC}", f"https://sns/?Token=1&TopicArn={TOPIC}-other"])
def test_link_of_another_topic_or_without_a_token_is_refused(link):
    sns = FakeSns()
    with pytest.raises(CommandError, match="does not confirm a subscription"):
        subscriptions.confirm(sns, link)
    assert sns.calls == []


@pytest.mark.parametrize(
    "parameters, topic", [({"Alarms": "no"}, ""), ({"Alarms": "yes"}, f"{TOPIC}-operations"), ({}, f"{TOPIC}-operations")]
)
def test_lake_has_its_alarm_unless_alarms_are_off(monkeypatch, parameters, topic):
    class MainStack:
        name, region = "smartclean-push", "ap-southeast-1"

        def outputs(self):
            return {"OperationsTopicArn": f"{TOPIC}-operations", "RawBucketName": "raw"}

    class LakeStack:
        def __init__(self, name, region):
            assert name == "smartclean-push-lake"

        def outputs(self):
            return {"LakeWorkGroup": "w", "LakeDatabase": "d"}

    deployed = []
    monkeypatch.setattr(deploy, "Stack", LakeStack)
    monkeypatch.setattr(deploy, "_sam_deploy", lambda stack, template, values: deployed.append(values))
    deploy.lake(MainStack(), "lake.yaml", parameters)
    assert [(values["OperationsTopicArn"], values["RawBucket"]) for values in deployed] == [(topic, "raw")]


def test_unknown_parameter_is_refused_before_the_deploy():
    with pytest.raises(CommandError, match="have no parameter AlertEmail2"):
        deploy.main(None, None, {"AlertEmail2": "b@example.com", "AlertEmail": "a@example.com"})


def test_every_parameter_is_deployed_with_a_value():
    known = settings.template_parameters()
    values = settings.with_defaults(known, {"AlertEmail": "a@example.com"})
    assert values.keys() == known.keys()
    assert (values["AlertEmail"], values["AlertPhone"], values["Alarms"], values["QuietMinutes"]) == ("a@example.com", "", "yes", "720")


@pytest.mark.parametrize("command", ["subscribe", "unsubscribe"])
def test_missing_address_is_refused_with_the_make_command(tmp_path, command):
    config = tmp_path / "samconfig.local.toml"
    config.write_text('[default.global.parameters]\nstack_name = "a"\nregion = "eu-west-1"\nparameter_overrides = []\n')
    done = run("--config", config, command)
    assert done.returncode == 1 and f"make {command} EMAIL=you@example.com" in done.stderr, done.stderr


def test_zones_of_the_stack_are_listed_from_its_bucket(monkeypatch):
    commands = []

    def completed(command, env, check):
        commands.append((command, env["AWS_REGION"], check))
        return subprocess.CompletedProcess(command, 1)

    class WithBucket(FakeStack):
        def outputs(self):
            return {"RawBucketName": "readings"}

    monkeypatch.setattr(state.subprocess, "run", completed)
    assert state.zones(WithBucket([]), "smartclean-push") == 1, "the exit code is that of the command"
    state.zones(WithBucket([]), "smartclean-push", since="2026-11-01", toml=True)
    listing = ["smartclean-push", "zones", "--from", "s3://readings"]
    region = FakeStack.region
    assert commands == [(listing, region, False), ([*listing, "--since", "2026-11-01", "--toml"], region, False)]


def test_invitations_are_in_the_table_of_the_stack_and_name_its_url(monkeypatch):
    commands = []

    def completed(command, env, check):
        commands.append((command, env["AWS_REGION"], check))
        return subprocess.CompletedProcess(command, 2)

    class WithTable(FakeStack):
        def resource(self, name):
            return {"StateTable": "states"}[name]

    monkeypatch.setattr(state.subprocess, "run", completed)

    def invite(public_url, *options):
        given = parser().parse_args(["invite", "--program", "smartclean-push", *options])
        assert state.invite(WithTable([]), given, public_url) == 2, "the exit code is that of the command"
        ((program, *command), *rest) = commands.pop()
        assert (str(program), rest) == ("smartclean-push", [FakeStack.region, False])
        return command

    on_table = ["invite", "--state", "dynamodb://states"]
    team = ["--team=Night shift", "--role=respond", "--days=7"]
    assert invite(None, *team) == [*on_table, *team, "--url=https://abc.execute-api.ap-southeast-1.amazonaws.com"]
    assert invite("https://push.example.com", *team[:2]) == [*on_table, *team[:2], "--url=https://push.example.com"]
    assert invite(None, "--list") == [*on_table, "--list"]
    assert invite(None, "--revoke=1f2e3d4c") == [*on_table, "--revoke=1f2e3d4c"]


def test_targets_that_run_the_command_show_its_build():
    """The build takes minutes, and `cargo run --quiet` shows nothing."""
    for target in ("run", "check-rules FILE=r.toml", "rules FILE=r.toml", "test-alert"):
        planned = subprocess.run(["make", "--dry-run", *target.split()], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert "\ncargo build --locked -p smartclean-command\n" in planned, planned


def test_help_lists_commands():
    assert {"deploy", "lake", "subscribe", "confirm"} <= set(re.findall(r"^    ([a-z-]+)", run("--help").stdout, re.MULTILINE))
