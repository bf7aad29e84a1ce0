"""People answer an alert of the deployed stack from a phone: by the link of a message, and by the code on a door."""

import json
import subprocess
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from deployed import ROOT
from test_permissions import assert_denied, thief_with
from test_sla import Site

PROGRAM = ROOT / "target/debug/smartclean-push"


def origin(stack):
    """The origin of the pages. MiniStack leaves out the port of the API, which has none on AWS."""
    return f"https://{stack.host.split(':')[0]}"


class Phone:
    """A browser without JavaScript: it sends `Origin` with a form, and keeps the cookie of an invitation."""

    def __init__(self, stack):
        self.stack, self.headers = stack, {}

    def get(self, path, method="GET"):
        return self.stack.request(method, path, headers=self.headers, allow_redirects=False)

    def post(self, path, from_page=None, **form):
        headers = {**self.headers, "Origin": from_page or origin(self.stack)}
        return self.stack.request("POST", path, headers=headers, data=form, allow_redirects=False)

    def open_invitation(self, path):
        cookie = self.get(path).headers["Set-Cookie"]
        assert cookie.startswith("__Host-smartclean=") and {"HttpOnly", "Secure", "SameSite=Lax"} <= set(cookie.split("; "))
        self.headers["Cookie"] = cookie.split(";")[0]


@pytest.fixture
def phone(stack):
    return Phone(stack)


@pytest.fixture
def site(stack):
    site = Site(stack)
    # From now on the receiver knows its URL.
    site.push(site.reading("earlier", "SS", p=90))
    return site


def soap_alert(site, receive):
    """Pushes soap of 3 %. Returns the path of the link in the message, and the id of the alert."""
    assert site.push(site.reading("soap", "SS", p=3)) == 1
    (envelope,) = receive()
    message = json.loads(envelope["Message"])
    link = urllib.parse.urlsplit(message["link"])
    assert f"{link.scheme}://{link.netloc}" == origin(site.stack)
    return link.path, message["alerts"][0]["id"]


def items(stack):
    """Every item of the state table, by key."""
    pages = stack.aws.client("dynamodb").get_paginator("scan").paginate(TableName=stack.ids["StateTable"])
    return {item["pk"]["S"]: item for page in pages for item in page["Items"]}


def of_site(site, state):
    return {key: item for key, item in state.items() if site.id in key}


