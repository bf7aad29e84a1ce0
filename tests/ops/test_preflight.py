"""Problems that would make a deploy fail are reported before the build."""

import io
import subprocess
import sys

import botocore.exceptions
import pytest
from ops import ROOT, CommandError, __main__, preflight, settings

ACCESS_DENIED = botocore.exceptions.ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetAccountSettings")


class FakeStack:
    """A stack with a status, and the limits of its account."""

    name, region = "smartclean-push", "ap-southeast-1"

    def __init__(self, status=None, concurrency=1000, in_sandbox=False, sums=None):
        self._status, self._concurrency, self._in_sandbox, self.removed = status, concurrency, in_sandbox, False
        self._sums = {} if sums is None else sums

    def account(self):
        return "123456789012"

    def status(self):
        return self._status

    def remove(self):
        self.removed, self._status = True, None

    def client(self, service):
        return self

    def get_account_settings(self):
        if self._concurrency is None:
            raise ACCESS_DENIED
        return {"AccountLimit": {"ConcurrentExecutions": self._concurrency}}

    def get_sms_sandbox_account_status(self):
        return {"IsInSandbox": self._in_sandbox}

    def get_metric_statistics(self, *, Namespace, MetricName, StartTime, EndTime, Period, Statistics):
        if self._sums == "denied":
            raise ACCESS_DENIED
        assert (Namespace, (EndTime - StartTime).days, Statistics) == (self.name, 7, ["Sum"])
        return {"Datapoints": [{"Sum": value} for value in self._sums.get(MetricName, [])]}


def type_in(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("status", [None, "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_working_or_missing_stack_can_be_deployed(status):
    preflight.check(FakeStack(status), {})


@pytest.mark.parametrize("status", sorted(preflight.NEVER_CREATED))
def test_stack_whose_first_deploy_failed_is_removed_after_confirmation(monkeypatch, status):
    for answer, is_removed in [("y\n", True), ("\n", False), ("n\n", False), ("", False)]:
        stack = FakeStack(status)
        type_in(monkeypatch, answer)
        if is_removed:
            preflight.check(stack, {})
        else:
            with pytest.raises(CommandError, match="was not removed"):
                preflight.check(stack, {})
        assert stack.removed is is_removed


@pytest.mark.parametrize(
    "status, remedy",
    [("UPDATE_IN_PROGRESS", "wait some minutes"), ("DELETE_IN_PROGRESS", "wait"), ("UPDATE_ROLLBACK_FAILED", "Continue update rollback")],
)
def test_stack_that_accepts_no_deploy_is_reported_with_a_remedy(status, remedy):
    with pytest.raises(CommandError, match=remedy):
        preflight.check(FakeStack(status), {})


@pytest.mark.parametrize("name, is_valid", [("smartclean-push", True), ("s3", True), ("Smartclean", False), ("3s", False), ("a_b", False)])
def test_stack_name_must_be_valid_for_bucket_and_database(name, is_valid):
    if is_valid:
        preflight.check_name(name)
    else:
        with pytest.raises(CommandError, match="lower-case letters"):
            preflight.check_name(name)


def test_unknown_region_is_noted_and_accepted(capsys):
    preflight.check_region("ap-southeast-1")
    assert capsys.readouterr().out == ""
    stack = FakeStack()
    stack.region = "ap-south-east-1"
    preflight.check(stack, {})
    output = capsys.readouterr().out
    assert "Note: region ap-south-east-1 is unknown here" in output and " ap-southeast-1," in output


@pytest.mark.parametrize("url, is_valid", [("https://hc-ping.com/a-1", True), ("https://x/?a=b&c=%20", True), ("https://x/<id>", False), ("https://x/{id}", False), ("http://x", False)])
def test_heartbeat_is_a_valid_https_url(url, is_valid):
    if is_valid:
        preflight.check_parameters({"HeartbeatUrl": url})
    else:
        with pytest.raises(CommandError, match="a URL that starts with https://"):
            preflight.check_parameters({"HeartbeatUrl": url})


@pytest.mark.parametrize(
    "given, message",
    [
        ({"AlertEmail": "nobody"}, "AlertEmail=nobody: use one email address"),
        ({"AlertPhone": "91234567"}, "AlertPhone=91234567: use one number"),
        ({"QuietMinutes": "1"}, "QuietMinutes=1: use a number from 5 to 1440"),
        ({"QuietMinutes": "an hour"}, "QuietMinutes=an hour"),
        ({"Alarms": "maybe"}, "Alarms=maybe: use one of yes, no"),
        ({"IotTopic": "a" * 257}, "IotTopic="),
        ({"AuthMethods": "iot"}, "AuthMethods=iot requires IotTopic or OAuthIssuer"),
        ({"OAuthIssuer": "https://issuer.example.com"}, "OAuthIssuer requires OAuthAudience"),
        ({"DomainName": "push.example.com"}, "DomainName requires DomainCertificateArn"),
        ({"AlertEmail2": "b@example.com"}, "template.yaml and lake.yaml have no parameter AlertEmail2"),
    ],
)
def test_invalid_parameter_is_refused_with_the_expected_value(given, message):
    with pytest.raises(CommandError) as error:
        preflight.check_parameters(given)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"AlertEmail": "a@example.com", "AlertPhone": "+6591234567", "QuietMinutes": "5", "ReservedConcurrency": "-1"},
        {"AuthMethods": "iot", "IotTopic": "smartclean/push"},
        {"OAuthIssuer": "https://issuer.example.com", "OAuthAudience": "push"},
        {"LakeScanLimitGb": "30"},
    ],
)
def test_valid_parameters_are_accepted(given):
    preflight.check_parameters(given)


