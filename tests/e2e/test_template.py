"""Templates and code agree: each function is told every variable that it reads and no other, and may make every call that it
makes and no other."""

import copy
import fnmatch
import re

import pytest
from deployed import ROOT
from samcli.yamlhelper import yaml_parse

AWS = ROOT / "src/adapters/aws"

# Variables that are there without the template: set by Lambda itself, or for others than the function.
NOT_THE_TEMPLATES = {
    "AWS_LAMBDA_FUNCTION_NAME": "Lambda sets it",
    "AWS_LAMBDA_LOG_LEVEL": "Lambda sets it, from LoggingConfig",
    "AWS_ENDPOINT_URL": "for stand-ins of AWS",
    "AWS_ENDPOINT_URL_S3": "for stand-ins of AWS",
    "RUST_LOG": "for the command",
    "SSL_CERT_DIR": "for whoever puts a service with a certificate of his own in AWS's place",
    "SSL_CERT_FILE": "the same",
    "RULES_KEY": "for rules elsewhere in the bucket; the template's own place is the default",
}

# SDK call -> what it has to be allowed.
# https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
ACTIONS = {
    "batch_get_item": "dynamodb:BatchGetItem",
    "delete_object": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "get_secret_value": "secretsmanager:GetSecretValue",
    "get_topic_attributes": "sns:GetTopicAttributes",
    "list_objects_v2": "s3:ListBucket",
    "publish_batch": "sns:Publish",
    "put_item": "dynamodb:PutItem",
    "put_object": "s3:PutObject",
    "query": "dynamodb:Query",
    "send_message": "sqs:SendMessage",
    "update_item": "dynamodb:UpdateItem",
}

# What Lambda does by the function's role.
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
QUEUE = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
# The main stack's bucket as the lake names it.
BUCKET = "arn:${AWS::Partition}:s3:::${RawBucket}"
# Under conditions: a key of one's own, tracing.
OPTIONAL = {"kms:Decrypt", "kms:GenerateDataKey", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}


class Function:
    """A function: its resources in the template, what it is told by, what calls it makes, and what comes beside."""

    def __init__(self, id, config, adapters, beside):
        self.id, self.config, self.adapters, self.beside = id, config, adapters, beside

    def reads(self):
        """The names of the variables that it reads."""
        config = (ROOT / "src/config.rs").read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
        part = re.search(rf"impl {self.config} \{{.*?\n\}}\n", config, re.DOTALL).group()
        # Constants of the file, and what its functions ask for, beside the configuration's own.
        shared = re.sub(r"(?:impl \w+ |pub struct \w+ )\{.*?\n\}\n", "", config, flags=re.DOTALL)
        shared += (ROOT / "src/telemetry/mod.rs").read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
        at_compile_time = set(re.findall(r'\benv!\("(\w+)"\)', shared))
        return set(re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|AUTH_METHODS)"', part + shared)) - at_compile_time

    def is_told(self, template):
        return set(template["Resources"][self.id]["Properties"]["Environment"]["Variables"])

    def does(self):
        """What it has to be allowed, by the calls in the source."""
        calls = set()
        for adapter in self.adapters:
            source = (AWS / adapter).read_text(encoding="utf-8").split("#[cfg(test)]\nmod tests")[0]
            calls |= set(re.findall(r"\bclient\s*\.(\w+)\(\)", source))
        assert calls <= set(ACTIONS), f"calls that ACTIONS does not have: {calls - set(ACTIONS)}"
        return {ACTIONS[call] for call in calls} | self.beside

    def may(self, template):
        """What its role allows."""
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
        "FunctionConfig",
        ["dynamodb.rs", "rules.rs", "s3.rs", "secrets.rs", "sns.rs", "sqs.rs"],
        # Without s3:ListBucket a rules file that is not there looks like one that may not be read.
        LOGS | QUEUE | {"s3:ListBucket"},
    ),
    Function("CompactFunction", "CompactConfig", ["archive.rs", "archive/lake.rs"], LOGS),
]


@pytest.fixture
def template():
    """The resources of both templates together; no two have one name."""
    main, lake = (yaml_parse((ROOT / name).read_text(encoding="utf-8")) for name in ("template.yaml", "lake.yaml"))
    assert not main["Resources"].keys() & lake["Resources"].keys()
    return {**main, "Resources": {**main["Resources"], **lake["Resources"]}}


