"""The templates match the code: each function has exactly the environment variables that it reads, and the permissions that it needs."""

import copy
import fnmatch
import json
import re

import pytest
from deployed import ROOT
from samcli.yamlhelper import yaml_parse

AWS = ROOT / "src/adapters/aws"

# Variables that the template does not set.
NOT_IN_TEMPLATE = {
    "AWS_LAMBDA_LOG_LEVEL": "Lambda sets it, from LoggingConfig",
    "RUST_LOG": "for the command",
    "SSL_CERT_DIR": "for emulators of AWS with their own certificate",
    "SSL_CERT_FILE": "for emulators of AWS with their own certificate",
}

# SDK call -> required action.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
ACTIONS = {
    # Its statements update: they are built in one place, items.rs.
    "batch_execute_statement": "dynamodb:PartiQLUpdate",
    "batch_get_item": "dynamodb:BatchGetItem",
    "delete_object": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "get_secret_value": "secretsmanager:GetSecretValue",
    "get_subscription_attributes": "sns:GetSubscriptionAttributes",
    "get_topic_attributes": "sns:GetTopicAttributes",
    "list_objects_v2": "s3:ListBucket",
    "list_subscriptions_by_topic": "sns:ListSubscriptionsByTopic",
    "publish_batch": "sns:Publish",
    "put_item": "dynamodb:PutItem",
    "put_object": "s3:PutObject",
    "put_record": "firehose:PutRecord",
    "query": "dynamodb:Query",
    "send_message": "sqs:SendMessage",
}

# Actions of Lambda with the role of the function.
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
# The bucket of the main stack in the lake template.
BUCKET = "arn:${AWS::Partition}:s3:::${RawBucket}"
# Actions for which the service has no resources.
WITHOUT_RESOURCES = {"sns:GetSubscriptionAttributes", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
# Only with a customer-managed key, or with tracing.
OPTIONAL = {"kms:Decrypt", "kms:GenerateDataKey", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}


class Function:
    """A function: its id in the template, its configuration and adapters in the source, and further required and unused actions."""

    def __init__(self, id, config, adapters, further, unused=frozenset()):
        self.id, self.config, self.adapters, self.further, self.unused = id, config, adapters, further, unused

    def variables_read(self):
        """The names of the variables that the source reads."""
        config = (ROOT / "src/config.rs").read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
        part = re.search(rf"{self.config} \{{.*?\n\}}\n", config, re.DOTALL).group()
        # Constants and functions of the file, without other configurations.
        shared = re.sub(r"(?:impl \w+ |pub struct \w+ |fn raw_bucket_from.*?)\{.*?\n\}\n", "", config, flags=re.DOTALL)
        shared += (ROOT / "src/telemetry/mod.rs").read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
        at_compile_time = set(re.findall(r'\benv!\("(\w+)"\)', shared))
        return set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|AUTH_METHODS)"', part + shared)) - at_compile_time

    def variables_set(self, template):
        return set(template["Resources"][self.id]["Properties"]["Environment"]["Variables"])

    def actions_required(self):
        """The actions of the SDK calls in the source, and the further ones."""
        calls = set()
        for adapter in self.adapters:
            source = (AWS / adapter).read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
            calls |= set(re.findall(r"\bclient\s*\.(\w+)\(\)", source))
        assert calls <= set(ACTIONS), f"ACTIONS has no entry for: {calls - set(ACTIONS)}"
        return {ACTIONS[call] for call in calls} - self.unused | self.further

    def actions_allowed(self, template):
        """The actions that the role allows."""
        policies = template["Resources"][f"{self.id}Role"]["Properties"]["Policies"]
        policies = [policy["Fn::If"][1] if "Fn::If" in policy else policy for policy in policies]
        allowed = set()
        for statement in (entry for policy in policies for entry in policy["PolicyDocument"]["Statement"]):
            assert statement["Effect"] == "Allow"
            actions = statement["Action"]
            allowed |= set(actions if isinstance(actions, list) else [actions])
        return allowed


FUNCTIONS = [
    Function(
        "PushFunction",
        "impl FunctionConfig",
        ["dynamodb.rs", "firehose.rs", "rules.rs", "s3.rs", "secrets.rs", "sns.rs", "sqs.rs"],
        # Without s3:ListBucket, a missing rules file gets 403.
        LOGS | QUEUE | {"s3:ListBucket"},
    ),
    # A page neither sweeps nor accepts rules.
    Function("BoardFunction", "impl BoardConfig", ["dynamodb.rs", "rules.rs"], LOGS | {"s3:ListBucket"}, {"s3:PutObject"}),
    Function("CompactFunction", "fn raw_bucket_from.*?", ["archive.rs"], LOGS),
]


