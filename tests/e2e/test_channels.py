"""Email and webhook of an own server, against a real SMTP server and a receiver that verifies signatures.

Messages are repeated after a minute or two, so all scenarios run at the same time. Each is a test.
"""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from local_aws import make_certificate
from receivers import CLIENT, Hook, Mailboxes, OwnServer, command, eventually, without_token

# A delivery is leased for a minute. The next sweep after it, up to a minute later, repeats it.
RETRIED = 150


class World:
    def __init__(self, folder, certificate):
        self.folder, self.certificate, self._parts = folder, certificate, []

    def part(self, part):
        self._parts.append(part)
        return part

    def mailboxes(self, **kind):
        return self.part(Mailboxes(self.certificate, **kind))

    def hook(self):
        return self.part(Hook(self.certificate))

    def server(self, **parts):
        return self.part(OwnServer(self.folder, self.certificate, **parts)).start()

    def stop(self):
        for part in reversed(self._parts):
            part.stop()


SCENARIOS = {}


def scenario(function):
    SCENARIOS[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    certificate = make_certificate(tmp_path_factory.mktemp("certificate"))
    command()

    def run(function):
        world = World(tmp_path_factory.mktemp(function.__name__), certificate)
        try:
            function(world)
        finally:
            world.stop()

    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        yield {name: pool.submit(run, function) for name, function in SCENARIOS.items()}


@scenario
def an_alert_a_digest_a_resolved_notice_and_a_notice_go_out_over_both(world):
    mailboxes, hook = world.mailboxes().start(), world.hook()
    rules = '[rate_limit]\nburst = 4\nper_minute = 60\n[[rule]]\nid = "spill"\nresolved = true\n'
    server = world.server(mailboxes=mailboxes, hook=hook, more=rules)
    assert "email by 127.0.0.1 to ops@example.com; webhook at https://127.0.0.1" in server.welcome
    server.spill()
    eventually(lambda: mailboxes.messages and hook.calls)
    [(_, to, message)], [(_, hook_id, record)] = mailboxes.messages, hook.calls
    [line] = server.records()
    assert without_token(record) == without_token(line) and hook_id == line["id"]
    assert (to, message["From"]) == ("ops@example.com", "SmartClean <alerts@example.com>")
    assert (message["Subject"], message["Message-ID"]) == (line["subject"], f"<{line['id']}@example.com>")
    email = without_token(message.get_body(("plain",)).get_content())
    assert email.split() == without_token(line["message"]["email"]).split()

    requests.post(f"{server.url}/zones/w1/cleaned", auth=CLIENT, timeout=20).raise_for_status()
    eventually(lambda: len(mailboxes.messages) == 2 and len(hook.calls) == 2)
    resolved = mailboxes.messages[1][2]
    assert resolved["In-Reply-To"] == resolved["References"] == message["Message-ID"], "mail programs show a thread"
    assert resolved.get_body(("html",)) and resolved["Message-ID"] != message["Message-ID"]

    at = int(time.time() * 1000)
    devices = [f"s{number}" for number in range(20)]
    server.push(*(
        {"DevType": "SMARTCLEAN#SS", "DEVID": device, "InsID": device, "unixT": at, "v": {"p": 3}} for device in devices
    ))
    facts = lambda: [record["message"]["json"] for _, _, record in hook.calls]
    named = lambda: {alert["id"] for fact in facts() for alert in fact["alerts"]}
    eventually(lambda: len(named()) == 21 and any(" alerts" in subject for subject in mailboxes.subjects()), RETRIED)
    assert "digest" in [fact["kind"] for fact in facts()]

    server.rules.write_text("max_age = 7\n")
    notice = "[NOTICE] Rules refused: 1 fault"
    eventually(lambda: notice in mailboxes.subjects() and notice in hook.subjects(), RETRIED)
    ids = [hook_id for _, hook_id, _ in hook.calls]
    assert len(ids) == len(set(ids)), "nothing twice"


@scenario
def emails_in_two_languages_are_two_messages_and_two_threads(world):
    mailboxes = world.mailboxes().start()
    audience = '[[audience]]\nid = "{0}"\nlanguage = "{1}"\nemails = ["{0}@example.com"]\n'
    teams = audience.format("office", "en") + audience.format("cleaners", "zh-Hans")
    server = world.server(mailboxes=mailboxes, more=f'{teams}[[rule]]\nid = "spill"\nresolved = true\n')
    server.spill()
    eventually(lambda: len(mailboxes.messages) == 2)
    ids = {recipient: message["Message-ID"] for _, recipient, message in mailboxes.messages}
    assert len(set(ids.values())) == 2
    requests.post(f"{server.url}/zones/w1/cleaned", auth=CLIENT, timeout=20).raise_for_status()
    eventually(lambda: len(mailboxes.messages) == 4)
    threads = {recipient: message["In-Reply-To"] for _, recipient, message in mailboxes.messages[2:]}
    assert threads == ids


@scenario
def changed_recipients_take_effect_without_a_restart(world):
    mailboxes = world.mailboxes(implicit_tls=True).start()
    server = world.server(mailboxes=mailboxes)
    server.spill()
    eventually(lambda: mailboxes.subjects("ops@example.com"))
    server.write_rules(to=["night@example.com"])
    time.sleep(3)
    server.spill("w2")
    eventually(lambda: mailboxes.subjects("night@example.com"))
    assert len(mailboxes.messages) == 2


@scenario
def email_that_is_down_is_sent_when_it_is_back_and_delays_no_webhook(world):
    mailboxes, hook = world.mailboxes(), world.hook()
    server = world.server(mailboxes=mailboxes, hook=hook)
    server.spill()
    eventually(lambda: hook.calls, 10)
    eventually(lambda: "messages not sent" in server.log())
    failed = server.run("test-alert", f"{server.url}/push")
    assert failed.returncode == 1 and "webhook: 204 No Content" in failed.stdout and "email did not send" in failed.stderr
    mailboxes.start()
    eventually(lambda: len(mailboxes.messages) == 2, RETRIED)
    time.sleep(5)
    assert (len(mailboxes.messages), len(hook.calls), mailboxes.connections) == (2, 2, 1)


@scenario
def a_refused_recipient_is_noticed_and_not_tried_again_and_the_other_gets_it(world):
    mailboxes, hook = world.mailboxes().start(), world.hook()
    mailboxes.refused.add("gone@example.com")
    server = world.server(mailboxes=mailboxes, hook=hook, to=["gone@example.com", "ops@example.com"])
    server.spill()
    eventually(lambda: mailboxes.subjects("ops@example.com"))
    notice = "[NOTICE] A recipient refuses messages"
    eventually(lambda: notice in mailboxes.subjects("ops@example.com") and notice in hook.subjects(), RETRIED)
    time.sleep(70)
    # The alert and the notice.
    assert mailboxes.attempts.count("gone@example.com") == 2, mailboxes.attempts
    assert len(mailboxes.messages) == 2 and "recipient=\"gone@example.com\"" in server.log().replace("\x1b", "")


@scenario
def a_greylisted_recipient_gets_it_later_and_the_other_once(world):
    mailboxes = world.mailboxes().start()
    mailboxes.greylisted.add("grey@example.com")
    server = world.server(mailboxes=mailboxes, to=["grey@example.com", "ops@example.com"])
    server.spill()
    eventually(lambda: mailboxes.subjects("ops@example.com"))
    eventually(lambda: mailboxes.subjects("grey@example.com"), RETRIED)
    assert mailboxes.attempts == ["grey@example.com", "ops@example.com", "grey@example.com"]
    assert len({message["Message-ID"] for _, _, message in mailboxes.messages}) == 1


@scenario
def a_server_that_hangs_after_data_is_tried_again_and_delays_no_webhook(world):
    mailboxes, hook = world.mailboxes().start(), world.hook()
    mailboxes.hangs.append(90)
    server = world.server(mailboxes=mailboxes, hook=hook)
    server.spill()
    eventually(lambda: hook.calls, 10)
    server.spill("w2")
    eventually(lambda: len(hook.calls) == 2, 10)
    eventually(lambda: len(mailboxes.messages) == 2, 60 + RETRIED)
    assert sorted(mailboxes.subjects()) == sorted(hook.subjects())


@scenario
def a_webhook_that_is_gone_is_dropped_with_a_notice_by_email(world):
    mailboxes, hook = world.mailboxes().start(), world.hook()
    hook.responses.append((410, {}, 0))
    server = world.server(mailboxes=mailboxes, hook=hook)
    server.spill()
    eventually(lambda: "[NOTICE] A recipient refuses messages" in mailboxes.subjects(), RETRIED)
    time.sleep(70)
    (_, _, firing), (_, _, notice) = hook.calls
    assert (firing["message"]["json"]["kind"], notice["message"]["json"]["kind"]) == ("firing", "notice")
    assert "https://127.0.0.1" in notice["message"]["email"], "which one refuses"
    assert hook.url not in json.dumps(notice), "its path can be a secret"


@scenario
def a_webhook_is_not_called_before_the_time_that_it_asks_for(world):
    hook = world.hook()
    hook.responses.append((429, {"Retry-After": "100"}, 0))
    server = world.server(hook=hook)
    server.spill()
    first, second = eventually(lambda: len(hook.calls) == 2 and hook.calls, 100 + RETRIED)
    assert second[0] - first[0] >= 99 and second[1] == first[1]


@scenario
def a_webhook_that_fails_is_called_again_with_the_same_id(world):
    hook = world.hook()
    hook.responses.append((500, {}, 0))
    server = world.server(hook=hook)
    server.spill()
    first, second = eventually(lambda: len(hook.calls) == 2 and hook.calls, RETRIED)
    assert second[1] == first[1] and without_token(second[2]) == without_token(first[2])
    assert second[0] - first[0] >= 55


@scenario
def a_redirect_is_not_followed(world):
    hook = world.hook()
    hook.responses.append((307, {"Location": "/elsewhere"}, 0))
    server = world.server(hook=hook)
    server.spill()
    eventually(lambda: len(hook.calls) == 2, RETRIED)
    assert hook.paths == ["/smartclean"] * 2 and "redirects are not followed" in server.log()


@scenario
def a_webhook_that_does_not_answer_is_called_again(world):
    hook = world.hook()
    hook.responses.append((204, {}, 20))
    server = world.server(hook=hook)
    server.spill()
    eventually(lambda: len(hook.calls) == 2, RETRIED)
    assert "no response within 15 s" in server.log()


@scenario
def a_test_alert_says_what_happened_on_each_channel(world):
    mailboxes, hook = world.mailboxes().start(), world.hook()
    server = world.server(mailboxes=mailboxes, hook=hook)
    tested = server.run("test-alert", f"{server.url}/push")
    assert tested.returncode == 0, tested
    assert tested.stdout.splitlines() == ["email: 250 2.0.0 Ok", "log: written", "webhook: 204 No Content"]
    # The results are for clients alone.
    assert set(requests.get(f"{server.url}/health", timeout=10).json()) <= {"status", "version"}
    metrics = requests.get(f"{server.url}/metrics", auth=CLIENT, timeout=10).text
    assert "smartclean_push_emails_sent_total 1.0" in metrics and "smartclean_push_webhooks_sent_total 1.0" in metrics


@scenario
def each_address_gets_the_language_of_its_audience_and_the_webhook_one_message(world):
    mailboxes, hook = world.mailboxes().start(), world.hook()
    office = '[[audience]]\nid = "office"\nemails = ["office@example.com"]\n'
    cleaners = '[[audience]]\nid = "cleaners"\nlanguage = "zh-Hans"\nemails = ["cleaners@example.com"]\n'
    server = world.server(mailboxes=mailboxes, hook=hook, more=office + cleaners)
    server.spill()
    eventually(lambda: len(mailboxes.messages) == 2 and hook.calls)
    [english], [chinese] = mailboxes.subjects("office@example.com"), mailboxes.subjects("cleaners@example.com")
    assert english == "[HIGH] Wet floor: device w1" and chinese == "[高] 地面有水：设备 w1"
    by_address = {to: message for _, to, message in mailboxes.messages}
    assert "拖干地面" in by_address["cleaners@example.com"].get_body(("plain",)).get_content()
    assert '<html lang="zh-Hans">' in by_address["cleaners@example.com"].get_body(("html",)).get_content()
    assert by_address["cleaners@example.com"]["To"] == "cleaners@example.com"
    assert hook.subjects() == [english] and hook.calls[0][2]["attributes"]["to"] == ["cleaners", "office"]


@scenario
def without_channels_the_start_says_that_nobody_is_notified(world):
    server = world.server()
    assert "alerts.ndjson alone, so nobody is notified" in server.welcome
    tested = server.run("test-alert", f"{server.url}/push")
    assert (tested.returncode, tested.stdout) == (1, "log: written\n")
    assert "nobody is notified" in tested.stderr and "[email] or [webhook]" in tested.stderr


@scenario
def an_unknown_secret_stops_the_start_and_a_wrong_password_sends_nothing(world):
    mailboxes = world.mailboxes().start()
    server = world.part(OwnServer(world.folder, world.certificate, mailboxes=mailboxes))
    text = server.credentials.read_text()
    server.credentials.write_text(text.replace('"smtp"', '"other"'))
    arguments = ["serve", "--data", server.data, "--rules", server.rules, "--credentials", server.credentials]
    stopped = subprocess.run([command(), *arguments], capture_output=True, text=True, timeout=30)
    assert stopped.returncode == 1 and 'the rules name the secret "smtp"' in stopped.stderr, stopped
    server.credentials.write_text(text.replace("smtp-Pa55", "hunter2"))
    server.start()
    tested = server.run("test-alert", f"{server.url}/push")
    assert tested.returncode == 1 and "email: " in tested.stdout and "535" in tested.stdout, tested
    assert not mailboxes.messages and "hunter2" not in server.log() + tested.stdout


@scenario
def a_mail_server_without_tls_or_with_an_unknown_certificate_gets_no_password(world):
    plain, unknown = world.mailboxes(plain=True).start(), world.part(Mailboxes(make_certificate(world.folder))).start()
    for mailboxes, error in [(plain, "STARTTLS is not supported"), (unknown, "certificate")]:
        server = world.server(mailboxes=mailboxes)
        tested = server.run("test-alert", f"{server.url}/push")
        assert tested.returncode == 1 and error in tested.stdout, tested
        assert (mailboxes.logins, mailboxes.messages) == (0, [])
        server.stop()


@pytest.mark.parametrize("name", SCENARIOS)
def test_channels(running, name):
    running[name].result()


@pytest.mark.nightly
def test_alerts_of_ten_minutes_without_email_all_arrive_once(tmp_path):
    """Attempts become rarer, so the last email arrives a quarter of an hour after the first alert. The webhook does not wait."""
    world = World(tmp_path, make_certificate(tmp_path))
    mailboxes, hook = world.mailboxes(), world.hook()
    try:
        server = world.server(mailboxes=mailboxes, hook=hook)
        for minute in range(10):
            server.spill(f"w{minute}")
            eventually(lambda: len(hook.calls) == minute + 1, 10)
            time.sleep(60)
        alerts = {f"<{record['id']}@example.com>" for record in server.records()}
        assert len(alerts) == 10 and not mailboxes.messages
        mailboxes.start()
        arrived = lambda: [message["Message-ID"] for _, _, message in mailboxes.messages]
        eventually(lambda: alerts <= set(arrived()), 900)
        time.sleep(70)
        assert sorted(arrived()) == sorted(alerts) and len(hook.calls) == 10
    finally:
        world.stop()
