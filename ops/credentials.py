"""Passwords and keys of a stack: to show, rotate and revoke them."""

import base64
import datetime
import json
import re
import secrets
import string

from ops import Stop

# What the function does with secrets: it accepts the previous value for a day, and a running copy reads them again after
# five minutes, or at once when a client comes with credentials that it does not know.
PREVIOUS_ACCEPTED = datetime.timedelta(hours=24)
READ_AGAIN = datetime.timedelta(minutes=5)
# What is written as a hash of a password is: `$kind$…`, `{KIND}…` or `kind$…$…`. The function decides in the same way, and
# verifies two kinds (crates/auth/src/password.rs).
HASH = re.compile(r"\$[a-z0-9PHS-]+\$|\{[A-Z0-9-]+\}|(?:argon2|bcrypt|md5|pbkdf2|scrypt|sha1|sha256|sha512)[^$]*\$[^$]*\$")


class Secret:
    """One secret of the stack, with its versions."""

    def __init__(self, stack, arn):
        self._client, self._arn = stack.client("secretsmanager"), arn

    def value(self):
        return self._client.get_secret_value(SecretId=self._arn)["SecretString"]

    def put(self, text):
        self._client.put_secret_value(SecretId=self._arn, SecretString=text)

    def previous(self):
        """The id of the version before the current one; None if there is none."""
        stages = self._client.describe_secret(SecretId=self._arn).get("VersionIdsToStages", {})
        return next((version for version, names in stages.items() if "AWSPREVIOUS" in names), None)

    def drop_previous(self):
        """Drops the previous version. Returns whether there was one."""
        version = self.previous()
        if version:
            self._client.update_secret_version_stage(
                SecretId=self._arn, VersionStage="AWSPREVIOUS", RemoveFromVersionId=version
            )
        return version is not None


def current(stack, outputs):
    """User name and password of the first client."""
    value = json.loads(Secret(stack, outputs["CredentialsSecretArn"]).value())
    first = value["clients"][0] if "clients" in value else value
    return first["username"], first["password"]


def show(stack):
    username, password = current(stack, stack.outputs())
    print(f"user name: {username}\npassword:  {password}")


def rotate(stack, client):
    """Makes a new password for each client, or for `client` alone, and prints it."""
    secret = Secret(stack, stack.outputs()["CredentialsSecretArn"])
    value, renewed = with_new_passwords(json.loads(secret.value()), client)
    had_previous = secret.previous() is not None
    secret.put(json.dumps(value))
    print("To give to SmartClean, which may use it from ten seconds from now on:\n")
    for username, password in renewed:
        print(f"user name: {username}\npassword:  {password}")
    _print_end_of_previous("password", had_previous)


def rotate_signing_key(stack):
    outputs = stack.outputs()
    if "SigningKeySecretArn" not in outputs:
        raise Stop("The OAuth method is off: there is no signing key.", "nothing, or turn it on: docs/connect.md.")
    secret = Secret(stack, outputs["SigningKeySecretArn"])
    had_previous = secret.previous() is not None
    secret.put(_random_text(64))
    print("Tokens are signed with a new key. Clients need not be told.")
    _print_end_of_previous("key", had_previous)


def revoke_previous(stack):
    outputs = stack.outputs()
    found = {"passwords and keys": outputs["CredentialsSecretArn"], "signing key": outputs.get("SigningKeySecretArn")}
    dropped = [what for what, arn in found.items() if arn and Secret(stack, arn).drop_previous()]
    if not dropped:
        print("There is nothing to revoke: nothing was rotated, or it is revoked already.")
        return
    print(f"Revoked: the previous {' and the previous '.join(dropped)}.")
    print(f"Running copies of the function have read them, and accept them until {_clock(_now() + READ_AGAIN)}.")
    print("To end that now, change anything in the function's configuration, such as its description: it restarts.")


def add_event_hub_key(stack, name):
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise Stop(f"{name!r} is no name for a key.", "use letters, digits and . _ - only: make event-hub-key NAME=name")
    outputs = stack.outputs()
    secret = Secret(stack, outputs["CredentialsSecretArn"])
    value, key = with_event_hub_key(json.loads(secret.value()), name)
    had_previous = secret.previous() is not None
    secret.put(json.dumps(value))
    print("To give to SmartClean, for Azure Event Hubs:\n")
    print(f"send URL:  {outputs.get('EventHubUrl', 'this method is off: docs/connect.md says how to turn it on')}")
    print(f"key name:  {name}\nkey:       {key}")
    if had_previous:
        print("\nA password or key from before the last rotation is not accepted any more: this counts as a rotation.")


def with_new_passwords(value, client=None):
    """The credentials with a new password for each client, or for `client` alone; and the new ones, as pairs of user name
    and password."""
    clients = value["clients"] if "clients" in value else [value]
    chosen = [entry for entry in clients if client in (None, entry["username"])]
    if not chosen:
        names = ", ".join(entry["username"] for entry in clients)
        raise Stop(f"The credentials have no client {client}; there are: {names}.", "name one of these.")
    hashed = [entry["username"] for entry in chosen if HASH.match(entry["password"])]
    if hashed:
        raise Stop(
            f"The password of {', '.join(hashed)} is a hash, and a new password would not be hashed.",
            "hash a new password and write it into the secret by hand; the previous one stays valid for a day. "
            "For another client: make rotate-credentials CLIENT=name.",
        )
    for entry in chosen:
        entry["password"] = _random_text(40)
    return value, [(entry["username"], entry["password"]) for entry in chosen]


def with_event_hub_key(value, name):
    """The credentials with a new shared access key of that name, and the key: 32 random bytes in Base64, as Azure's."""
    if "clients" not in value:
        login = {key: value.pop(key) for key in ("username", "password") if key in value}
        value = {"clients": [login] if login else [], **value}
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    value["event_hub_keys"] = {**value.get("event_hub_keys", {}), name: key}
    return value, key


def _random_text(length):
    """Letters and digits only: it is pasted into forms, shells and messages."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def _now():
    return datetime.datetime.now(datetime.timezone.utc)


def _clock(moment):
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _print_end_of_previous(what, had_previous):
    print(f"\nThe previous {what} works until {_clock(_now() + PREVIOUS_ACCEPTED)} as well.")
    if had_previous:
        print(f"The {what} before that stops working, in {READ_AGAIN.seconds // 60} minutes at the latest.")
    print("Was it leaked? make revoke-previous refuses it at once.")
