"""Finds what would make a deploy fail, before the build of twelve minutes."""

import re

import boto3
import botocore.exceptions

from ops import Stop, answers, subscriptions

# An account that AWS has not raised yet may run ten copies of all its functions together.
FEW_COPIES = 50
# The states in which a stack has never worked: there is nothing in it to lose, and AWS updates none of them.
NEVER_CREATED = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"}


def check(stack, parameters, template="template.yaml"):
    """Raises Stop if a deploy of `stack` would fail. Prints what would work otherwise than expected."""
    check_name(stack.name)
    check_region(stack.region)
    check_parameters(parameters, template)
    print(f"Account {stack.account()}, region {stack.region}, stack {stack.name}.")
    check_state(stack)
    for note in _notes(stack, parameters):
        print(f"\nNote: {note}")


def check_name(name):
    if not re.search(answers.STACK_NAME, name):
        raise Stop(
            f"The stack cannot be called {name}: names of its bucket and its database are made of it.",
            f"give {answers.STACK_NAME_HINT} as stack_name in the saved answers.",
        )


def check_region(region):
    """Prints a note about a region that is unknown here: AWS opens regions after a release of its library."""
    known = {name for partition in ("aws", "aws-cn", "aws-us-gov") for name in _regions(partition)}
    if region not in known:
        near = sorted(name for name in known if name.startswith(region[:2])) or sorted(known)
        print(f"\nNote: region {region} is not among those that this machine knows. If it is new, that does not matter; else give one")
        print(f"as region in the saved answers: {', '.join(near)}.")


def _regions(partition):
    return boto3.Session().get_available_regions("cloudformation", partition_name=partition)


def check_parameters(parameters, template="template.yaml"):
    """Raises Stop if a saved parameter is unknown, has a value that its template refuses, or misses one that it needs."""
    unknown = sorted(parameters.keys() - {name for each in answers.TEMPLATES for name in answers.template_parameters(each)})
    if unknown:
        raise Stop(
            f"There is no parameter {', '.join(unknown)} in {' or '.join(answers.TEMPLATES)}.",
            "correct the name in parameter_overrides, or remove the line. CHANGELOG.md lists what was renamed.",
        )
    known = answers.template_parameters(template)
    given = {name: value for name, value in parameters.items() if name in known}
    found = [f"{name}={value}: it should be {hint}" for name, value in given.items() if (hint := _refused(known[name], value))]
    if not found:
        found = list(_broken_rules(answers.template_rules(template), answers.every_value(known, given)))
    if found:
        raise Stop("These parameters would be refused:\n  " + "\n  ".join(found), "correct them in the saved answers.")


def _refused(parameter, value):
    """What a value of a parameter should be; None if it is that."""
    allowed = [str(each) for each in parameter.get("AllowedValues", [])]
    if allowed:
        return None if value in allowed else f"one of {', '.join(allowed)}"
    if parameter["Type"] == "Number":
        low, high = parameter["MinValue"], parameter.get("MaxValue", float("inf"))
        fits = re.fullmatch(r"-?\d+", value) and low <= int(value) <= high
    else:
        fits = re.search(parameter.get("AllowedPattern", ""), value) and len(value) <= parameter.get("MaxLength", 4096)
    return None if fits else parameter["ConstraintDescription"]


def _broken_rules(rules, values):
    for rule in rules.values():
        if _holds(rule.get("RuleCondition", {"Fn::Equals": ["", ""]}), values):
            yield from (each["AssertDescription"] for each in rule["Assertions"] if not _holds(each["Assert"], values))


def _holds(condition, values):
    """Whether a condition of the template's Rules holds; the text of what is compared."""
    match condition:
        case {"Ref": name}:
            return values[name]
        case {"Fn::Equals": [left, right]}:
            return _holds(left, values) == _holds(right, values)
        case {"Fn::Not": [negated]}:
            return not _holds(negated, values)
        case {"Fn::And": parts}:
            return all(_holds(part, values) for part in parts)
        case {"Fn::Or": parts}:
            return any(_holds(part, values) for part in parts)
        case text:
            return text


def check_state(stack):
    """Offers to remove a stack whose first deploy failed. Raises Stop if AWS would not take a deploy now."""
    status = stack.status()
    if status in NEVER_CREATED:
        _remove(stack, status)
    elif status == "UPDATE_ROLLBACK_FAILED":
        raise Stop(
            f"The last deploy of {stack.name} failed, and AWS could not roll it back ({status}).",
            "console > CloudFormation > the stack > Stack actions > Continue update rollback. Then deploy again.",
        )
    elif status and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
        raise Stop(f"Another change of stack {stack.name} is under way ({status}).", "wait some minutes, and deploy again.")


def _remove(stack, status):
    if status == "DELETE_FAILED":
        print(f"\nRemoving {stack.name} failed, and AWS takes no deploy until it is removed ({status}).")
        print("Its readings stay in their bucket; the new stack begins with an empty one (docs/operate.md, Restore).")
    else:
        print(f"\nThe first deploy of {stack.name} failed, and AWS takes no other one until it is removed ({status}).")
        print("It never worked, so there are no readings in it.")
    try:
        is_wanted = input("Remove it now? [y/N]: ").strip().lower() in ("y", "yes")
    except EOFError:
        is_wanted = False
    if not is_wanted:
        raise Stop(f"Stack {stack.name} is still there.", "deploy in a terminal, and answer y; or remove it in the console.")
    print("Removing it (a minute or two) ...", flush=True)
    try:
        stack.remove()
    except botocore.exceptions.WaiterError:
        raise Stop(
            f"AWS could not remove stack {stack.name}.",
            "console > CloudFormation > the stack > Events names what is in the way. Remove that, then deploy again.",
        ) from None


def _notes(stack, parameters):
    if (copies := _copies(stack)) < FEW_COPIES:
        yield (
            f"this account may run {copies} copies of its functions at a time. A push beyond that gets 503, and is lost unless\n"
            "SmartClean sends it again. Ask for more, for free: console > Service Quotas > AWS Lambda > Concurrent executions."
        )
    if parameters.get("AlertPhone") and subscriptions.in_sms_sandbox(stack):
        yield (
            "this account is in the SMS sandbox: texts reach only numbers that are verified in the SNS console. To leave it:\n"
            "SNS console > Text messaging (SMS) > Exit SMS sandbox."
        )


def _copies(stack):
    """How many copies of all its functions the account may run at a time; no limit without the permission to ask."""
    try:
        return stack.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    except botocore.exceptions.ClientError:
        return float("inf")
