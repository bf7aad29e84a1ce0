"""From one release to the next, little by little: the pushes go to `live`, which is moved. (CodeDeploy, which moves it a
tenth at a time, is not here: MiniStack has none.)"""

import re

import pytest
from test_stack import reading


@pytest.fixture
def gradual(stack):
    said = stack.deploy_with(GradualDeployment="Canary10Percent5Minutes")
    assert "the pushes move over by Canary10Percent5Minutes" in said
    yield stack
    stack.deploy_with(GradualDeployment="no")
    assert stack.push(reading()).status_code == 200
    assert "PushFunctionLive" not in stack.ids


def live(stack):
    """The version that gets the pushes."""
    return stack.functions.get_alias(FunctionName=stack.function, Name="live")["FunctionVersion"]


def break_latest(stack):
    """What is deployed and not released can accept nothing."""
    variables = stack.functions.get_function_configuration(FunctionName=stack.function)["Environment"]["Variables"]
    broken = {name: value for name, value in variables.items() if name != "RAW_BUCKET"}
    stack.functions.update_function_configuration(FunctionName=stack.function, Environment={"Variables": broken})
    stack.functions.get_waiter("function_updated_v2").wait(FunctionName=stack.function)
    return variables


def test_pushes_go_to_what_is_released_and_back_to_what_was(gradual):
    first = live(gradual)
    assert first.isdigit() and gradual.push(reading()).status_code == 200

    variables = break_latest(gradual)
    assert "errorMessage" in gradual.tick(), "it is broken"
    assert gradual.push(reading()).status_code == 200, "who pushes does not notice"
    gradual.functions.update_function_configuration(FunctionName=gradual.function, Environment={"Variables": variables})

    gradual.deploy_with()
    second = live(gradual)
    assert int(second) > int(first) and gradual.push(reading()).status_code == 200

    # What CodeDeploy does where the alarm comes: the version before is there still, and takes pushes.
    gradual.functions.update_alias(FunctionName=gradual.function, Name="live", FunctionVersion=first)
    assert live(gradual) == first and gradual.push(reading()).status_code == 200
    gradual.functions.update_alias(FunctionName=gradual.function, Name="live", FunctionVersion=second)


def test_what_moves_the_pushes_watches_what_can_fail(stack):
    resources = stack.template["Resources"]
    group, alarm = resources["ReleaseGroup"]["Properties"], resources["ReleaseFails"]["Properties"]
    assert group["AlarmConfiguration"] == {"Enabled": True, "Alarms": [{"Name": {"Ref": "ReleaseFails"}}]}
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    moved = resources["PushFunctionLive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert moved == {"ApplicationName": {"Ref": "Releases"}, "DeploymentGroupName": {"Ref": "ReleaseGroup"}}
    (expression,) = [query["Expression"] for query in alarm["Metrics"] if query["ReturnData"]]
    watched = {query["Id"]: query["MetricStat"]["Metric"]["MetricName"] for query in alarm["Metrics"] if "MetricStat" in query}
    assert set(re.findall(r"FILL\((\w+), 0\)", expression)) == set(watched)
    assert set(watched.values()) == {"Errors", "pushes_failed", "pushes_unevaluated", "state_refused"}


def test_nothing_of_it_is_there_unless_it_is_asked_for(stack):
    gradual = {id for id, resource in stack.template["Resources"].items() if resource.get("Condition") == "IsGradual"}
    assert len(gradual) == 6 and not gradual & set(stack.ids)
    (called,) = stack.aws.client("apigatewayv2").get_integrations(ApiId=stack.ids["PushApi"])["Items"]
    assert called["IntegrationUri"] == stack.function_arn(stack.function)
