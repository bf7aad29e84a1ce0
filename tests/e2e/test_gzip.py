"""A push in gzip, in each form in which API Gateway can pass it to the deployed function. Forms that MiniStack does not produce are
sent to the function as events."""

import base64
import gzip
import hashlib
import json

import pytest
from test_stack import reading

GZIP = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


def batch():
    """The body of a push with one reading, and the text of the reading."""
    text = json.dumps(reading(1))
    return json.dumps([text]).encode(), text


def event(stack, version, body, is_base64, headers):
    """The event of an HTTP API ("2.0") or a REST API (no version)."""
    login = base64.b64encode(":".join(stack.credentials).encode()).decode()
    common = {"headers": {**headers, "Authorization": f"Basic {login}"}, "body": body, "isBase64Encoded": is_base64}
    if version == "2.0":
        http = {"method": "POST", "path": "/push", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"}
        context = {"http": http, "requestId": "r", "stage": "$default", "timeEpoch": 0}
        return {**common, "version": "2.0", "rawPath": "/push", "rawQueryString": "", "requestContext": context}
    context = {"path": "/prod/push", "stage": "prod", "httpMethod": "POST", "requestId": "r", "identity": {"sourceIp": "192.0.2.7"}}
    return {**common, "resource": "/{proxy+}", "path": "/push", "httpMethod": "POST", "requestContext": context}


def as_base64(data):
    return base64.b64encode(data).decode(), True


def stored_text(stack, body):
    batch_id = hashlib.sha256(body).hexdigest()[:32]
    (key,) = (key for key in stack.keys() if batch_id in key)
    return stack.text(key)


def push_through_gateway(stack, body, content_type):
    headers = {**GZIP, "Content-Type": content_type}
    return stack.request("POST", "/push", data=gzip.compress(body), headers=headers, auth=stack.credentials)


def test_gzip_as_octet_stream_is_decompressed(stack):
    body, text = batch()
    response = push_through_gateway(stack, body, "application/octet-stream")
    assert (response.status_code, response.json().get("accepted")) == (200, 1), response.text
    assert stored_text(stack, body) == f"{text}\n"


def test_gzip_that_the_gateway_treated_as_text_is_refused_with_the_remedy(stack):
    response = push_through_gateway(stack, batch()[0], "application/json")
    assert response.status_code == 415 and "application/octet-stream" in response.json()["detail"], response.text


@pytest.mark.parametrize("version", ["2.0", None])
def test_gzip_as_base64_is_decompressed(stack, version):
    body, text = batch()
    response = stack.invoke(event(stack, version, *as_base64(gzip.compress(body)), GZIP))
    assert response["statusCode"] == 200, response
    assert stored_text(stack, body) == f"{text}\n"


@pytest.mark.parametrize("version", ["2.0", None])
def test_body_that_the_gateway_decompressed_is_accepted(stack, version):
    body, text = batch()
    response = stack.invoke(event(stack, version, body.decode(), False, GZIP))
    assert response["statusCode"] == 200, response
    assert stored_text(stack, body) == f"{text}\n"


def test_truncated_or_unlabelled_gzip_gets_400(stack):
    compressed = gzip.compress(batch()[0])
    for data, headers in [(compressed[:-9], GZIP), (compressed, {"Content-Type": "application/json"})]:
        response = stack.invoke(event(stack, "2.0", *as_base64(data), headers))
        assert response["statusCode"] == 400, response
        assert "octet-stream" not in response["body"]
