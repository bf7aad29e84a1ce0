"""Command line of the operator's commands.

Answers of the first deploy are saved in samconfig.local.toml, in the format of the SAM CLI. `--env NAME` selects another stack, with its answers in samconfig.NAME.local.toml and
its first values from samconfig.toml.
"""

import argparse
import os
import sys
from pathlib import Path

import botocore.exceptions

from ops import ROOT, Stop, answers, credentials, deploy, preflight, report, rules, smoke, state, subscriptions
from ops.stack import Stack


EXPIRED = (
    botocore.exceptions.SSOError,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.LoginTokenLoadError,
)
# Codes of AWS for keys and session tokens that it does not know, or no longer.
NOT_KNOWN = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException")


def parser():
    commands = argparse.ArgumentParser(prog="python -m ops", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands.add_argument("--env", help="an environment of samconfig.toml: dev, prod")
    commands.add_argument("--config", type=Path, help="where answers are saved, instead of samconfig.[ENV.]local.toml")
    add = commands.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser

    command = add("preflight", help="find what would make a deploy fail; asks a few questions the first time")
    command.add_argument("--lake", action="store_true", help="of the lake")
    command = add("deploy", help="deploy the main stack; asks a few questions the first time")
    command.add_argument("--template", type=Path, default=ROOT / ".aws-sam/build/template.yaml")
    command.add_argument("--architecture", required=True, choices=["arm64", "x86_64"])
    command = add("lake", help="deploy the lake beside the main stack")
    command.add_argument("--template", type=Path, default=ROOT / ".aws-sam/lake/template.yaml")
    command.add_argument("--architecture", required=True, choices=["arm64", "x86_64"])

    command = add("smoke", help="deploy a scratch stack, use it, remove it, and print a report")
    command.add_argument("--template", type=Path, default=ROOT / ".aws-sam/build/template.yaml")
    command.add_argument("--preflight", action="store_true", help="find only what would make it fail")
    command.add_argument("--lake-template", type=Path, default=ROOT / ".aws-sam/lake/template.yaml")
    command.add_argument("--architecture", required=True, choices=["arm64", "x86_64"])
    command.add_argument("--region", default=answers.DEFAULT_REGION)

    add("report", help="print URL, subscriptions, and what to do next")
    add("credentials", help="print the user name and password for SmartClean")
    add("test-alert", help="push a reading that raises an alert")
    add("rules", help="make FILE the rules of the stack").add_argument("file", type=Path)

    add("rules-show", help="print the rules of the stack, or a version of them").add_argument("version", nargs="?")
    add("rules-history", help="list the versions of the rules: when, who, what")
    add("rules-restore", help="make an older version the newest again").add_argument("version", nargs="?")

    command = add("rebuild-state", help="replay the stored readings into a state table that was lost")
    command.add_argument("--program", type=Path, required=True, help="a smartclean-push that uses buckets and tables")
    command.add_argument("--since", metavar="TIME", help="leave older readings out")
    command.add_argument("--replace", action="store_true", help="replace zones that are in the table")

    for name, what in [("subscribe", "send alerts to an address"), ("unsubscribe", "send no more alerts to an address")]:
        command = add(name, help=what)
        address = command.add_mutually_exclusive_group()
        address.add_argument("--email", metavar="ADDRESS")
        address.add_argument("--phone", metavar="NUMBER", help="with country code: +6591234567")
        address.add_argument("--https", metavar="URL")
    command = add("confirm", help="confirm a subscription so that only the operator can end it")
    command.add_argument("link", help='the link in the message "Subscription Confirmation"')

    add("rotate-credentials", help="make a new password; the old one works for 24 hours").add_argument("client", nargs="?")
    add("rotate-signing-key", help="sign OAuth tokens with a new key")
    add("revoke-previous", help="refuse the previous password and signing key at once")
    add("event-hub-key", help="make a shared access key for Azure Event Hubs' call").add_argument("name")
    return commands


def run(arguments):
    if arguments.command == "smoke":
        stack = smoke.new_stack(arguments.region)
        if arguments.preflight:
            preflight.check(stack, smoke.PARAMETERS)
            return 0
        return smoke.main(stack, arguments.template, arguments.lake_template, arguments.architecture)
    path = arguments.config or answers.path_of(arguments.env)
    if not path.exists():
        if arguments.command not in ("preflight", "deploy"):
            again = f"make deploy ENV={arguments.env}" if arguments.env else "make deploy"
            raise Stop(f"Nothing was deployed from here: there is no {path.name}.", f"run {again}.")
        answers.ask(path, arguments.env)
    name, region, parameters = answers.read(path)
    stack = Stack(name, region)
    match arguments.command:
        case "preflight":
            if arguments.lake:
                stack.outputs()
                preflight.check(Stack(f"{name}-lake", region), parameters, "lake.yaml")
            else:
                preflight.check(stack, parameters)
        case "deploy":
            deploy.main(stack, arguments.template, {**parameters, "Architecture": arguments.architecture})
            report.report(stack)
        case "lake":
            deploy.lake(stack, arguments.template, {**parameters, "Architecture": arguments.architecture})
        case "report":
            report.report(stack)
        case "credentials":
            credentials.show(stack)
        case "test-alert":
            return rules.test_alert(stack)
        case "rules":
            rules.put(stack, arguments.file)
        case "rules-show":
            rules.show(stack, arguments.version)
        case "rules-history":
            rules.history(stack)
        case "rules-restore":
            rules.restore(stack, arguments.version)
        case "rebuild-state":
            return state.rebuild(stack, arguments.program, arguments.since, arguments.replace)
        case "subscribe" | "unsubscribe":
            named = [(name, value) for name in ("email", "phone", "https") if (value := getattr(arguments, name)) is not None]
            if not named:
                raise Stop("No address is named.", f"call this as: make {arguments.command} EMAIL=you@example.com, or PHONE=, HTTPS=")
            protocol, endpoint = named[0]
            change = subscriptions.subscribe if arguments.command == "subscribe" else subscriptions.unsubscribe
            change(stack, subscriptions.Address(protocol, endpoint), parameters)
        case "confirm":
            subscriptions.confirm(stack, arguments.link)
        case "rotate-credentials":
            credentials.rotate(stack, arguments.client)
        case "rotate-signing-key":
            credentials.rotate_signing_key(stack)
        case "revoke-previous":
            credentials.revoke_previous(stack)
        case "event-hub-key":
            credentials.add_event_hub_key(stack, arguments.name)
    return 0


def main():
    try:
        return run(parser().parse_args())
    except Stop as stop:
        return f"\n{stop}"
    except KeyboardInterrupt:
        return "\nStopped. A deploy that has begun goes on in AWS: make status shows how it ended."
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError):
        return (
            "\nNo AWS credentials were found on this machine.\n\nWhat to do next: run `aws configure` (or "
            "`aws configure sso`), or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then run make again."
        )
    except EXPIRED as error:
        profile = os.environ.get("AWS_PROFILE")
        return (
            f"\nThe AWS session has expired: {error}\n\nWhat to do next: run `aws sso login"
            f"{f' --profile {profile}' if profile else ''}`, then run make again."
        )
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in NOT_KNOWN:
            return (
                f"\nAWS does not accept these credentials: {error.response['Error']['Message']}\n\nWhat to do next: sign in again "
                "(`aws sso login`, or new keys with `aws configure`). If the credentials work elsewhere, the region is not "
                "enabled for the account: console > Account > AWS Regions."
            )
        return (
            f"\nAWS refused {error.operation_name}: {error.response['Error']['Message']}\n\nWhat to do next: sign in "
            "again if the session has expired, or ask whoever runs the account for that permission."
        )
    except botocore.exceptions.BotoCoreError as error:
        return f"\n{error}\n\nWhat to do next: check the network, the region and AWS_PROFILE, then run make again."


if __name__ == "__main__":
    sys.exit(main())
