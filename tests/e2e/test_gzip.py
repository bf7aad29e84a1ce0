"""A push in gzip, in each form in which API Gateway may hand it to the deployed function. What the stand-in's gateway does not do
itself is given to the function as the event that AWS's would make of it."""

import base64
import gzip
import hashlib
import json

import pytest
from test_stack import reading

GZIP = {"Content-Encoding": "gzip", "Content-Type": "application/json"}


def batch():
    """The body of a push of one reading, and the reading's text."""
    text = json.dumps(reading(1))
    return json.dumps([text]).encode(), text


def event(stack, version, body, is_base64, headers):
    """The event of an HTTP API ("2.0"), or of a REST API, which names no version."""
    login = base64.b64encode(":".join(stack.credentials).encode()).decode()
    common = {"headers": {**headers, "Authorization": f"Basic {login}"}, "body": body, "isBase64Encoded": is_base64}
    if version == "2.0":
        http = {"method": "POST", "path": "/push", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"}
        context = {"http": http, "requestId": "r", "stage": "$default", "timeEpoch": 0}
        return {**common, "version": "2.0", "rawPath": "/push", "rawQueryString": "", "requestContext": context}
    context = {"path": "/prod/push", "stage": "prod", "httpMethod": "POST", "requestId": "r", "identity": {"sourceIp": "192.0.2.7"}}
    return {**common, "resource": "/{proxy+}", "path": "/push", "httpMethod": "POST", "requestContext": context}


def as_base64(packed):
    return base64.b64encode(packed).decode(), True


def stored_text(stack, body):
    batch_id = hashlib.sha256(body).hexdigest()[:32]
    (key,) = (key for key in stack.keys() if batch_id in key)
    return stack.text(key)


def push_through_gateway(stack, body, content_type):
    headers = {**GZIP, "Content-Type": content_type}
    return stack.request("POST", "/push", data=gzip.compress(body), headers=headers, auth=stack.credentials)


def test_gzip_as_octet_stream_is_unpacked(stack):
    body, text = batch()
    answer = push_through_gateway(stack, body, "application/octet-stream")
    assert (answer.status_code, answer.json().get("accepted")) == (200, 1), answer.text
    assert stored_text(stack, body) == f"{text}\n"


def test_gzip_that_the_gateway_took_for_text_is_refused_with_the_remedy(stack):
    answer = push_through_gateway(stack, batch()[0], "application/json")
    assert answer.status_code == 415 and "application/octet-stream" in answer.json()["detail"], answer.text


@pytest.mark.parametrize("version", ["2.0", None])
def test_gzip_as_base64_is_unpacked(stack, version):
    body, text = batch()
    answer = stack.invoke(event(stack, version, *as_base64(gzip.compress(body)), GZIP))
    assert answer["statusCode"] == 200, answer
    assert stored_text(stack, body) == f"{text}\n"


@pytest.mark.parametrize("version", ["2.0", None])
def test_body_that_the_gateway_has_inflated_is_taken_as_it_is(stack, version):
    body, text = batch()
    answer = stack.invoke(event(stack, version, body.decode(), False, GZIP))
    assert answer["statusCode"] == 200, answer
    assert stored_text(stack, body) == f"{text}\n"


def test_gzip_that_is_broken_or_not_announced_is_refused_as_that(stack):
    packed = gzip.compress(batch()[0])
    for sent, headers in [(packed[:-9], GZIP), (packed, {"Content-Type": "application/json"})]:
        answer = stack.invoke(event(stack, "2.0", *as_base64(sent), headers))
        assert answer["statusCode"] == 400, answer
        assert "octet-stream" not in answer["body"]
