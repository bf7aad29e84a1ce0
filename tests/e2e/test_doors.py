"""Ways to authenticate over HTTP, each by a client that was not written here."""

import base64
import hashlib
import hmac
import json
import time
import urllib.parse

import httpx
import pytest
from authlib.integrations.requests_client import OAuth2Session
from test_stack import reading


def body():
    return json.dumps([json.dumps(reading(1))])


def without_credentials_it_is_refused(doors, path="/push", **options):
    answer = doors.request("POST", path, data=body(), **options)
    assert answer.status_code == 401, answer.text
    return answer


# ---- Basic -----------------------------------------------------------------------------------------------------------


def test_basic_by_requests_and_httpx_with_a_password_in_any_script(doors):
    """UTF-8, as RFC 7617 says and the challenge asks for; requests takes it as bytes, httpx does it by itself."""
    username, password = "smartclean", "pässwörd-密码-£"
    with doors.secret({"clients": [{"username": username, "password": password}]}):
        answer = doors.push(reading(1), credentials=(username.encode(), password.encode()))
        assert answer.status_code == 200, answer.text
        assert doors.push(reading(1), credentials=(username.encode(), b"pa" + password.encode())).status_code == 401
        with httpx.Client(verify=str(doors.aws.certificate), headers={"Host": doors.host}) as client:
            url = f"{doors.aws.endpoint}/push"
            answer = client.post(url, content=body(), auth=(username, password), timeout=60)
            assert answer.status_code == 200, answer.text
            assert client.post(url, content=body(), auth=(username, "wrong"), timeout=60).status_code == 401


def test_several_clients_have_each_their_own_password(doors):
    clients = [{"username": name, "password": f"secret of {name}"} for name in ("one", "two")]
    with doors.secret({"clients": clients}):
        assert doors.push(reading(1), credentials=("one", "secret of one")).status_code == 200
        assert doors.push(reading(1), credentials=("two", "secret of two")).status_code == 200
        assert doors.push(reading(1), credentials=("one", "secret of two")).status_code == 401


# ---- OAuth -----------------------------------------------------------------------------------------------------------


class Session(OAuth2Session):
    """authlib's client, for an address that has another name than the host has."""

    def __init__(self, doors, *arguments, host=None, **options):
        super().__init__(*arguments, **options)
        self.verify = str(doors.aws.certificate)
        if host:
            self.headers["Host"] = host

    def push(self, doors):
        """Pushes to the deployed stack with the token; refreshed first where that has expired."""
        return self.post(f"{doors.aws.endpoint}/push", data=body(), headers={"Host": doors.host}, timeout=60)


@pytest.fixture
def session(doors):
    client_id, client_secret = doors.credentials
    token_url = f"{doors.aws.endpoint}/oauth2/token"
    return Session(doors, client_id, client_secret, host=doors.host, token_endpoint=token_url)


def test_token_by_client_credentials_lets_a_push_in(doors, session):
    token = session.fetch_token(grant_type="client_credentials")
    assert token["token_type"].lower() == "bearer" and token["expires_in"] > 0 and token["refresh_token"]
    answer = session.push(doors)
    assert answer.status_code == 200, answer.text


