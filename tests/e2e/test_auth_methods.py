"""The auth methods over HTTP, each with a third-party client."""

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


def assert_unauthorized(all_methods, path="/push", **options):
    response = all_methods.request("POST", path, data=body(), **options)
    assert response.status_code == 401, response.text
    return response


# ---- Basic -----------------------------------------------------------------------------------------------------------


def test_basic_with_requests_and_httpx_accepts_a_password_in_any_script(all_methods):
    """In UTF-8, as in RFC 7617 and in the challenge. requests takes bytes, httpx encodes by itself."""
    username, password = "smartclean", "pässwörd-密码-£"
    with all_methods.secret({"clients": [{"username": username, "password": password}]}):
        response = all_methods.push(reading(1), credentials=(username.encode(), password.encode()))
        assert response.status_code == 200, response.text
        assert all_methods.push(reading(1), credentials=(username.encode(), b"pa" + password.encode())).status_code == 401
        with httpx.Client(verify=ssl.create_default_context(cafile=all_methods.aws.certificate), headers={"Host": all_methods.host}) as client:
            url = f"{all_methods.aws.endpoint}/push"
            response = client.post(url, content=body(), auth=(username, password), timeout=60)
            assert response.status_code == 200, response.text
            assert client.post(url, content=body(), auth=(username, "wrong"), timeout=60).status_code == 401


def test_each_client_has_its_own_password(all_methods):
    clients = [{"username": name, "password": f"secret of {name}"} for name in ("one", "two")]
    with all_methods.secret({"clients": clients}):
        assert all_methods.push(reading(1), credentials=("one", "secret of one")).status_code == 200
        assert all_methods.push(reading(1), credentials=("two", "secret of two")).status_code == 200
        assert all_methods.push(reading(1), credentials=("one", "secret of two")).status_code == 401


# ---- OAuth -----------------------------------------------------------------------------------------------------------


class Session(OAuth2Session):
    """The client of authlib, with another host name than the address."""

    def __init__(self, all_methods, *arguments, host=None, **options):
        super().__init__(*arguments, **options)
        self.verify, self.trust_env = str(all_methods.aws.certificate), False  # Otherwise, the certificate in the environment has priority.
        if host:
            self.headers["Host"] = host

    def push(self, all_methods):
        """Pushes with the token. Refreshes it first if it has expired."""
        return self.post(f"{all_methods.aws.endpoint}/push", data=body(), headers={"Host": all_methods.host}, timeout=60)


@pytest.fixture
def session(all_methods):
    client_id, client_secret = all_methods.credentials
    token_url = f"{all_methods.aws.endpoint}/oauth2/token"
    return Session(all_methods, client_id, client_secret, host=all_methods.host, token_endpoint=token_url)


def test_push_with_a_token_from_client_credentials_is_accepted(all_methods, session):
    token = session.fetch_token(grant_type="client_credentials")
    assert token["token_type"].lower() == "bearer" and token["expires_in"] > 0 and token["refresh_token"]
    response = session.push(all_methods)
    assert response.status_code == 200, response.text


