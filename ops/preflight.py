"""Checks that a deploy can succeed, before a build of twelve minutes."""

import datetime
import re

import boto3
import botocore.exceptions

from ops import CommandError, is_confirmed, settings, subscriptions

# A new account may run only ten copies of all its functions together.
LOW_CONCURRENCY = 50
# Below this, an object for each push is most of the bill.
FEW_READINGS = 5
# In these states, a stack has never worked. AWS cannot update it, and it contains no readings.
NEVER_CREATED = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}


def check(stack, parameters, template="template.yaml"):
    """Raises CommandError if a deploy of `stack` would fail. Prints notes about limits of the account."""
    check_name(stack.name)
    check_region(stack.region)
    check_parameters(parameters, template)
    print(f"Account {stack.account()}, region {stack.region}, stack {stack.name}.")
    check_state(stack)
    for note in _notes(stack, parameters):
        print(f"\nNote: {note}")


def check_name(name):
    if not re.search(settings.STACK_NAME, name):
        raise CommandError(
            f"{name} is not a valid stack name: the bucket and the database are named after the stack.",
            f"use {settings.STACK_NAME_HINT} for stack_name in {settings.SETTINGS_FILE}.",
        )


def check_region(region):
    """Prints a note if the region is unknown. It can be newer than the list in botocore."""
    known = {name for partition in ("aws", "aws-cn", "aws-us-gov") for name in _regions(partition)}
    if region not in known:
        near = sorted(name for name in known if name.startswith(region[:2])) or sorted(known)
        print(f"\nNote: region {region} is unknown here. If it is not a new region, correct it in {settings.SETTINGS_FILE}.")
        print("Known regions:")
        print(f"{', '.join(near)}.")


def _regions(partition):
    return boto3.Session().get_available_regions("cloudformation", partition_name=partition)


def check_parameters(parameters, template="template.yaml"):
    """Raises CommandError if a parameter is unknown, or if CloudFormation would refuse its value or a combination of values."""
    unknown = sorted(parameters.keys() - {name for each in settings.TEMPLATES for name in settings.template_parameters(each)})
    if unknown:
        raise CommandError(
            f"{' and '.join(settings.TEMPLATES)} have no parameter {', '.join(unknown)}.",
            "correct the name in parameter_overrides, or remove the line. CHANGELOG.md lists renamed parameters.",
        )
    known = settings.template_parameters(template)
    given = {name: value for name, value in parameters.items() if name in known}
    errors = [f"{name}={value}: use {hint}" for name, value in given.items() if (hint := _hint_if_invalid(known[name], value))]
    if not errors:
        errors = list(_broken_rules(settings.template_rules(template), settings.with_defaults(known, given)))
    if errors:
        raise CommandError("Invalid parameters:\n  " + "\n  ".join(errors), f"correct them in {settings.SETTINGS_FILE}.")


def _hint_if_invalid(parameter, value):
    """The description of a valid value, if this one is not valid; otherwise None."""
    allowed = [str(each) for each in parameter.get("AllowedValues", [])]
    if allowed:
        return None if value in allowed else f"one of {', '.join(allowed)}"
    if parameter["Type"] == "Number":
        low, high = parameter["MinValue"], parameter.get("MaxValue", float("inf"))
        is_valid = re.fullmatch(r"-?\d+", value) and low <= int(value) <= high
    else:
        is_valid = re.search(parameter.get("AllowedPattern", ""), value) and len(value) <= parameter.get("MaxLength", 4096)
    return None if is_valid else parameter["ConstraintDescription"]


def _broken_rules(rules, values):
    for rule in rules.values():
        if _evaluate(rule.get("RuleCondition", {"Fn::Equals": ["", ""]}), values):
            yield from (each["AssertDescription"] for each in rule["Assertions"] if not _evaluate(each["Assert"], values))


