"""Ways to authenticate over HTTP, each by a client that was not written here."""

import base64
import hashlib
import hmac
import json
import ssl
import time
import urllib.parse

import httpx
import pytest
from authlib.integrations.requests_client import OAuth2Session
from deployed import UserPool
from test_stack import reading


def body():
    return json.dumps([json.dumps(reading(1))])


def without_credentials_it_is_refused(all_methods, path="/push", **options):
    answer = all_methods.request("POST", path, data=body(), **options)
    assert answer.status_code == 401, answer.text
    return answer


# ---- Basic -----------------------------------------------------------------------------------------------------------


def test_basic_by_requests_and_httpx_with_a_password_in_any_script(all_methods):
    """UTF-8, as RFC 7617 says and the challenge asks for; requests takes it as bytes, httpx does it by itself."""
    username, password = "smartclean", "pässwörd-密码-£"
    with all_methods.secret({"clients": [{"username": username, "password": password}]}):
        answer = all_methods.push(reading(1), credentials=(username.encode(), password.encode()))
        assert answer.status_code == 200, answer.text
        assert all_methods.push(reading(1), credentials=(username.encode(), b"pa" + password.encode())).status_code == 401
        with httpx.Client(verify=ssl.create_default_context(cafile=all_methods.aws.certificate), headers={"Host": all_methods.host}) as client:
            url = f"{all_methods.aws.endpoint}/push"
            answer = client.post(url, content=body(), auth=(username, password), timeout=60)
            assert answer.status_code == 200, answer.text
            assert client.post(url, content=body(), auth=(username, "wrong"), timeout=60).status_code == 401


def test_several_clients_have_each_their_own_password(all_methods):
    clients = [{"username": name, "password": f"secret of {name}"} for name in ("one", "two")]
    with all_methods.secret({"clients": clients}):
        assert all_methods.push(reading(1), credentials=("one", "secret of one")).status_code == 200
        assert all_methods.push(reading(1), credentials=("two", "secret of two")).status_code == 200
        assert all_methods.push(reading(1), credentials=("one", "secret of two")).status_code == 401


# ---- OAuth -----------------------------------------------------------------------------------------------------------


class Session(OAuth2Session):
    """authlib's client, for an address that has another name than the host has."""

    def __init__(self, all_methods, *arguments, host=None, **options):
        super().__init__(*arguments, **options)
        self.verify, self.trust_env = str(all_methods.aws.certificate), False  # an environment's authority would go first
        if host:
            self.headers["Host"] = host

    def push(self, all_methods):
        """Pushes to the deployed stack with the token; refreshed first where that has expired."""
        return self.post(f"{all_methods.aws.endpoint}/push", data=body(), headers={"Host": all_methods.host}, timeout=60)


@pytest.fixture
def session(all_methods):
    client_id, client_secret = all_methods.credentials
    token_url = f"{all_methods.aws.endpoint}/oauth2/token"
    return Session(all_methods, client_id, client_secret, host=all_methods.host, token_endpoint=token_url)


def test_token_by_client_credentials_lets_a_push_in(all_methods, session):
    token = session.fetch_token(grant_type="client_credentials")
    assert token["token_type"].lower() == "bearer" and token["expires_in"] > 0 and token["refresh_token"]
    answer = session.push(all_methods)
    assert answer.status_code == 200, answer.text