def faults(template):
    """Where template and code disagree."""
    for function in FUNCTIONS:
        reads, told = function.reads() - set(NOT_THE_TEMPLATES), function.is_told(template)
        yield from (f"{function.id} reads {name}, which nobody sets" for name in reads - told)
        yield from (f"{function.id} is told {name}, which it does not read" for name in told - reads)
        does, may = function.does(), function.may(template)
        yield from (f"{function.id} does {action}, which it may not" for action in does - may)
        yield from (f"{function.id} may {action}, which it does not" for action in may - does - OPTIONAL)


def test_template_and_code_agree(template):
    assert list(faults(template)) == []
    assert {function.id for function in FUNCTIONS} == {
        id for id, resource in template["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"
    }


def test_every_permission_and_every_variable_is_missed(template):
    """The check finds each of them that is taken away."""
    for function in FUNCTIONS:
        for name in function.is_told(template):
            without = copy.deepcopy(template)
            del without["Resources"][function.id]["Properties"]["Environment"]["Variables"][name]
            assert list(faults(without)) == [f"{function.id} reads {name}, which nobody sets"]
        for action in function.may(template) - OPTIONAL:
            without = copy.deepcopy(template)
            for policy in without["Resources"][f"{function.id}Role"]["Properties"]["Policies"]:
                for statement in policy.get("Fn::If", [None, policy])[1]["PolicyDocument"]["Statement"]:
                    actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                    statement["Action"] = [allowed for allowed in actions if allowed != action]
            assert list(faults(without)) == [f"{function.id} does {action}, which it may not"]


def test_whatever_is_more_than_needed_is_found(template):
    properties = template["Resources"]["PushFunction"]["Properties"]
    properties["Environment"]["Variables"]["EXTRA"] = "1"
    policies = template["Resources"]["PushFunctionRole"]["Properties"]["Policies"]
    statement = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"}
    policies.append({"PolicyName": "More", "PolicyDocument": {"Statement": [statement]}})
    assert list(faults(template)) == [
        "PushFunction is told EXTRA, which it does not read",
        "PushFunction may s3:DeleteObject, which it does not",
    ]


def roles(template):
    return {id: resource["Properties"] for id, resource in template["Resources"].items() if resource["Type"] == "AWS::IAM::Role"}


def inline(properties):
    """(name, statement) of a role's policies, those under a condition as well."""
    policies = (policy["Fn::If"][1] if "Fn::If" in policy else policy for policy in properties.get("Policies", []))
    return [(policy["PolicyName"], statement) for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def as_list(value):
    return value if isinstance(value, list) else [value]


def wide(template):
    """Statements of roles that allow more than named calls on named things."""
    things = set(template["Resources"]) | {"DataKeyArn", "AlertTopicKeyArn"}
    for role, properties in roles(template).items():
        for name, statement in inline(properties):
            where = f"{role}, {name}"
            if "NotAction" in statement or "NotResource" in statement:
                yield f"{where}: everything but"
            yield from (f"{where}: {action}" for action in as_list(statement["Action"]) if "*" in action)
            for resource in as_list(statement["Resource"]):
                if resource == "*":
                    # X-Ray knows no resources for these.
                    if not all(action.startswith("xray:Put") for action in as_list(statement["Action"])):
                        yield f"{where}: on everything"
                    continue
                (function, argument), = resource.items()
                # A name of this stack's, or what begins with one: ${RawBucket.Arn}/raw/*. The lake is given the bucket's name.
                argument = str(argument).replace(BUCKET, "${RawBucket.Arn}") if function == "Fn::Sub" else argument
                found = re.fullmatch(r"\$\{(\w+)\.Arn\}(/[\w/.-]+\*?)?", argument) if function == "Fn::Sub" else None
                named = found[1] if found else argument[0] if isinstance(argument, list) else argument
                if named.split(".")[0] not in things:
                    yield f"{where}: {argument}"


def test_roles_allow_named_calls_on_the_stacks_own_things(template):
    assert list(wide(template)) == []
    statements = inline(roles(template)["CompactFunctionRole"])
    statements[0][1]["Action"], statements[1][1]["Resource"] = "logs:*", "*"
    statements[2][1]["Resource"] = {"Fn::Sub": "arn:${AWS::Partition}:s3:::*/raw/*"}
    assert list(wide(template)) == [
        "CompactFunctionRole, WriteLog: logs:*",
        "CompactFunctionRole, ReadReadings: on everything",
        "CompactFunctionRole, ReadReadings: arn:${AWS::Partition}:s3:::*/raw/*",
    ]


def test_each_role_is_taken_by_one_service_and_no_account(template):
    takers = {}
    for role, properties in roles(template).items():
        (statement,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Action"] == "sts:AssumeRole"
        takers[role] = statement["Principal"]
    assert takers == {
        "PushFunctionRole": {"Service": "lambda.amazonaws.com"},
        "CompactFunctionRole": {"Service": "lambda.amazonaws.com"},
        "IotErrorRole": {"Service": "iot.amazonaws.com"},
    }
    # AWS's own policies change without us.
    assert not any("ManagedPolicyArns" in properties for properties in roles(template).values())


def test_only_services_of_this_account_are_let_in_by_name(template):
    """Whoever may call a function or write to a queue or topic: a service, and for this account's or this stack's things."""
    for id, resource in template["Resources"].items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Lambda::Permission":
            assert properties["Principal"].endswith(".amazonaws.com") and "SourceArn" in properties, id
        for statement in properties.get("PolicyDocument", {}).get("Statement", []) if resource["Type"].endswith("Policy") else []:
            if statement["Effect"] == "Allow" and "Principal" in statement:
                assert set(statement["Principal"]) == {"Service"}, id
                assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}, id


def unlet(template):
    """Routes of the API by which the function may not be called."""
    properties = template["Resources"]["PushApiMayInvoke"]["Properties"]
    paths = template["Resources"]["PushApi"]["Properties"]["DefinitionBody"]["paths"]
    for path, methods in paths.items():
        methods = methods["Fn::If"][1] if "Fn::If" in methods else methods
        for method, operation in methods.items():
            route = "$default" if operation.get("isDefaultRoute") else f"{method.upper()}{path}"
            arn = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${PushApi}/$default/" + route
            if not fnmatch.fnmatchcase(arn, properties["SourceArn"]["Fn::Sub"]):
                yield route


def test_every_route_may_call_the_function(template):
    assert list(unlet(template)) == []
    source = template["Resources"]["PushApiMayInvoke"]["Properties"]["SourceArn"]
    source["Fn::Sub"] = source["Fn::Sub"].replace("/*", "/*/$default")
    assert list(unlet(template)) == ["POST/push/jwt"]


def test_every_bucket_queue_and_topic_refuses_what_comes_without_tls(template):
    kinds = {"AWS::S3::Bucket": "Bucket", "AWS::SQS::Queue": "Queues", "AWS::SNS::Topic": "Topics"}
    kept = {id for id, resource in template["Resources"].items() if resource["Type"] in kinds}
    refusing = set()
    for resource in template["Resources"].values():
        properties = resource["Properties"]
        for statement in properties.get("PolicyDocument", {}).get("Statement", []):
            if statement["Effect"] == "Deny" and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}:
                assert statement["Principal"] == "*"
                refusing |= {named["Ref"] for kind in kinds.values() for named in as_list(properties.get(kind, []))}
    assert refusing == kept


def test_what_outlives_the_stack_is_removed_if_its_first_deploy_fails(template):
    """Else the next try finds queues and tables of the failed one, which nobody removes."""
    kept = {id: each["DeletionPolicy"] for id, each in template["Resources"].items() if each.get("DeletionPolicy", "Delete") != "Delete"}
    assert kept == dict.fromkeys(["StateTable", "StoredQueue", "StoredDeadLetters", "RawBucket"], "RetainExceptOnCreate")
    assert {template["Resources"][id]["UpdateReplacePolicy"] for id in kept} == {"Retain"}


def test_every_url_for_the_vendor_has_the_operators_own_name(template):
    host = {"Fn::If": ["HasDomain", {"Ref": "DomainName"}, {"Fn::Sub": "${PushApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}"}]}
    urls = {name: output["Value"]["Fn::Sub"] for name, output in template["Outputs"].items() if name.endswith("Url") and name != "DashboardUrl"}
    assert {name: value[0] for name, value in urls.items()} == {
        "PushUrl": "https://${Host}/push",
        "TokenUrl": "https://${Host}/oauth2/token",
        "EventHubUrl": "https://${Host}/push/messages",
        "JwtPushUrl": "https://${Host}/push/jwt",
    }
    assert all(value[1] == {"Host": host} for value in urls.values())


def test_queue_takes_few_of_the_accounts_copies(template):
    queue = template["Resources"]["PushFunction"]["Properties"]["Events"]["StoredObjects"]["Properties"]
    assert queue["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "QueueConcurrency"}}
    assert template["Parameters"]["QueueConcurrency"]["Default"] == template["Parameters"]["QueueConcurrency"]["MinValue"] == 2
