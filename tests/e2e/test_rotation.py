"""Rotation of secrets while pushes arrive."""

import collections
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_stack import reading

# Seconds until a new password is valid: a running copy reads the secret at most that often.
REFRESH_SECONDS = 10


class Load:
    """Pushes empty batches at a constant rate, with the current value of `credentials`."""

    def __init__(self, stack, credentials, per_second):
        self._stack, self.credentials, self._pause = stack, credentials, 1 / per_second
        self._stop, self.responses, self.started = threading.Event(), [], time.monotonic()
        self._pool, self._pacer = ThreadPoolExecutor(32), threading.Thread(target=self._run)

    def _push(self):
        self.responses.append(self._stack.push(credentials=self.credentials).status_code)

    def _run(self):
        due = time.monotonic()
        while not self._stop.is_set():
            self._pool.submit(self._push)
            due += self._pause
            time.sleep(max(0, due - time.monotonic()))

    def __enter__(self):
        self._pacer.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._pacer.join()
        self._pool.shutdown()


def rotate(stack):
    """Rotates the password. Returns the username and password that the command prints."""
    output = stack.operator.run("rotate-credentials")
    lines = dict(line.split(":", 1) for line in output.splitlines() if line.startswith(("username:", "password:")))
    assert "works until" in output
    return lines["username"].strip(), lines["password"].strip()


@pytest.fixture
def rotated(stack):
    """The stack. After the test, its new credentials are read again."""
    yield stack
    stack.refresh_credentials()
    stack.force_cold_start()


@pytest.mark.nightly
def test_no_push_is_refused_during_two_rotations(rotated):
    """Each push gets 200. A new copy of the function that cannot read the secret in time responds with 503. This computer runs AWS, the
    function and the client, so 1 % of 503 is allowed."""
    with Load(rotated, rotated.credentials, per_second=50) as load:
        for _ in range(2):
            time.sleep(2)
            changed = rotate(rotated)
            assert changed[0] == load.credentials[0] and changed[1] != load.credentials[1]
            time.sleep(REFRESH_SECONDS)
            load.credentials = changed
            time.sleep(3)
    seconds = time.monotonic() - load.started
    counts = collections.Counter(load.responses)
    print(f"in {seconds:.0f} s: {counts}")
    assert set(counts) <= {200, 503}
    assert counts[503] <= len(load.responses) / 100
    assert len(load.responses) > 40 * seconds


def test_password_before_the_previous_one_and_a_revoked_one_are_refused(rotated):
    oldest = rotated.credentials
    old, new = rotate(rotated), rotate(rotated)
    rotated.force_cold_start()
    responses = [rotated.push(credentials=credentials).status_code for credentials in (oldest, old, new)]
    assert responses == [401, 200, 200]
    assert "Revoked" in rotated.operator.run("revoke-previous")
    rotated.force_cold_start()
    assert [rotated.push(credentials=credentials).status_code for credentials in (old, new)] == [401, 200]
    assert "nothing to revoke" in rotated.operator.run("revoke-previous")


def test_rotation_keeps_keys_and_other_clients(rotated):
    arn = rotated.outputs["CredentialsSecretArn"]
    value = {
        "clients": [{"username": "one", "password": "first"}, {"username": "two", "password": "second"}],
        "event_hub_keys": {"send": "key"},
    }
    with rotated.secret(value):
        output = rotated.operator.run("rotate-credentials", "two")
        changed = json.loads(rotated.secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert changed["clients"][0] == value["clients"][0] and changed["event_hub_keys"] == value["event_hub_keys"]
    assert changed["clients"][1]["password"] in output and "first" not in output


def count_secret_reads(stack):
    return stack.aws.log.read_text(errors="replace").splitlines().count("GetSecretValue")


def test_failed_logins_read_the_secrets_a_limited_number_of_times(stack):
    """A thousand logins by eight concurrent clients, and so eight copies of the function. A copy reads the current and previous secrets
    at most every ten seconds."""
    assert stack.push(reading(1)).status_code == 200
    copies, kinds = 8, 4
    before, started = count_secret_reads(stack), time.monotonic()
    with ThreadPoolExecutor(copies) as pool:
        guesses = [("smartclean", f"guess {number}") for number in range(1000)]
        responses = list(pool.map(lambda guess: stack.push(credentials=guess).status_code, guesses))
    reads, seconds = count_secret_reads(stack) - before, time.monotonic() - started
    print(f"{reads} reads of the secrets in {seconds:.0f} s")
    assert set(responses) == {401, 429}
    # Each copy allows twenty at once, then one every three seconds.
    assert responses.count(401) <= copies * (20 + seconds / 3 + 1)
    assert 0 < reads <= copies * kinds * (2 + seconds / REFRESH_SECONDS)
    assert reads < len(responses) / 4
