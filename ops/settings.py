"""Settings of a stack, saved by the first deploy: its name, its region, and the values of its parameters."""

import functools
import os
import re

import tomlkit
from samcli.yamlhelper import yaml_parse

from ops import ROOT, CommandError

DEFAULT_STACK = "smartclean-push"
DEFAULT_REGION = "ap-southeast-1"
# The bucket and the database get their names from it. Neither may contain upper case.
STACK_NAME, STACK_NAME_HINT = r"^[a-z][a-z0-9-]{0,127}$", "lower-case letters, digits and hyphens, with a letter first"
TEMPLATES = ("template.yaml", "lake.yaml")

# The prompts of the first deploy. Other parameters have defaults; the operator adds them to the file.
QUESTIONS = [
    ("AlertEmail", "Email address for alerts (empty: none)"),
    ("AlertPhone", "Mobile number for alerts by SMS, such as +6591234567 (empty: none)"),
]
# In a named environment, the operator of the program is rarely the person who gets the alerts.
ENVIRONMENT_QUESTIONS = [
    ("OperationsEmail", "Email address for alarms about this program (empty: the address for alerts)"),
]


def template_parameters(template="template.yaml"):
    """The parameters of a template, by name."""
    return _template(template)["Parameters"]


def template_rules(template="template.yaml"):
    """The rules of a template for combinations of values, by name."""
    return _template(template).get("Rules", {})


@functools.cache
def _template(name):
    return yaml_parse((ROOT / name).read_text(encoding="utf-8"))


def with_defaults(known, given):
    """The value of every parameter in `known`: the given value, or the default of the template.

    CloudFormation keeps the previous value of a parameter that is missing: a phone that is removed from the settings would still
    get alerts, and a removed auth method would stay open.
    """
    return {name: str(given.get(name, parameter.get("Default", ""))) for name, parameter in known.items()}


# Names the settings file in messages of code that does not know the environment.
SETTINGS_FILE = "samconfig.local.toml (with ENV=name: samconfig.name.local.toml)"


def path_for(environment):
    """The settings file of an environment; without one, of the default stack."""
    return ROOT / (f"samconfig.{environment}.local.toml" if environment else "samconfig.local.toml")


def read(path):
    """The stack name, region and parameter values of a settings file. Raises CommandError if a member is missing."""
    config = tomlkit.parse(path.read_text(encoding="utf-8"))
    try:
        saved = config["default"]["global"]["parameters"]
        pairs = saved.get("parameter_overrides", [])
        return str(saved["stack_name"]), str(saved["region"]), dict(pair.split("=", 1) for pair in pairs)
    except (KeyError, ValueError, TypeError):
        raise CommandError(
            f"{path.name} is not valid: it needs stack_name, region and a list parameter_overrides in [default.global.parameters].",
            f"correct it, or delete {path.name} and run make deploy, which prompts for the settings.",
        ) from None


def write(path, stack, region, parameters):
    """Saves settings in the format of the SAM CLI."""
    saved = tomlkit.table()
    saved["stack_name"] = stack
    saved["region"] = region
    saved["parameter_overrides"] = tomlkit.array([f"{k}={v}" for k, v in parameters.items()]).multiline(True)
    deploy = tomlkit.table()
    deploy["capabilities"] = "CAPABILITY_IAM"
    deploy["resolve_s3"] = True
    deploy["fail_on_empty_changeset"] = False
    document = tomlkit.document()
    document.add(tomlkit.comment("Written by the first `make deploy`. Edit it, then run `make deploy` again."))
    document.add(tomlkit.comment('parameter_overrides takes every parameter of template.yaml and lake.yaml, as "Name=value".'))
    document["version"] = 0.1
    document["default"] = {"global": {"parameters": saved}, "deploy": {"parameters": deploy}}
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


def initial_values(environment):
    """The parameter values of an environment in samconfig.toml. Raises CommandError if the environment does not exist."""
    config = tomlkit.parse((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    known = sorted(name for name in config if name != "version")
    if environment not in known:
        raise CommandError(
            f"samconfig.toml has no environment {environment}. Its environments: {', '.join(known)}.",
            f"use one of these, or add a table [{environment}.deploy.parameters] to samconfig.toml.",
        )
    pairs = config[environment]["deploy"]["parameters"].get("parameter_overrides", [])
    return dict(pair.split("=", 1) for pair in pairs)


def prompt(path, environment=None):
    """Prompts for the settings of a first deploy and saves them."""
    parameters = initial_values(environment) if environment else {}
    print("\nFirst deploy from this folder. Press Enter to accept the value in brackets.\n")
    name = f"{DEFAULT_STACK}-{environment}" if environment else DEFAULT_STACK
    stack = _input("Name of the stack", name, STACK_NAME, STACK_NAME_HINT)
    region = _input(
        "AWS region",
        os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION,
        r"^[a-z]{2}(-[a-z]+)+-\d$",
        "the code of a region, such as ap-southeast-1 (Singapore)",
    )
    known = template_parameters()
    for name, question in QUESTIONS + (ENVIRONMENT_QUESTIONS if environment else []):
        value = _input(question, "", known[name]["AllowedPattern"], known[name]["ConstraintDescription"])
        if value:
            parameters[name] = value
    write(path, stack, region, parameters)
    print(f"\nSaved in {path.name}. To change a value, edit the file and run make deploy again.\n")


def _input(question, default, pattern, hint):
    while True:
        try:
            value = input(f"  {question} [{default or 'none'}]: ").strip() or default
        except EOFError:
            print()
            raise CommandError("The first deploy needs settings, but there is no terminal to enter them.", "run make deploy in a terminal.") from None
        if re.search(pattern, value):
            return value
        print(f"  {value!r} is not valid. Enter {hint}.")