def test_client_may_name_itself_in_the_form(all_methods):
    client_id, client_secret = all_methods.credentials
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    answer = all_methods.request("POST", "/oauth2/token", data=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()["access_token"]
    assert all_methods.request("POST", "/push", data=body(), headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_expired_token_is_refreshed_by_itself(all_methods, session):
    renewed = []
    session.update_token = lambda token, refresh_token=None, access_token=None: renewed.append(refresh_token)
    first = session.fetch_token(grant_type="client_credentials")
    # As it will be in a quarter of an hour. The grant that authlib then uses is the refresh token's, which it says by what it hands to
    # update_token.
    session.metadata.pop("grant_type", None)
    session.token = {**first, "expires_at": int(time.time()) - 1}
    answer = session.push(all_methods)
    assert answer.status_code == 200, answer.text
    assert renewed == [first["refresh_token"]]
    assert session.token["access_token"] != first["access_token"] and session.token["expires_at"] > time.time()


def test_wrong_client_wrong_grant_and_wrong_token_are_refused_as_the_rfcs_say(all_methods):
    def ask(auth, **form):
        answer = all_methods.request("POST", "/oauth2/token", data=form, auth=auth)
        return answer.status_code, answer.json()["error"]

    right, wrong = all_methods.credentials, (all_methods.credentials[0], "wrong")
    assert ask(wrong, grant_type="client_credentials") == (401, "invalid_client")
    assert ask(right, grant_type="password") == (400, "unsupported_grant_type")
    assert ask(right, grant_type="refresh_token", refresh_token="wrong") == (400, "invalid_grant")
    answer = without_credentials_it_is_refused(all_methods, headers={"Authorization": "Bearer wrong"})
    renamed = answer.headers.get("WWW-Authenticate") or answer.headers.get("x-amzn-Remapped-WWW-Authenticate")
    assert 'error="invalid_token"' in renamed


def test_refresh_token_is_no_access_token(all_methods, session):
    session.fetch_token(grant_type="client_credentials")
    refresh = session.token["refresh_token"]
    without_credentials_it_is_refused(all_methods, headers={"Authorization": f"Bearer {refresh}"})


# ---- An external issuer ----------------------------------------------------------------------------------------------


def token_of(all_methods, client, scope):
    """A token that the pool gives to a client for a scope."""
    cognito = Session(
        all_methods, client["ClientId"], client["ClientSecret"], scope=scope, token_endpoint=f"{all_methods.aws.endpoint}/oauth2/token"
    )
    token = cognito.fetch_token(grant_type="client_credentials")["access_token"]
    claims = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["iss"] == all_methods.pool.issuer and "aud" not in claims
    return token


def push_with(all_methods, token, path="/push/jwt"):
    return all_methods.request("POST", path, data=body(), headers={"Authorization": f"Bearer {token}"})


def test_token_of_the_external_issuer_lets_a_push_in(all_methods):
    token = token_of(all_methods, all_methods.pool.client, UserPool.SCOPE)
    assert all_methods.outputs["JwtPushUrl"].endswith("/push/jwt")
    answer = push_with(all_methods, token)
    assert answer.status_code == 200 and answer.json()["accepted"] == 1, answer.text
    assert push_with(all_methods, token, "/push").status_code == 401, "it opens its own path and no other"


def test_api_gateway_refuses_other_tokens_before_the_function_sees_them(all_methods, session):
    own = session.fetch_token(grant_type="client_credentials")["access_token"]
    another = all_methods.pool.add_client(UserPool.SCOPE)
    good = token_of(all_methods, all_methods.pool.client, UserPool.SCOPE)
    for token, status in (
        (own, 401),
        (token_of(all_methods, another, UserPool.SCOPE), 401),
        (good[:-8] + "AAAAAAAA", 401),
        ("", 401),
        (token_of(all_methods, all_methods.pool.client, "smartclean-push/read"), 403),
    ):
        answer = push_with(all_methods, token)
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"] == "application/json", "API Gateway's own answer"
    assert all_methods.request("POST", "/push/jwt", data=body(), auth=all_methods.credentials).status_code == 401
    # Another method is the function's to refuse, which knows its own paths.
    answer = all_methods.request("GET", "/push/jwt", headers={"Authorization": f"Bearer {good}"})
    assert answer.status_code == 405 and answer.headers["Content-Type"] == "application/problem+json"


# ---- Azure Event Hubs ------------------------------------------------------------------------------------------------


def generate_sas_token(uri, key_name, key, expiry=3600):
    """Microsoft's recipe for Python, but for its names:
    https://learn.microsoft.com/rest/api/eventhub/generate-sas-token"""
    expiry = str(int(time.time() + expiry))
    uri = urllib.parse.quote_plus(uri)
    signed = hmac.HMAC(key.encode("utf-8"), f"{uri}\n{expiry}".encode(), hashlib.sha256)
    signature = urllib.parse.quote(base64.b64encode(signed.digest()))
    return f"SharedAccessSignature sr={uri}&sig={signature}&se={expiry}&skn={key_name}"


@pytest.fixture(scope="module")
def shared_key(all_methods):
    """A key that the operator made: its name and its text."""
    said = all_methods.operator.run("event-hub-key", "smartclean")
    assert all_methods.outputs["EventHubUrl"] in said
    all_methods.start_cold()
    return "smartclean", said.split("key:       ")[1].split()[0]


def send(all_methods, token, data, batch=False):
    kind = "application/vnd.microsoft.servicebus.json" if batch else "application/json; charset=utf-8"
    return all_methods.request("POST", "/push/messages", data=data, headers={"Authorization": token, "Content-Type": kind})


def test_event_hubs_send_call_takes_single_and_batch(all_methods, shared_key):
    token = generate_sas_token(f"https://{all_methods.host}/push", *shared_key)
    single = body().encode()
    answer = send(all_methods, token, single)
    assert answer.status_code == 201, answer.text
    said = json.dumps(reading(1))
    all_methods.stored(single)
    batch = json.dumps([{"Body": json.dumps([said])}])
    answer = send(all_methods, token, batch, batch=True)
    assert answer.status_code == 201, answer.text
    texts = [all_methods.text(key) for key in all_methods.keys("raw-undated/")]
    assert any(said in text for text in texts)


def test_event_hubs_signature_must_be_right_and_not_expired(all_methods, shared_key):
    name, key = shared_key
    hub = f"https://{all_methods.host}/push"
    for token in (
        generate_sas_token(hub, name, key, expiry=-3600),
        generate_sas_token(hub, name, key + "x"),
        generate_sas_token(hub, "another", key),
        generate_sas_token(f"https://{all_methods.host}/another", name, key),
    ):
        assert send(all_methods, token, body()).status_code == 401
    without_credentials_it_is_refused(all_methods, "/push/messages")


def test_password_stays_valid_when_an_event_hub_key_is_made(all_methods, shared_key):
    assert all_methods.push(reading(1)).status_code == 200


def test_auth_method_that_is_removed_from_the_answers_closes(all_methods):
    path = "/oauth2/token"
    assert all_methods.request("POST", path, auth=all_methods.credentials).status_code == 400
    all_methods.operator.deploy_without("AuthMethods")
    try:
        assert all_methods.request("POST", path, auth=all_methods.credentials).status_code == 404
        assert all_methods.push(reading(1)).status_code == 200
    finally:
        all_methods.deploy_with(AuthMethods="basic,oauth,event-hub")
    assert all_methods.request("POST", path, auth=all_methods.credentials).status_code == 400
