"""Saved answers: the name of the stack, its region, and the values of its parameters."""

import functools
import os
import re

import tomlkit
from samcli.yamlhelper import yaml_parse

from ops import ROOT, Stop

DEFAULT_STACK = "smartclean-push"
DEFAULT_REGION = "ap-southeast-1"
# Names of a bucket and of a database are made of it, which have no upper case.
STACK_NAME, STACK_NAME_HINT = r"^[a-z][a-z0-9-]{0,127}$", "lower-case letters, digits and hyphens, a letter first"
TEMPLATES = ("template.yaml", "lake.yaml")

# Asked at the first deploy. All other parameters have a default in template.yaml; the operator adds them to the file.
QUESTIONS = [
    ("AlertEmail", "Email address that gets alerts (empty: none)"),
    ("AlertPhone", "Mobile number that gets alerts by SMS, such as +6591234567 (empty: none)"),
]
# Asked in addition for an environment with a name, where the receiver is seldom run by those who clean.
QUESTIONS_OF_ENVIRONMENTS = [
    ("OperationsEmail", "Email address that hears when the receiver itself is in trouble (empty: the one above)"),
]


def template_parameters(template="template.yaml"):
    """The parameters that a template declares, by name."""
    return _template(template)["Parameters"]


def template_rules(template="template.yaml"):
    """The rules that a template has for values together, by name."""
    return _template(template).get("Rules", {})


@functools.cache
def _template(name):
    return yaml_parse((ROOT / name).read_text(encoding="utf-8"))


def every_value(known, given):
    """The value of every parameter of a template: the given one, or the template's default.

    CloudFormation keeps the previous value of a parameter that is left out. A phone that was removed from the saved answers
    would get messages, and a closed auth method would stay open.
    """
    return {name: str(given.get(name, parameter.get("Default", ""))) for name, parameter in known.items()}


def path_of(environment):
    """The file with the answers for an environment; without one, for the only stack."""
    return ROOT / (f"samconfig.{environment}.local.toml" if environment else "samconfig.local.toml")


def read(path):
    """Stack name, region and parameter values of a saved file. Raises Stop if the file cannot be understood."""
    config = tomlkit.parse(path.read_text(encoding="utf-8"))
    try:
        saved = config["default"]["global"]["parameters"]
        pairs = saved.get("parameter_overrides", [])
        return str(saved["stack_name"]), str(saved["region"]), dict(pair.split("=", 1) for pair in pairs)
    except (KeyError, ValueError, TypeError):
        raise Stop(
            f"{path.name} cannot be understood: it needs stack_name, region and a list parameter_overrides under "
            "[default.global.parameters].",
            f"correct it, or delete {path.name} and run make deploy again, which asks again.",
        ) from None


def write(path, stack, region, parameters):
    saved = tomlkit.table()
    saved["stack_name"] = stack
    saved["region"] = region
    saved["parameter_overrides"] = tomlkit.array([f"{k}={v}" for k, v in parameters.items()]).multiline(True)
    deploy = tomlkit.table()
    deploy["capabilities"] = "CAPABILITY_IAM"
    deploy["resolve_s3"] = True
    deploy["fail_on_empty_changeset"] = False
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by the first `make deploy`; yours to edit. The next `make deploy` uses it."))
    document.add(tomlkit.comment('parameter_overrides may hold any parameter of template.yaml or lake.yaml, as "Name=value".'))
    document["version"] = 0.1
    document["default"] = {"global": {"parameters": saved}, "deploy": {"parameters": deploy}}
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


def values_of(environment):
    """The first values that samconfig.toml gives an environment. Raises Stop if there is no such environment."""
    config = tomlkit.parse((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    known = sorted(name for name in config if name != "version")
    if environment not in known:
        raise Stop(
            f"samconfig.toml knows no environment {environment}; there are: {', '.join(known)}.",
            f"use one of these, or add a table [{environment}.deploy.parameters] there.",
        )
    pairs = config[environment]["deploy"]["parameters"].get("parameter_overrides", [])
    return dict(pair.split("=", 1) for pair in pairs)


def ask(path, environment=None):
    """Asks the questions of a first deploy and saves the answers."""
    parameters = values_of(environment) if environment else {}
    print("\nThis is the first deploy from this folder. Press Enter to take the value in brackets.\n")
    name = f"{DEFAULT_STACK}-{environment}" if environment else DEFAULT_STACK
    stack = _question("Name of the stack", name, STACK_NAME, STACK_NAME_HINT)
    region = _question(
        "AWS region",
        os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
        r"^[a-z]{2}(-[a-z]+)+-\d$",
        "a region's code such as ap-southeast-1 (Singapore)",
    )
    known = template_parameters()
    for name, question in QUESTIONS + (QUESTIONS_OF_ENVIRONMENTS if environment else []):
        answer = _question(question, "", known[name]["AllowedPattern"], known[name]["ConstraintDescription"])
        if answer:
            parameters[name] = answer
    write(path, stack, region, parameters)
    print(f"\nSaved in {path.name}: edit it to change an answer, then run make deploy again.\n")


def _question(question, default, pattern, hint):
    while True:
        try:
            answer = input(f"  {question} [{default or 'none'}]: ").strip() or default
        except EOFError:
            print()
            raise Stop(
                "The first deploy asks a few questions, and there is nobody here to answer them.",
                "run make deploy in a terminal once.",
            ) from None
        if re.search(pattern, answer):
            return answer
        print(f"  That does not look right: it should be {hint}.")
