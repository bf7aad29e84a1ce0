"""Passwords and keys of a stack: show, rotate and revoke them."""

import base64
import datetime
import json
import re
import secrets
import string

from ops import CommandError

# The function accepts the previous value of a secret for a day. A running copy reads secrets again after five minutes, and
# earlier if a request has unknown credentials.
PREVIOUS_ACCEPTED = datetime.timedelta(hours=24)
REFRESH_INTERVAL = datetime.timedelta(minutes=5)
# Formats of a password hash: `$kind$…`, `{KIND}…` and `kind$…$…`. The function uses the same rule (crates/auth/src/password.rs).
HASH = re.compile(r"\$[a-z0-9PHS-]+\$|\{[A-Z0-9-]+\}|(?:argon2|bcrypt|md5|pbkdf2|scrypt|sha1|sha256|sha512)[^$]*\$[^$]*\$")


class Secret:
    """A secret in AWS Secrets Manager with its versions."""

    def __init__(self, stack, arn):
        self._client, self._arn = stack.client("secretsmanager"), arn

    def value(self):
        return self._client.get_secret_value(SecretId=self._arn)["SecretString"]

    def put(self, text):
        self._client.put_secret_value(SecretId=self._arn, SecretString=text)

    def previous(self):
        """The id of the previous version, or None."""
        stages = self._client.describe_secret(SecretId=self._arn).get("VersionIdsToStages", {})
        return next((version for version, names in stages.items() if "AWSPREVIOUS" in names), None)

    def revoke_previous(self):
        """Revokes the previous version. Returns whether it existed."""
        version = self.previous()
        if version:
            self._client.update_secret_version_stage(
                SecretId=self._arn, VersionStage="AWSPREVIOUS", RemoveFromVersionId=version
            )
        return version is not None


def current(stack, outputs):
    """The username and password of the first client."""
    value = json.loads(Secret(stack, outputs["CredentialsSecretArn"]).value())
    first = value["clients"][0] if "clients" in value else value
    return first["username"], first["password"]


def show(stack):
    """Prints the username and password of the first client."""
    _print_login(*current(stack, stack.outputs()))


def rotate(stack, client):
    """Creates and prints a new password for each client, or for `client` only."""
    secret = Secret(stack, stack.outputs()["CredentialsSecretArn"])
    value, logins = with_new_passwords(json.loads(secret.value()), client)
    had_previous = secret.previous() is not None
    secret.put(json.dumps(value))
    print("Give this to SmartClean. It is valid in ten seconds:\n")
    for login in logins:
        _print_login(*login)
    _print_end_of_previous("password", had_previous)


def rotate_signing_key(stack):
    """Creates a new key for OAuth tokens."""
    outputs = stack.outputs()
    if "SigningKeySecretArn" not in outputs:
        raise CommandError("There is no signing key: the auth method oauth is off.", "to turn it on, see docs/connect.md.")
    secret = Secret(stack, outputs["SigningKeySecretArn"])
    had_previous = secret.previous() is not None
    secret.put(_random_text(64))
    print("New tokens are signed with a new key. SmartClean does not have to change anything.")
    _print_end_of_previous("key", had_previous)


def revoke_previous(stack):
    """Revokes the previous passwords and signing key."""
    outputs = stack.outputs()
    secrets = {"passwords and keys": outputs["CredentialsSecretArn"], "signing key": outputs.get("SigningKeySecretArn")}
    revoked = [name for name, arn in secrets.items() if arn and Secret(stack, arn).revoke_previous()]
    if not revoked:
        print("There is nothing to revoke: no secret has a previous version.")
        return
    print(f"Revoked: the previous {' and the previous '.join(revoked)}.")
    print(f"Running copies of the function accept them until {_format_time(_now() + REFRESH_INTERVAL)}.")
    print("To end that now, restart the function: change its description in the console.")


def add_event_hub_key(stack, name):
    """Creates and prints a shared access key for Azure Event Hubs."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name):
        raise CommandError(f"{name!r} is not a valid key name.", "use letters, digits and . _ - only: make event-hub-key NAME=name")
    outputs = stack.outputs()
    secret = Secret(stack, outputs["CredentialsSecretArn"])
    value, key = with_event_hub_key(json.loads(secret.value()), name)
    had_previous = secret.previous() is not None
    secret.put(json.dumps(value))
    print("Give this to SmartClean, for Azure Event Hubs:\n")
    print(f"send URL:  {outputs.get('EventHubUrl', 'none, because the auth method event-hub is off (docs/connect.md)')}")
    print(f"key name:  {name}\nkey:       {key}")
    if had_previous:
        print("\nThis counts as a rotation: passwords and keys from before the last rotation are no longer accepted.")


def with_new_passwords(value, client=None):
    """The credentials with a new password for each client, or for `client` only; and the changed (username, password) pairs."""
    clients = value["clients"] if "clients" in value else [value]
    chosen = [entry for entry in clients if client in (None, entry["username"])]
    if not chosen:
        names = ", ".join(entry["username"] for entry in clients)
        raise CommandError(f"There is no client {client}. The clients: {names}.", "use one of these names.")
    hashed = [entry["username"] for entry in chosen if HASH.match(entry["password"])]
    if hashed:
        raise CommandError(
            f"The password of {', '.join(hashed)} is a hash. This command creates plain passwords only.",
            "hash a new password and write it into the secret yourself. The previous one stays valid for a day. "
            "For another client: make rotate-credentials CLIENT=name.",
        )
    for entry in chosen:
        entry["password"] = _random_text(40)
    return value, [(entry["username"], entry["password"]) for entry in chosen]


def with_event_hub_key(value, name):
    """The credentials with a new shared access key, and the key: 32 random bytes in Base64, the format of Azure."""
    if "clients" not in value:
        login = {key: value.pop(key) for key in ("username", "password") if key in value}
        value = {"clients": [login] if login else [], **value}
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    value["event_hub_keys"] = {**value.get("event_hub_keys", {}), name: key}
    return value, key


def _random_text(length):
    """Letters and digits only: people paste it into forms, shells and messages."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def _now():
    return datetime.datetime.now(datetime.timezone.utc)


def _format_time(moment):
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _print_login(username, password):
    print(f"username: {username}\npassword: {password}")


def _print_end_of_previous(name, had_previous):
    print(f"\nThe previous {name} also works until {_format_time(_now() + PREVIOUS_ACCEPTED)}.")
    if had_previous:
        print(f"The {name} before that stops working within {REFRESH_INTERVAL.seconds // 60} minutes.")
    print(f"If the previous {name} leaked, run make revoke-previous.")