def invite(stack, *arguments):
    command = [PROGRAM, "invite", "--state", f"dynamodb://{stack.ids['StateTable']}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=stack.aws.environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def invitation(stack, role):
    """Invites a team. Returns the path of the link, and the id of the invitation."""
    out = invite(stack, "--team", "Night team", "--role", role, "--url", origin(stack))
    fields = dict(line.split(None, 1) for line in out.splitlines()[:4])
    return urllib.parse.urlsplit(fields["Link"]).path, fields["ID"]


def test_alert_is_taken_and_done_by_its_link(site, phone):
    stack = site.stack
    with stack.alert_queue() as receive:
        path, alert = soap_alert(site, receive)
        before = items(stack)
        assert urllib.parse.unquote(path.rsplit("/", 1)[1]) not in str(before), "the table has no token"

        # Programs open links, and send forms as they find them.
        for response in (phone.get(path, "HEAD"), phone.get(path), phone.get(path)):
            assert response.status_code == 200, response.text
        assert "Soap" in phone.get(path).text
        assert phone.post(path, alert=alert, action="take", by="").status_code == 400
        assert phone.post(path, alert=alert, action="take", by="AB", from_page="https://example.com").status_code == 403
        assert of_site(site, items(stack)) == of_site(site, before)

        taken = phone.post(path, alert=alert, action="take", by="AB")
        assert (taken.status_code, taken.headers["Location"]) == (303, path), taken.text
        assert "AB" in phone.get(path).text
        second = phone.post(path, alert=alert, action="take", by="CD")
        assert second.status_code == 409 and "AB" in second.text and "CD" not in second.text
        assert phone.post(path, alert=alert, action="take", by="AB").status_code == 303

        assert phone.post(path, alert=alert, action="done", by="AB").status_code == 303
        answered = of_site(site, items(stack))
        assert phone.post(path, alert=alert, action="done", by="AB").status_code == 303
        assert of_site(site, items(stack)) == answered, "the second time changes nothing"
        stack.archive()

    # A message has the first half of the id in the archive.
    responses = [each for each in site.lines("responses/") if each.get("alert", "").startswith(alert)]
    assert [(each["by"], "taken" in each, "done" in each) for each in responses] == [("AB", True, False), ("AB", False, True)]
    assert any(each["alert"] == responses[0]["alert"] for each in site.lines("alerts/"))


def test_one_of_two_people_has_the_alert(site, phone):
    with site.stack.alert_queue() as receive:
        path, alert = soap_alert(site, receive)
    with ThreadPoolExecutor() as people:
        responses = list(people.map(lambda by: phone.post(path, alert=alert, action="take", by=by), ["AB", "CD"]))
    assert sorted(response.status_code for response in responses) == [303, 409]
    page = phone.get(path).text
    assert ("AB" in page) != ("CD" in page)


def test_forged_links_and_credentials_for_pushes_open_no_page(site, phone):
    with site.stack.alert_queue() as receive:
        path, alert = soap_alert(site, receive)
    token = path.rsplit("/", 1)[1]
    forged = [token[:-1], token[::-1], "A" * 22, ""]
    for path in [f"/board/a/{wrong}" for wrong in forged] + [f"/board/i/{token}"]:
        for response in (phone.get(path), phone.post(path, alert=alert, action="take", by="AB")):
            assert response.status_code in (404, 405), (path, response.status_code)
    for path in (f"/board/a/{'A' * 22}", f"/board/z/soap-{site.id}?project={site.id}"):
        assert site.stack.request("GET", path, auth=site.stack.credentials).status_code in (403, 404)


def test_invited_phone_reports_a_cleaning_at_the_door_until_it_is_revoked(site, phone):
    stack = site.stack
    with stack.alert_queue() as receive:
        soap_alert(site, receive)
    door = f"/board/z/soap-{site.id}?project={site.id}"
    assert phone.get(door).status_code == 403

    path, _ = invitation(stack, "view")
    phone.open_invitation(path)
    assert "Soap" in phone.get(door).text
    before = of_site(site, items(stack))
    assert phone.post(door, action="clean").status_code == 403
    assert of_site(site, items(stack)) == before

    path, id = invitation(stack, "respond")
    phone.open_invitation(path)
    assert phone.post(door, action="clean").status_code == 303
    stack.archive()
    (response,) = [each for each in site.lines("responses/") if each.get("by") == "Night team" and each["zone"] == f"soap-{site.id}"]
    assert "done" in response and "alert" not in response

    assert id in invite(stack, "--list")
    invite(stack, "--revoke", id)
    assert id not in invite(stack, "--list")
    assert phone.get(door).status_code == 403
    assert phone.get(path).status_code == 404


def test_page_says_that_the_state_is_not_available(site, phone):
    with site.stack.alert_queue() as receive:
        path, alert = soap_alert(site, receive)
    with site.stack.without_permission("dynamodb:PutItem", role="BoardFunctionRole"):
        response = phone.post(path, alert=alert, action="take", by="AB")
        assert response.status_code == 503 and response.headers["Content-Type"].startswith("text/html"), response.text
        assert "AccessDenied" not in response.text and "arn:aws" not in response.text
    with site.stack.without_permission("dynamodb:BatchGetItem", role="BoardFunctionRole"):
        assert phone.get(path).status_code == 503
    assert "Nobody has it" in phone.get(path).text


def test_role_of_pages_reaches_neither_readings_nor_messages_nor_secrets(site):
    stack = site.stack
    response = stack.push(site.reading("soap", "SS", p=90))
    (key,) = stack.keys_of_batch(response)
    with thief_with(stack, "BoardFunctionRole") as thief:
        s3 = thief("s3")
        assert_denied(s3.get_object, Bucket=stack.bucket, Key=key)
        assert_denied(s3.put_object, Bucket=stack.bucket, Key=f"raw/{time.time_ns()}", Body=b"", IfNoneMatch="*")
        assert_denied(s3.put_object, Bucket=stack.bucket, Key="config/rules.accepted.toml", Body=b"")
        assert_denied(thief("sns").publish, TopicArn=stack.topic, Message="x")
        assert_denied(thief("sqs").send_message, QueueUrl=stack.ids["StoredQueue"], MessageBody="x")
        assert_denied(thief("secretsmanager").get_secret_value, SecretId=stack.outputs["CredentialsSecretArn"])
        assert_denied(thief("dynamodb").delete_item, TableName=stack.ids["StateTable"], Key={"pk": {"S": "rate-limit"}})
        assert_denied(thief("dynamodb").scan, TableName=stack.ids["StateTable"])