def test_client_may_send_its_credentials_in_the_form(all_methods):
    client_id, client_secret = all_methods.credentials
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    response = all_methods.request("POST", "/oauth2/token", data=form)
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "no-store"
    token = response.json()["access_token"]
    assert all_methods.request("POST", "/push", data=body(), headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_expired_token_is_refreshed(all_methods, session):
    used = []
    session.update_token = lambda token, refresh_token=None, access_token=None: used.append(refresh_token)
    first = session.fetch_token(grant_type="client_credentials")
    # Tokens expire after 15 minutes. authlib then uses the refresh token, and passes it to update_token.
    session.metadata.pop("grant_type", None)
    session.token = {**first, "expires_at": int(time.time()) - 1}
    response = session.push(all_methods)
    assert response.status_code == 200, response.text
    assert used == [first["refresh_token"]]
    assert session.token["access_token"] != first["access_token"] and session.token["expires_at"] > time.time()


def test_wrong_client_grant_or_token_is_refused_as_in_the_rfcs(all_methods):
    def request_token(auth, **form):
        response = all_methods.request("POST", "/oauth2/token", data=form, auth=auth)
        return response.status_code, response.json()["error"]

    right, wrong = all_methods.credentials, (all_methods.credentials[0], "wrong")
    assert request_token(wrong, grant_type="client_credentials") == (401, "invalid_client")
    assert request_token(right, grant_type="password") == (400, "unsupported_grant_type")
    assert request_token(right, grant_type="refresh_token", refresh_token="wrong") == (400, "invalid_grant")
    response = assert_unauthorized(all_methods, headers={"Authorization": "Bearer wrong"})
    challenge = response.headers.get("WWW-Authenticate") or response.headers.get("x-amzn-Remapped-WWW-Authenticate")
    assert 'error="invalid_token"' in challenge


def test_refresh_token_is_not_accepted_as_access_token(all_methods, session):
    session.fetch_token(grant_type="client_credentials")
    refresh = session.token["refresh_token"]
    assert_unauthorized(all_methods, headers={"Authorization": f"Bearer {refresh}"})


# ---- An external issuer ----------------------------------------------------------------------------------------------


def token_of(all_methods, client, scope):
    """Requests a token for a client and a scope from the user pool."""
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


def test_push_with_a_token_of_the_external_issuer_is_accepted(all_methods):
    token = token_of(all_methods, all_methods.pool.client, UserPool.SCOPE)
    assert all_methods.outputs["JwtPushUrl"].endswith("/push/jwt")
    response = push_with(all_methods, token)
    assert response.status_code == 200 and response.json()["accepted"] == 1, response.text
    assert push_with(all_methods, token, "/push").status_code == 401, "it is valid for /push/jwt only"


def test_api_gateway_refuses_other_tokens_before_the_function(all_methods, session):
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
        response = push_with(all_methods, token)
        assert response.status_code == status, response.text
        assert response.headers["Content-Type"] == "application/json", "API Gateway's own response"
    assert all_methods.request("POST", "/push/jwt", data=body(), auth=all_methods.credentials).status_code == 401
    # The function refuses other HTTP methods.
    response = all_methods.request("GET", "/push/jwt", headers={"Authorization": f"Bearer {good}"})
    assert response.status_code == 405 and response.headers["Content-Type"] == "application/problem+json"


# ---- Azure Event Hubs ------------------------------------------------------------------------------------------------


def generate_sas_token(uri, key_name, key, expiry=3600):
    """The example of Microsoft for Python, with other names:
    https://learn.microsoft.com/rest/api/eventhub/generate-sas-token"""
    expiry = str(int(time.time() + expiry))
    uri = urllib.parse.quote_plus(uri)
    signed = hmac.HMAC(key.encode("utf-8"), f"{uri}\n{expiry}".encode(), hashlib.sha256)
    signature = urllib.parse.quote(base64.b64encode(signed.digest()))
    return f"SharedAccessSignature sr={uri}&sig={signature}&se={expiry}&skn={key_name}"


@pytest.fixture(scope="module")
def shared_key(all_methods):
    """The name and the value of a key that the operator created."""
    output = all_methods.operator.run("event-hub-key", "smartclean")
    assert all_methods.outputs["EventHubUrl"] in output
    all_methods.force_cold_start()
    return "smartclean", output.split("key:       ")[1].split()[0]


def send(all_methods, token, data, batch=False):
    kind = "application/vnd.microsoft.servicebus.json" if batch else "application/json; charset=utf-8"
    return all_methods.request("POST", "/push/messages", data=data, headers={"Authorization": token, "Content-Type": kind})


def test_event_hubs_send_call_accepts_an_event_and_a_batch(all_methods, shared_key):
    token = generate_sas_token(f"https://{all_methods.host}/push", *shared_key)
    single = body().encode()
    response = send(all_methods, token, single)
    assert response.status_code == 201, response.text
    text = json.dumps(reading(1))
    all_methods.wait_until_stored(single)
    batch = json.dumps([{"Body": json.dumps([text])}])
    response = send(all_methods, token, batch, batch=True)
    assert response.status_code == 201, response.text
    stored = [all_methods.text(key) for key in all_methods.keys("raw-undated/")]
    assert any(text in each for each in stored)


def test_event_hubs_signature_must_be_valid_and_not_expired(all_methods, shared_key):
    name, key = shared_key
    hub = f"https://{all_methods.host}/push"
    for token in (
        generate_sas_token(hub, name, key, expiry=-3600),
        generate_sas_token(hub, name, key + "x"),
        generate_sas_token(hub, "another", key),
        generate_sas_token(f"https://{all_methods.host}/another", name, key),
    ):
        assert send(all_methods, token, body()).status_code == 401
    assert_unauthorized(all_methods, "/push/messages")


def test_password_stays_valid_after_an_event_hub_key_is_created(all_methods, shared_key):
    assert all_methods.push(reading(1)).status_code == 200


def test_auth_method_that_is_removed_from_the_settings_is_disabled(all_methods):
    path = "/oauth2/token"
    assert all_methods.request("POST", path, auth=all_methods.credentials).status_code == 400
    all_methods.operator.deploy_without("AuthMethods")
    try:
        assert all_methods.request("POST", path, auth=all_methods.credentials).status_code == 404
        assert all_methods.push(reading(1)).status_code == 200
    finally:
        all_methods.deploy_with(AuthMethods="basic,oauth,event-hub")
    assert all_methods.request("POST", path, auth=all_methods.credentials).status_code == 400