@pytest.fixture
def template():
    """The main template with the resources of both templates."""
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in ("template.yaml", "lake.yaml")]
    # Through JSON, so that a test changes one use of an anchor.
    main, lake = (json.loads(json.dumps(yaml_parse(text))) for text in texts)
    assert not main["Resources"].keys() & lake["Resources"].keys()
    return {**main, "Resources": {**main["Resources"], **lake["Resources"]}}


def differences(template):
    """The differences between template and code."""
    for function in FUNCTIONS:
        read, provided = function.variables_read() - set(NOT_IN_TEMPLATE), function.variables_set(template)
        yield from (f"{function.id} reads {name}, which the template does not set" for name in read - provided)
        yield from (f"the template sets {name}, which {function.id} does not read" for name in provided - read)
        required, allowed = function.actions_required(), function.actions_allowed(template)
        yield from (f"{function.id} needs {action}, which its role does not allow" for action in required - allowed)
        yield from (f"the role allows {action}, which {function.id} does not need" for action in allowed - required - OPTIONAL)


def test_template_matches_the_code(template):
    assert list(differences(template)) == []
    assert {function.id for function in FUNCTIONS} == {
        id for id, resource in template["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
    }


def test_missing_permission_or_variable_is_found(template):
    for function in FUNCTIONS:
        for name in function.variables_set(template):
            without = copy.deepcopy(template)
            del without["Resources"][function.id]["Properties"]["Environment"]["Variables"][name]
            assert list(differences(without)) == [f"{function.id} reads {name}, which the template does not set"]
        for action in function.actions_allowed(template) - OPTIONAL:
            without = copy.deepcopy(template)
            for policy in without["Resources"][f"{function.id}Role"]["Properties"]["Policies"]:
                for statement in policy.get("Fn::If", [None, policy])[1]["PolicyDocument"]["Statement"]:
                    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                    statement["Action"] = [allowed for allowed in actions if allowed != action]
            assert list(differences(without)) == [f"{function.id} needs {action}, which its role does not allow"]


def test_unneeded_permission_or_variable_is_found(template):
    properties = template["Resources"]["PushFunction"]["Properties"]
    properties["Environment"]["Variables"]["EXTRA"] = "1"
    policies = template["Resources"]["PushFunctionRole"]["Properties"]["Policies"]
    statement = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"}
    policies.append({"PolicyName": "Unneeded", "PolicyDocument": {"Statement": [statement]}})
    assert list(differences(template)) == [
        "the template sets EXTRA, which PushFunction does not read",
        "the role allows s3:DeleteObject, which PushFunction does not need",
    ]


def roles(template):
    return {id: resource["Properties"] for id, resource in template["Resources"].items() if resource["Type"] == "AWS::IAM::Role"}


def statements_of(properties):
    """The (policy name, statement) pairs of a role, including conditional policies."""
    policies = (policy["Fn::If"][1] if "Fn::If" in policy else policy for policy in properties.get("Policies", []))
    return [(policy["PolicyName"], statement) for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def as_list(value):
    return value if isinstance(value, list) else [value]


def broad_permissions(template):
    """Permissions with wildcards in actions, or for resources outside of the stack."""
    own = set(template["Resources"]) | {"DataKeyArn", "AlertTopicKeyArn"}
    for role, properties in roles(template).items():
        for policy, statement in statements_of(properties):
            where = f"{role}, {policy}"
            if "NotAction" in statement or "NotResource" in statement:
                yield f"{where}: NotAction or NotResource"
            yield from (f"{where}: {action}" for action in as_list(statement["Action"]) if "*" in action)
            for resource in as_list(statement["Resource"]):
                if resource == "*":
                    if not set(as_list(statement["Action"])) <= WITHOUT_RESOURCES:
                        yield f"{where}: all resources"
                    continue
                (function, argument), = resource.items()
                # A resource of the stack, or a prefix in one: ${RawBucket.Arn}/raw/*. The lake has the name of the bucket.
                argument = str(argument).replace(BUCKET, "${RawBucket.Arn}") if function == "Fn::Sub" else argument
                match = re.fullmatch(r"\$\{(\w+)\.Arn\}(/[\w/.-]+\*?)?", argument) if function == "Fn::Sub" else None
                name = match[1] if match else argument[0] if isinstance(argument, list) else argument
                if name.split(".")[0] not in own:
                    yield f"{where}: {argument}"


def test_roles_allow_single_actions_on_resources_of_the_stack(template):
    assert list(broad_permissions(template)) == []
    statements = statements_of(roles(template)["CompactFunctionRole"])
    statements[0][1]["Action"], statements[1][1]["Resource"] = "logs:*", "*"
    statements[2][1]["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:s3:::*/raw/*"}
    assert list(broad_permissions(template)) == [
        "CompactFunctionRole, WriteLog: logs:*",
        "CompactFunctionRole, ReadReadings: all resources",
        "CompactFunctionRole, ReadReadings: arn:${AWS::Partition}:s3:::*/raw/*",
    ]


def test_only_one_service_can_assume_each_role(template):
    principals = {}
    for role, properties in roles(template).items():
        (statement,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        principals[role] = statement["Principal"]
    assert principals == {
        "PushFunctionRole": {"Service": "lambda.amazonaws.com"},
        "BoardFunctionRole": {"Service": "lambda.amazonaws.com"},
        "CompactFunctionRole": {"Service": "lambda.amazonaws.com"},
        "IotErrorRole": {"Service": "iot.amazonaws.com"},
        "PushStreamRole": {"Service": "firehose.amazonaws.com"},
    }
    # AWS can change its managed policies.
    assert not any("ManagedPolicyArns" in properties for properties in roles(template).values())


def test_resource_policies_allow_only_services_for_this_account(template):
    for id, resource in template["Resources"].items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Lambda::Permission":
            assert properties["Principal"].endswith(".amazonaws.com") and "SourceArn" in properties, id
        for statement in properties.get("PolicyDocument", {}).get("Statement", []) if resource["Type"].endswith("Policy") else []:
            if statement["Effect"] == "Allow" and "Principal" in statement:
                assert set(statement["Principal"]) == {"Service"}, id
                assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}, id


def routes_without_permission(template):
    """The routes of the API that may not invoke their function."""
    permissions = [each["Properties"] for each in template["Resources"].values() if each["Type"] == "AWS::Lambda::Permission"]
    paths = template["Resources"]["PushApi"]["Properties"]["DefinitionBody"]["paths"]
    for path, methods in paths.items():
        methods = methods["Fn::If"][1] if "Fn::If" in methods else methods
        for method, operation in methods.items():
            route = "$default" if operation.get("isDefaultRoute") else f"{method.upper()}{path}"
            arn = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${PushApi}/$default/" + route
            function = re.search(r"\$\{(\w+)\.Arn\}", operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"])[1]
            sources = [each["SourceArn"].get("Fn::Sub", "") for each in permissions if each["FunctionName"] == {"Ref": function}]
            if not any(fnmatch.fnmatchcase(arn, source) for source in sources):
                yield route


def test_every_route_may_invoke_its_function(template):
    assert list(routes_without_permission(template)) == []
    source = template["Resources"]["PushApiMayInvoke"]["Properties"]["SourceArn"]
    source["Fn::Sub"] = source["Fn::Sub"].replace("/*", "/*/$default")
    assert list(routes_without_permission(template)) == ["POST/push/jwt"]
    del template["Resources"]["BoardMayInvoke"]
    assert list(routes_without_permission(template)) == [
        "POST/push/jwt", "X-AMAZON-APIGATEWAY-ANY-METHOD/board", "X-AMAZON-APIGATEWAY-ANY-METHOD/board/{path+}",
    ]


def test_pages_can_neither_take_the_requests_of_pushes_nor_raise_their_alarm(template):
    api = template["Resources"]["PushApi"]["Properties"]
    paths = [path for path in api["DefinitionBody"]["paths"] if path.startswith("/board")]
    assert api["RouteSettings"] == {f"ANY {path}": {"ThrottlingRateLimit": 20, "ThrottlingBurstLimit": 40} for path in paths}
    pattern = template["Resources"]["NotAccepted"]["Properties"]["FilterPattern"]
    assert pattern.startswith('{ $.route != "ANY /board*" && (') and pattern.endswith(") }")
    # The field that the pattern reads, and no path: the path of a page has the token of a link.
    log_format = api["AccessLogSettings"]["Format"]
    assert '"route":"$context.routeKey"' in log_format
    assert not any(name in log_format for name in ("$context.path", "$context.resourcePath", "$context.requestOverride"))


def test_role_of_pages_reaches_the_table_the_rules_and_its_log_only(template):
    statements = statements_of(roles(template)["BoardFunctionRole"])
    allowed = {action: str(entry["Resource"]) for _, entry in statements for action in as_list(entry["Action"])}
    services = {action.split(":")[0] for action in allowed}
    assert services == {"logs", "dynamodb", "s3", "kms", "xray"}
    assert {action for action in allowed if action.startswith("s3:")} == {"s3:GetObject", "s3:ListBucket"}
    assert allowed["s3:GetObject"] == str({"Fn::Sub": "${RawBucket.Arn}/config/*"})
    assert allowed.pop("dynamodb:Query") == str({"Fn::Sub": "${StateTable.Arn}/index/attention"})
    assert all("index" not in resource for resource in allowed.values())


def test_every_bucket_queue_and_topic_refuses_requests_without_tls(template):
    kinds = {"AWS::S3::Bucket": "Bucket", "AWS::SQS::Queue": "Queues", "AWS::SNS::Topic": "Topics"}
    expected = {id for id, resource in template["Resources"].items() if resource["Type"] in kinds}
    refusing = set()
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        for statement in properties.get("PolicyDocument", {}).get("Statement", []):
            if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}:
                assert statement["Principal"] == "*"
                refusing |= {named["Ref"] for kind in kinds.values() for named in as_list(properties.get(kind, []))}
    assert refusing == expected


def test_retained_resources_are_removed_if_the_first_deploy_fails(template):
    """Otherwise, failed deploys leave tables and queues behind. What is retained contains readings, or the only record of an alert."""
    retained = {id: each["DeletionPolicy"] for id, each in template["Resources"].items() if each.get("DeletionPolicy", "Delete") != "Delete"}
    removed = dict.fromkeys(["StateTable", "StoredQueue", "StoredDeadLetters", "RawBucket"], "RetainExceptOnCreate")
    # A deploy that adds the stream to a stack can fail after the function has put pushes into it.
    assert retained == {**removed, "PushStream": "Retain", "PushStreamRole": "Retain"}
    assert {template["Resources"][id]["UpdateReplacePolicy"] for id in retained} == {"Retain"}


def test_every_url_for_the_vendor_uses_the_custom_domain(template):
    host = {"Fn::If": ["HasDomain", {"Ref": "DomainName"}, {"Fn::Sub": "${PushApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}"}]}
    others = {"BoardUrl", "DashboardUrl"}
    urls = {name: output["Value"]["Fn::Sub"] for name, output in template["Outputs"].items() if name.endswith("Url") and name not in others}
    assert {name: value[0] for name, value in urls.items()} == {
        "PushUrl": "https://${Host}/push",
        "TokenUrl": "https://${Host}/oauth2/token",
        "EventHubUrl": "https://${Host}/push/messages",
        "JwtPushUrl": "https://${Host}/push/jwt",
    }
    assert all(value[1] == {"Host": host} for value in urls.values())
    # The cookie of an invited phone is of one host: that of its invitation, which PublicUrl decides.
    board = {"Fn::Sub": ["https://${Host}/board", {"Host": host}]}
    assert template["Outputs"]["BoardUrl"]["Value"] == {"Fn::If": ["HasPublicUrl", {"Fn::Sub": "${PublicUrl}/board"}, board]}


def test_queue_uses_few_concurrent_copies_by_default(template):
    queue = template["Resources"]["PushFunction"]["Properties"]["Events"]["StoredObjects"]["Properties"]
    assert queue["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "QueueConcurrency"}}
    assert template["Parameters"]["QueueConcurrency"]["Default"] == template["Parameters"]["QueueConcurrency"]["MinValue"] == 2


def test_buffered_objects_have_the_keys_that_readers_expect(template):
    destination = template["Resources"]["PushStream"]["Properties"]["ExtendedS3DestinationConfiguration"]
    source = (ROOT / "crates/domain/src/buffered.rs").read_text(encoding="utf-8")
    assert f'BUFFERED_EXTENSION: &str = "{destination["FileExtension"]}"' in source
    assert destination["Prefix"] == "raw/dt=!{timestamp:yyyy-MM-dd}/hh=!{timestamp:HH}/"
    assert destination["CompressionFormat"] == "GZIP"
    # The bucket sends no notification about these, and nobody reads them as readings.
    (rule,) = template["Resources"]["RawBucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert rule["Filter"] == {"S3Key": {"Rules": [{"Name": "prefix", "Value": "raw"}]}}
    assert not destination["ErrorOutputPrefix"].startswith("raw") and "!{firehose:error-output-type}" in destination["ErrorOutputPrefix"]