def _evaluate(expression, values):
    """The value of an expression in the Rules of a template: true, false or a text."""
    match expression:
        case {"Ref": name}:
            return values[name]
        case {"Fn::Equals": [left, right]}:
            return _evaluate(left, values) == _evaluate(right, values)
        case {"Fn::Not": [negated]}:
            return not _evaluate(negated, values)
        case {"Fn::And": parts}:
            return all(_evaluate(part, values) for part in parts)
        case {"Fn::Or": parts}:
            return any(_evaluate(part, values) for part in parts)
        case text:
            return text


def check_state(stack):
    """Offers to remove a stack whose first deploy failed. Raises CommandError if AWS would refuse a deploy now."""
    status = stack.status()
    if status in NEVER_CREATED:
        _remove(stack, status)
    elif status == "UPDATE_ROLLBACK_FAILED":
        raise CommandError(
            f"The last deploy of {stack.name} failed, and AWS could not roll it back ({status}).",
            "console > CloudFormation > the stack > Stack actions > Continue update rollback. Then deploy again.",
        )
    elif status and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        raise CommandError(f"AWS is changing stack {stack.name} ({status}).", "wait some minutes, then deploy again.")


def _remove(stack, status):
    if status == "DELETE_FAILED":
        print(f"\nAWS could not remove {stack.name} ({status}), and accepts no deploy until it is removed.")
        print("Its readings stay in their bucket. The new stack starts with an empty one (docs/operate.md, Restore).")
    else:
        print(f"\nThe first deploy of {stack.name} failed ({status}). AWS accepts no other deploy until the stack is removed.")
        print("It never worked, so it contains no readings.")
    if not is_confirmed("Remove it now?"):
        raise CommandError(f"Stack {stack.name} was not removed.", "run make deploy in a terminal and answer y, or remove the stack in the console.")
    print("Removing the stack (1 to 2 minutes) ...", flush=True)
    try:
        stack.remove()
    except botocore.exceptions.WaiterError:
        raise CommandError(
            f"AWS could not remove stack {stack.name}.",
            "console > CloudFormation > the stack > Events lists the resource that blocks it. Remove that resource, then deploy again.",
        ) from None


def _notes(stack, parameters):
    if (limit := _concurrency_limit(stack)) < LOW_CONCURRENCY:
        yield (
            f"this account may run {limit} copies of all its functions at a time. A push above the limit gets 503, and is lost unless\n"
            "SmartClean retries it. Request a higher limit (free): console > Service Quotas > AWS Lambda > Concurrent executions."
        )
    if parameters.get("AlertPhone") and subscriptions.in_sms_sandbox(stack):
        yield (
            "this account is in the SMS sandbox: SMS reach only numbers that are verified in the SNS console. To leave it:\n"
            "console > SNS > Text messaging (SMS) > Exit SMS sandbox."
        )
    if parameters.get("RawDelivery", "direct") == "direct" and (mean := _readings_per_push(stack)) and mean < FEW_READINGS:
        yield (
            f"{mean:.1f} readings in a push (mean of a week). RawDelivery=buffered costs less for such pushes, without a\n"
            f"delay of alerts (docs/operate.md, Buffered pushes). Compare smartclean-push cost --devices … --interval …\n"
            f"--batch {max(mean, 1):.0f} with and without --delivery buffered."
        )


def _readings_per_push(stack):
    """The mean of the last week; None if there was no push, or if reading the metrics is not permitted."""
    now = datetime.datetime.now(datetime.timezone.utc)
    period = {"StartTime": now - datetime.timedelta(days=7), "EndTime": now, "Period": 86400, "Statistics": ["Sum"]}

    def total(metric):
        points = stack.client("cloudwatch").get_metric_statistics(Namespace=stack.name, MetricName=metric, **period)["Datapoints"]
        return sum(point["Sum"] for point in points)

    try:
        pushes = total("pushes")
        return total("readings_accepted") / pushes if pushes else None
    except botocore.exceptions.ClientError:
        return None


def _concurrency_limit(stack):
    """How many copies of all its functions the account may run at a time; infinity if reading the limit is not permitted."""
    try:
        return stack.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    except botocore.exceptions.ClientError:
        return float("inf")