def test_every_default_is_valid():
    for template in settings.TEMPLATES:
        known = settings.template_parameters(template)
        preflight.check_parameters({name: str(each["Default"]) for name, each in known.items() if "Default" in each}, template)


@pytest.mark.parametrize("concurrency, is_noted", [(10, True), (1000, False), (None, False)])
def test_low_concurrency_limit_of_the_account_is_noted(capsys, concurrency, is_noted):
    preflight.check(FakeStack(concurrency=concurrency), {})
    assert ("Concurrent executions" in capsys.readouterr().out) is is_noted


@pytest.mark.parametrize("phone", ["", "+6591234567"])
@pytest.mark.parametrize("in_sandbox", [True, False])
def test_sms_sandbox_is_noted_if_a_phone_gets_alerts(capsys, phone, in_sandbox):
    preflight.check(FakeStack(in_sandbox=in_sandbox), {"AlertPhone": phone})
    assert ("SMS sandbox" in capsys.readouterr().out) is bool(phone and in_sandbox)


@pytest.mark.parametrize(
    "error, remedy",
    [
        (botocore.exceptions.UnauthorizedSSOTokenError(), "aws sso login --profile work"),
        (botocore.exceptions.SSOTokenLoadError(profile_name="work", error_msg="it is gone"), "aws sso login --profile work"),
        (botocore.exceptions.NoCredentialsError(), "aws configure"),
        (botocore.exceptions.ClientError({"Error": {"Code": "ExpiredToken", "Message": "expired"}}, "GetCallerIdentity"), "sign in again"),
        (botocore.exceptions.ClientError({"Error": {"Code": "InvalidClientTokenId", "Message": "?"}}, "X"), "not enabled for the account"),
        (ACCESS_DENIED, "ask the administrator of the account"),
    ],
)
def test_rejected_credentials_are_reported_with_a_remedy(monkeypatch, tmp_path, error, remedy):
    def refuse(*_):
        raise error

    path = tmp_path / "samconfig.local.toml"
    settings.write(path, "smartclean-push", "ap-southeast-1", {})
    monkeypatch.setattr(sys, "argv", ["ops", "--config", str(path), "preflight"])
    monkeypatch.setattr(preflight, "check", refuse)
    (tmp_path / "config").write_text("[profile work]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert remedy in __main__.main()


def test_preflight_runs_before_the_build():
    for target, check, build in [("deploy", "ops  preflight", "cargo lambda build"), ("lake", "ops  preflight --lake", "cargo lambda build"), ("smoke", "ops  smoke --architecture arm64  --preflight", "cargo lambda build")]:
        plan = subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        assert 0 < plan.index(check) < plan.index(build), plan


@pytest.mark.parametrize(
    "sums, parameters, mean",
    [
        ({"pushes": [60.0, 40.0], "readings_accepted": [100.0]}, {}, "1.0"),
        ({"pushes": [100.0], "readings_accepted": [499.0]}, {"RawDelivery": "direct"}, "5.0"),
        ({"pushes": [100.0], "readings_accepted": [500.0]}, {}, None),
        ({"pushes": [100.0], "readings_accepted": [100.0]}, {"RawDelivery": "buffered"}, None),
        ({}, {}, None),
        ("denied", {}, None),
    ],
)
def test_buffered_delivery_is_recommended_for_few_readings_in_a_push(capsys, sums, parameters, mean):
    preflight.check(FakeStack("UPDATE_COMPLETE", sums=sums), parameters)
    output = capsys.readouterr().out
    assert ("RawDelivery=buffered" in output) is (mean is not None)
    if mean:
        assert f"Note: {mean} readings in a push" in output
