"""Changing secrets while pushes come in."""

import collections
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from test_stack import reading

# What a client must wait until it uses a new password: running copies read the secret again at most that often.
CHANGES_OVER = 10


class Load:
    """Pushes empty batches, so many a second, with whatever credentials are its own at the time."""

    def __init__(self, stack, credentials, a_second):
        self._stack, self.credentials, self._pause = stack, credentials, 1 / a_second
        self._over, self.answers, self.started = threading.Event(), [], time.monotonic()
        self._pool, self._pacer = ThreadPoolExecutor(32), threading.Thread(target=self._run)

    def _push(self):
        self.answers.append(self._stack.push(credentials=self.credentials).status_code)

    def _run(self):
        due = time.monotonic()
        while not self._over.is_set():
            self._pool.submit(self._push)
            due += self._pause
            time.sleep(max(0, due - time.monotonic()))

    def __enter__(self):
        self._pacer.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._pacer.join()
        self._pool.shutdown()


def rotate(stack):
    """The new user name and password, as the operator's command prints them."""
    said = stack.operator.run("rotate-credentials")
    lines = dict(line.split(":", 1) for line in said.splitlines() if line.startswith(("user name:", "password:")))
    assert "works until" in said
    return lines["user name"].strip(), lines["password"].strip()


@pytest.fixture
def rotated(stack):
    """The credentials after whatever the test does become the stack's, for the tests that follow."""
    yield stack
    stack._read_credentials()
    stack.start_cold()


@pytest.mark.nightly
def test_no_push_is_refused_while_the_password_is_rotated_twice(rotated):
    """200 to each. A new copy of the function that does not get the secret within its timeouts answers 503, which tells the
    client to send again; this machine plays AWS, the function and the client at once, so one in a hundred may be that."""
    with Load(rotated, rotated.credentials, a_second=50) as load:
        for _ in range(2):
            time.sleep(2)
            renewed = rotate(rotated)
            assert renewed[0] == load.credentials[0] and renewed[1] != load.credentials[1]
            time.sleep(CHANGES_OVER)
            load.credentials = renewed
            time.sleep(3)
    seconds = time.monotonic() - load.started
    counts = collections.Counter(load.answers)
    print(f"in {seconds:.0f} s: {counts}")
    assert set(counts) <= {200, 503}
    assert counts[503] <= len(load.answers) / 100
    assert len(load.answers) > 40 * seconds


def test_password_from_two_rotations_ago_and_a_revoked_one_are_refused(rotated):
    oldest = rotated.credentials
    old, new = rotate(rotated), rotate(rotated)
    rotated.start_cold()
    answers = [rotated.push(credentials=credentials).status_code for credentials in (oldest, old, new)]
    assert answers == [401, 200, 200]
    assert "Revoked" in rotated.operator.run("revoke-previous")
    rotated.start_cold()
    assert [rotated.push(credentials=credentials).status_code for credentials in (old, new)] == [401, 200]
    assert "nothing to revoke" in rotated.operator.run("revoke-previous")


def test_keys_and_other_clients_survive_a_rotation(rotated):
    arn = rotated.outputs["CredentialsSecretArn"]
    value = {
        "clients": [{"username": "one", "password": "first"}, {"username": "two", "password": "second"}],
        "event_hub_keys": {"send": "key"},
    }
    with rotated.secret(value):
        said = rotated.operator.run("rotate-credentials", "two")
        kept = json.loads(rotated.secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert kept["clients"][0] == value["clients"][0] and kept["event_hub_keys"] == value["event_hub_keys"]
    assert kept["clients"][1]["password"] in said and "first" not in said


def reads_of_secrets(stack):
    return stack.aws.log.read_text(errors="replace").splitlines().count("GetSecretValue")


def test_wrong_guesses_read_the_secret_a_bounded_number_of_times(stack):
    """A thousand here, by eight at a time and so eight copies of the function; ten thousand are a test of the cache by
    itself. A copy reads at most every ten seconds, the current secrets and the previous ones."""
    assert stack.push(reading(1)).status_code == 200
    copies, kinds = 8, 4
    before, started = reads_of_secrets(stack), time.monotonic()
    with ThreadPoolExecutor(copies) as pool:
        guesses = [("smartclean", f"guess {number}") for number in range(1000)]
        answers = list(pool.map(lambda guess: stack.push(credentials=guess).status_code, guesses))
    asked, seconds = reads_of_secrets(stack) - before, time.monotonic() - started
    print(f"{asked} reads of the secrets in {seconds:.0f} s")
    assert set(answers) == {401, 429}
    # Of each copy: twenty at once, then one in three seconds.
    assert answers.count(401) <= copies * (20 + seconds / 3 + 1)
    assert 0 < asked <= copies * kinds * (2 + seconds / CHANGES_OVER)
    assert asked < len(answers) / 4