def test_client_may_name_itself_in_the_form(doors):
    client_id, client_secret = doors.credentials
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    answer = doors.request("POST", "/oauth2/token", data=form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()["access_token"]
    assert doors.request("POST", "/push", data=body(), headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_expired_token_is_refreshed_by_itself(doors, session):
    renewed = []
    session.update_token = lambda token, refresh_token=None, access_token=None: renewed.append(refresh_token)
    first = session.fetch_token(grant_type="client_credentials")
    # As it will be in a quarter of an hour. The grant that authlib then uses is the refresh token's, which it says by what it hands to
    # update_token.
    session.metadata.pop("grant_type", None)
    session.token = {**first, "expires_at": int(time.time()) - 1}
    answer = session.push(doors)
    assert answer.status_code == 200, answer.text
    assert renewed == [first["refresh_token"]]
    assert session.token["access_token"] != first["access_token"] and session.token["expires_at"] > time.time()


def test_wrong_client_wrong_grant_and_wrong_token_are_refused_as_the_rfcs_say(doors):
    def ask(auth, **form):
        answer = doors.request("POST", "/oauth2/token", data=form, auth=auth)
        return answer.status_code, answer.json()["error"]

    right, wrong = doors.credentials, (doors.credentials[0], "wrong")
    assert ask(wrong, grant_type="client_credentials") == (401, "invalid_client")
    assert ask(right, grant_type="password") == (400, "unsupported_grant_type")
    assert ask(right, grant_type="refresh_token", refresh_token="wrong") == (400, "invalid_grant")
    answer = without_credentials_it_is_refused(doors, headers={"Authorization": "Bearer wrong"})
    renamed = answer.headers.get("WWW-Authenticate") or answer.headers.get("x-amzn-Remapped-WWW-Authenticate")
    assert 'error="invalid_token"' in renamed


def test_refresh_token_is_no_access_token(doors, session):
    session.fetch_token(grant_type="client_credentials")
    refresh = session.token["refresh_token"]
    without_credentials_it_is_refused(doors, headers={"Authorization": f"Bearer {refresh}"})


# ---- An outside issuer -----------------------------------------------------------------------------------------------


def cognito_secret(doors):
    pool, client = doors.outputs["CognitoPoolId"], doors.outputs["CognitoClientId"]
    described = doors.aws.client("cognito-idp").describe_user_pool_client(UserPoolId=pool, ClientId=client)
    return described["UserPoolClient"]["ClientSecret"]


def test_token_of_cognito_lets_a_push_in(doors):
    token_url = f"{doors.aws.endpoint}/oauth2/token"
    cognito = Session(
        doors, doors.outputs["CognitoClientId"], cognito_secret(doors),
        scope=doors.outputs["CognitoScope"], token_endpoint=token_url,
    )  # fmt: skip
    token = cognito.fetch_token(grant_type="client_credentials")
    claims = token["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert claims["iss"] == doors.outputs["CognitoIssuer"] and "aud" not in claims
    answer = cognito.push(doors)
    assert answer.status_code == 200, answer.text


def test_token_of_another_client_of_the_same_pool_is_refused(doors):
    made = doors.aws.client("cognito-idp").create_user_pool_client(
        UserPoolId=doors.outputs["CognitoPoolId"], ClientName="another", GenerateSecret=True,
        AllowedOAuthFlowsUserPoolClient=True, AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=[doors.outputs["CognitoScope"]],
    )["UserPoolClient"]  # fmt: skip
    another = Session(
        doors, made["ClientId"], made["ClientSecret"],
        scope=doors.outputs["CognitoScope"], token_endpoint=f"{doors.aws.endpoint}/oauth2/token",
    )  # fmt: skip
    another.fetch_token(grant_type="client_credentials")
    assert another.push(doors).status_code == 401


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
def shared_key(doors):
    """A key that the operator made: its name and its text."""
    said = doors.operator.run("event-hub-key", "smartclean")
    assert doors.outputs["EventHubUrl"] in said
    doors.start_cold()
    return "smartclean", said.split("key:       ")[1].split()[0]


def send(doors, token, data, batch=False):
    kind = "application/vnd.microsoft.servicebus.json" if batch else "application/json; charset=utf-8"
    return doors.request("POST", "/push/messages", data=data, headers={"Authorization": token, "Content-Type": kind})


def test_event_hubs_send_call_takes_single_and_batch(doors, shared_key):
    token = generate_sas_token(f"https://{doors.host}/push", *shared_key)
    single = body().encode()
    answer = send(doors, token, single)
    assert answer.status_code == 201, answer.text
    said = json.dumps(reading(1))
    doors.stored(single)
    batch = json.dumps([{"Body": json.dumps([said])}])
    answer = send(doors, token, batch, batch=True)
    assert answer.status_code == 201, answer.text
    texts = [doors.text(key) for key in doors.keys("raw-undated/")]
    assert any(said in text for text in texts)


def test_event_hubs_signature_must_be_right_and_not_expired(doors, shared_key):
    name, key = shared_key
    hub = f"https://{doors.host}/push"
    for token in (
        generate_sas_token(hub, name, key, expiry=-3600),
        generate_sas_token(hub, name, key + "x"),
        generate_sas_token(hub, "another", key),
        generate_sas_token(f"https://{doors.host}/another", name, key),
    ):
        assert send(doors, token, body()).status_code == 401
    without_credentials_it_is_refused(doors, "/push/messages")


def test_password_stays_valid_when_an_event_hub_key_is_made(doors, shared_key):
    assert doors.push(reading(1)).status_code == 200
