"""MiniStack with patches for its differences from AWS:

- Email and SMS: writes each message to such a subscription as a line of the file $POSTBOX. MiniStack only logs them, after it applied
  the filter policy and selected the text of the protocol.
- An unconfirmed subscription is listed with "PendingConfirmation" in place of its ARN. MiniStack lists its ARN.
- sns:Publish authorizes PublishBatch ("Grants permission to both publish and publish batch" in the service authorization reference).
  MiniStack requires an action sns:PublishBatch, which does not exist.
- dynamodb:PartiQLUpdate on the table authorizes BatchExecuteStatement with updates ("IAM security policies with PartiQL for DynamoDB").
  MiniStack requires an action dynamodb:BatchExecuteStatement, which does not exist, on every table.
- Policies can use the condition key s3:if-none-match. MiniStack does not have it.
- /health and /oauth2/token of a deployed API reach that API. MiniStack responds to them itself, the second one as Cognito.
- AWS IoT invokes a function asynchronously: only if the resource policy of the function allows the rule, with two retries, then the
  on-failure destination. If it is not allowed, the error action of the rule gets the message. MiniStack invokes it once, unchecked.
- AWS IoT and Lambda send to queues over TLS, as the policy of the queue requires.
- The record of an event that Lambda gave up on is complete. In MiniStack, it has no version, time or request id.
- MaximumConcurrency of an event source is a number, also from a parameter. MiniStack fails on the text.
- An HTTP API has the routes and authorizers of its OpenAPI body. MiniStack ignores the body.
- A JWT authorizer gets the keys of a Cognito pool without HTTP. MiniStack requests them from itself over HTTP, also if it uses TLS.
- Firehose buffers the records of a stream for IntervalInSeconds of its buffering hints, then writes them as one object, compressed as
  configured (https://docs.aws.amazon.com/firehose/latest/dev/buffering-hints.html, .../create-destination.html). MiniStack writes
  each record at once, uncompressed. Not bridged: SizeInMBs, and the permissions of the role.
- Each read of a secret writes a line to the log, so that a test can count them. MiniStack's CloudTrail has the last fifty calls only.
- Athena accepts its own SQL: ministack_athena.py.
- It listens on the given port only, not on port 443 too.
"""

import contextvars
import datetime
import gzip
import json
import logging
import os
import re
import threading
import uuid

import ministack_athena  # noqa: F401  (its import patches MiniStack)
from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import apigateway, cognito, firehose, iot, lambda_svc, secretsmanager, sns, sqs
from ministack.services.cloudformation import provisioners

build_envelope = sns._build_envelope
latest = {}


def build_and_record(topic_arn, message_id, message, subject, *rest):
    latest.update(message=message, subject=subject)
    return build_envelope(topic_arn, message_id, message, subject, *rest)


class Postbox(logging.Handler):
    def emit(self, record):
        if record.msg.startswith("SNS fanout → ") and record.msg.endswith("(stub)"):
            protocol = record.msg.split()[3].lower()
            with open(os.environ["POSTBOX"], "a", encoding="utf-8") as postbox:
                postbox.write(json.dumps({"protocol": protocol, "to": record.args[0], **latest}) + "\n")


sns._build_envelope = build_and_record
sns.logger.addHandler(Postbox())

list_subscriptions_by_topic = sns._list_subscriptions_by_topic


def list_with_pending(params):
    status, headers, body = list_subscriptions_by_topic(params)
    topic, _ = sns._get_topic(sns._p(params, "TopicArn"))
    for subscription in (topic or {}).get("subscriptions", []):
        if not subscription["confirmed"]:
            body = body.replace(subscription["arn"].encode(), b"PendingConfirmation")
    return status, headers, body


sns._list_subscriptions_by_topic = list_with_pending

extract_iam_action = iam_actions.extract_iam_action


