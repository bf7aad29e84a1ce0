"""What would make a deploy fail is named before the build."""

import io
import subprocess
import sys

import botocore.exceptions
import pytest
from ops import ROOT, Stop, __main__, answers, preflight

NOT_ALLOWED = botocore.exceptions.ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetAccountSettings")


class FakeStack:
    """An account, and a stack in some state in it."""

    name, region = "smartclean-push", "ap-southeast-1"

    def __init__(self, status=None, copies=1000, in_sandbox=False):
        self._status, self._copies, self._in_sandbox, self.removed = status, copies, in_sandbox, False

    def account(self):
        return "123456789012"

    def status(self):
        return self._status

    def remove(self):
        self.removed, self._status = True, None

    def client(self, service):
        return self

    def get_account_settings(self):
        if self._copies is None:
            raise NOT_ALLOWED
        return {"AccountLimit": {"ConcurrentExecutions": self._copies}}

    def get_sms_sandbox_account_status(self):
        return {"IsInSandbox": self._in_sandbox}


def answered(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("status", [None, "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_stack_that_works_or_is_not_there_is_deployed(status):
    preflight.check(FakeStack(status), {})


@pytest.mark.parametrize("status", sorted(preflight.NEVER_CREATED))
def test_stack_whose_first_deploy_failed_is_removed_if_the_operator_agrees(monkeypatch, status):
    for answer, is_removed in [("y\n", True), ("\n", False), ("n\n", False), ("", False)]:
        stack = FakeStack(status)
        answered(monkeypatch, answer)
        if is_removed:
            preflight.check(stack, {})
        else:
            with pytest.raises(Stop, match="is still there"):
                preflight.check(stack, {})
        assert stack.removed is is_removed


@pytest.mark.parametrize(
    "status, remedy",
    [("UPDATE_IN_PROGRESS", "wait some minutes"), ("DELETE_IN_PROGRESS", "wait"), ("UPDATE_ROLLBACK_FAILED", "Continue update rollback")],
)
def test_stack_that_takes_no_deploy_says_what_to_do(status, remedy):
    with pytest.raises(Stop, match=remedy):
        preflight.check(FakeStack(status), {})


@pytest.mark.parametrize("name, is_taken", [("smartclean-push", True), ("s3", True), ("Smartclean", False), ("3s", False), ("a_b", False)])
def test_stack_has_a_name_that_bucket_and_database_can_have(name, is_taken):
    if is_taken:
        preflight.check_name(name)
    else:
        with pytest.raises(Stop, match="lower-case letters"):
            preflight.check_name(name)


def test_region_that_is_unknown_here_is_noted_and_may_be_new(capsys):
    preflight.check_region("ap-southeast-1")
    assert capsys.readouterr().out == ""
    stack = FakeStack()
    stack.region = "ap-south-east-1"
    preflight.check(stack, {})
    said = capsys.readouterr().out
    assert "Note: region ap-south-east-1 is not among those" in said and " ap-southeast-1," in said


@pytest.mark.parametrize("url, is_taken", [("https://hc-ping.com/a-1", True), ("https://x/?a=b&c=%20", True), ("https://x/<id>", False), ("https://x/{id}", False), ("http://x", False)])
def test_heartbeat_is_a_url_that_can_be_called(url, is_taken):
    if is_taken:
        preflight.check_parameters({"HeartbeatUrl": url})
    else:
        with pytest.raises(Stop, match="a URL that begins with https://"):
            preflight.check_parameters({"HeartbeatUrl": url})


@pytest.mark.parametrize(
    "given, wrong",
    [
        ({"AlertEmail": "nobody"}, "AlertEmail=nobody: it should be one email address"),
        ({"AlertPhone": "91234567"}, "AlertPhone=91234567: it should be one number"),
        ({"QuietMinutes": "1"}, "QuietMinutes=1: it should be a number from 5 to 1440"),
        ({"QuietMinutes": "an hour"}, "QuietMinutes=an hour"),
        ({"Alarms": "maybe"}, "Alarms=maybe: it should be one of yes, no"),
        ({"IotTopic": "a" * 257}, "IotTopic="),
        ({"AuthMethods": "iot"}, "AuthMethods=iot needs an IotTopic or an OAuthIssuer"),
        ({"OAuthIssuer": "https://issuer.example.com"}, "OAuthIssuer needs OAuthAudience"),
        ({"DomainName": "push.example.com"}, "DomainName needs DomainCertificateArn"),
        ({"AlertEmail2": "b@example.com"}, "no parameter AlertEmail2 in template.yaml or lake.yaml"),
    ],
)
def test_parameter_that_cloudformation_would_refuse_is_named(given, wrong):
    with pytest.raises(Stop) as stop:
        preflight.check_parameters(given)
    assert wrong in str(stop.value)


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
def test_parameters_that_cloudformation_would_take_are_taken(given):
    preflight.check_parameters(given)


def test_every_default_is_a_value_that_is_taken():
    for template in answers.TEMPLATES:
        known = answers.template_parameters(template)
        preflight.check_parameters({name: str(each["Default"]) for name, each in known.items() if "Default" in each}, template)


@pytest.mark.parametrize("copies, is_noted", [(10, True), (1000, False), (None, False)])
def test_account_that_may_run_few_copies_is_told(capsys, copies, is_noted):
    preflight.check(FakeStack(copies=copies), {})
    assert ("Concurrent executions" in capsys.readouterr().out) is is_noted


@pytest.mark.parametrize("phone", ["", "+6591234567"])
@pytest.mark.parametrize("in_sandbox", [True, False])
def test_sms_sandbox_is_told_where_texts_are_sent(capsys, phone, in_sandbox):
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
        (NOT_ALLOWED, "ask whoever runs the account"),
    ],
)
def test_credentials_that_do_not_work_say_what_to_do(monkeypatch, tmp_path, error, remedy):
    def refuse(*_):
        raise error

    path = tmp_path / "samconfig.local.toml"
    answers.write(path, "smartclean-push", "ap-southeast-1", {})
    monkeypatch.setattr(sys, "argv", ["ops", "--config", str(path), "preflight"])
    monkeypatch.setattr(preflight, "check", refuse)
    (tmp_path / "config").write_text("[profile work]\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert remedy in __main__.main()


def test_preflight_comes_before_the_build():
    """By what make would run."""
    for target, check, build in [("deploy", "ops  preflight", "cargo lambda build"), ("lake", "ops  preflight --lake", "cargo lambda build"), ("smoke", "ops  smoke --architecture arm64  --preflight", "cargo lambda build")]:
        plan = subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True, text=True).stdout
        assert 0 < plan.index(check) < plan.index(build), plan