def extract_real_action(*arguments, **options):
    action = extract_iam_action(*arguments, **options)
    return {"sns:PublishBatch": "sns:Publish", "dynamodb:BatchExecuteStatement": "dynamodb:PartiQLUpdate"}.get(action, action)


iam_actions.extract_iam_action = extract_real_action

dynamodb_resource_arns = iam_actions.dynamodb_resource_arns


def arns_of_updates(body, region, account):
    tables = set(re.findall(rb'"Statement":\s*"UPDATE \\"([\w.-]+)\\"', body or b""))
    return dynamodb_resource_arns(body, region, account) + [f"arn:aws:dynamodb:{region}:{account}:table/{table.decode()}" for table in tables]


iam_actions.dynamodb_resource_arns = arns_of_updates

s3_service_context = iam_actions.s3_service_context


def s3_context_with_preconditions(action, query, path="", headers=None):
    context = s3_service_context(action, query, path, headers)
    if action == "s3:PutObject" and (wanted := (headers or {}).get("if-none-match")):
        context["s3:if-none-match"] = wanted
    return context


iam_actions.s3_service_context = s3_context_with_preconditions


def may_invoke(function, rule_arn, account):
    """Whether the resource policy of the function allows AWS IoT to invoke it for this rule of this account."""
    for statement in (function.get("policy") or {}).get("Statement", []):
        condition = statement.get("Condition", {})
        wanted = condition.get("ArnLike", {}).get("AWS:SourceArn"), condition.get("StringEquals", {}).get("AWS:SourceAccount")
        principal = statement["Principal"]
        service = principal.get("Service") if isinstance(principal, dict) else principal
        if service == "iot.amazonaws.com" and wanted == (rule_arn, account):
            return True
    return False


dispatch_rule_action = iot._dispatch_rule_action


async def dispatch_asynchronously(account, region, rule_name, action, event):
    iam_evaluator.pin_request_origin("127.0.0.1", secure_transport=True)
    arn = (action.get("lambda") or {}).get("functionArn")
    if not arn:
        return await dispatch_rule_action(account, region, rule_name, action, event)
    function, config, _ = lambda_svc._get_func_record_for_ref_in_scope(arn, account_id=account, region=region)
    rule_arn = f"arn:aws:iot:{region}:{account}:rule/{rule_name}"
    if not function or not may_invoke(function, rule_arn, account):
        raise PermissionError(f"not allowed to invoke {arn} for {rule_arn}")
    record = {**lambda_svc._execution_record_for_config(function, config)}
    record["event_invoke_configs"] = function.get("event_invoke_configs") or {}
    lambda_svc.invoke_async_with_retry(record, event)


iot._dispatch_rule_action = dispatch_asynchronously


def record_in_queue(target, name, event, result):
    """Sends the record of a failed event to a queue that is the on-failure destination of a function."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record = {
        "version": "1.0",
        "timestamp": now,
        "requestContext": {
            "requestId": str(uuid.uuid4()),
            "functionArn": f"{lambda_svc._functions[name]['config']['FunctionArn']}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": result.get("body"),
    }
    iam_evaluator.pin_request_origin("127.0.0.1", secure_transport=True)
    sqs._act_send_message({"MessageBody": json.dumps(record)}, sqs._queue_by_arn(target)["url"])


lambda_svc._route_async_failure = record_in_queue


buffered, buffer_lock = {}, threading.Lock()


def deliver_buffer(stream, destination):
    with buffer_lock:
        data = b"".join(buffered.pop(stream["name"]))
    if destination["config"].get("CompressionFormat") == "GZIP":
        data = gzip.compress(data)
    iam_evaluator.pin_request_origin("127.0.0.1", secure_transport=True)
    firehose._deliver_to_s3(stream, destination, data)


def buffer_records(stream, destination, records):
    with buffer_lock:
        waiting = buffered.setdefault(stream["name"], [])
        waiting += [data for _, data in records]
        if len(waiting) == len(records):
            seconds = int(destination["config"]["BufferingHints"]["IntervalInSeconds"])
            timer = threading.Timer(seconds, contextvars.copy_context().run, (deliver_buffer, stream, destination))
            timer.daemon = True
            timer.start()


firehose._deliver_records_to_s3 = buffer_records


event_sources = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
create_event_source, update_event_source = event_sources["create"], event_sources["update"]


def with_numbers(props):
    scaling = props.get("ScalingConfig") or {}
    return {**props, "ScalingConfig": {name: int(value) for name, value in scaling.items()}} if scaling else props


event_sources.update(
    create=lambda logical_id, props, stack_name: create_event_source(logical_id, with_numbers(props), stack_name),
    update=lambda id, old, new, stack_name: update_event_source(id, with_numbers(old), with_numbers(new), stack_name),
)


def import_body(api, body):
    """Creates the routes, integrations and authorizers in the OpenAPI body of an HTTP API."""

    def make(create, id, **wanted):
        return json.loads(create(api, wanted)[2])[id]

    for resources in (apigateway._routes, apigateway._integrations, apigateway._authorizers):
        resources[api] = {}
    authorizers = {}
    for name, scheme in body.get("components", {}).get("securitySchemes", {}).items():
        wanted = scheme["x-amazon-apigateway-authorizer"]
        authorizers[name] = make(
            apigateway._create_authorizer, "authorizerId", name=name, authorizerType=wanted["type"].upper(),
            identitySource=[wanted["identitySource"]], jwtConfiguration=wanted["jwtConfiguration"],
        )  # fmt: skip
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            wanted = operation["x-amazon-apigateway-integration"]
            integration = make(
                apigateway._create_integration, "integrationId", integrationType=wanted["type"].upper(),
                integrationUri=wanted["uri"], payloadFormatVersion=wanted["payloadFormatVersion"],
                timeoutInMillis=wanted["timeoutInMillis"],
            )  # fmt: skip
            verb = "ANY" if method == "x-amazon-apigateway-any-method" else method.upper()
            key = path.lstrip("/") if operation.get("isDefaultRoute") else f"{verb} {path}"
            guard = {}
            for name, scopes in (named for requirement in operation.get("security", []) for named in requirement.items()):
                guard = {"authorizationType": "JWT", "authorizerId": authorizers[name], "authorizationScopes": scopes}
            make(apigateway._create_route, "routeId", routeKey=key, target=f"integrations/{integration}", **guard)


http_api = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
create_http_api, update_http_api = http_api["create"], http_api["update"]


def create_with_body(logical_id, props, stack_name):
    api, attributes = create_http_api(logical_id, props, stack_name)
    import_body(api, props["Body"])
    return api, attributes


def update_with_body(physical_id, old_props, new_props, stack_name, logical_id=None):
    api, attributes = update_http_api(physical_id, old_props, new_props, stack_name, logical_id)
    import_body(api, new_props["Body"])
    return api, attributes


http_api.update(create=create_with_body, update=update_with_body)


async def keys_of_pool(url):
    _, _, keys = cognito.well_known_jwks(url.split("/")[-3])
    return json.loads(keys)


apigateway._fetch_jwks = keys_of_pool

app._HEALTH_PATHS = ("/_ministack/health",)

get_secret_value = secretsmanager._get_secret_value


def get_and_log(data):
    print("GetSecretValue", flush=True)
    return get_secret_value(data)


secretsmanager._get_secret_value = get_and_log

handle_cognito_body_request = app._handle_cognito_body_request


async def handle_cognito_unless_api(method, path, headers, *rest):
    if app._EXECUTE_API_RE.match(headers.get("host", "")):
        return None
    return await handle_cognito_body_request(method, path, headers, *rest)


app._handle_cognito_body_request = handle_cognito_unless_api

app._port_is_bindable = lambda host, port: False

app.main()
