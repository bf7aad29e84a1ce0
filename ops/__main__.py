"""Commands for the operator of a stack in AWS.

The first deploy prompts for settings and saves them in samconfig.local.toml, in the format of the SAM CLI. `--env NAME` selects another
stack. Its settings are in samconfig.NAME.local.toml, and its initial values in samconfig.toml.
"""

import argparse
import os
import sys
from pathlib import Path

import botocore.exceptions

from ops import ROOT, CommandError, credentials, deploy, package, preflight, report, rules, settings, smoke, state, subscriptions
from ops.stack import Stack

EXPIRED_SESSION_ERRORS = (
    botocore.exceptions.SSOError,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.LoginTokenLoadError,
)
INVALID_CREDENTIALS_CODES = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException")


def parser():
    commands = argparse.ArgumentParser(prog="python -m ops", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands.add_argument("--env", help="environment of samconfig.toml: dev, prod")
    commands.add_argument("--config", type=Path, help="file with the settings; default: samconfig.[ENV.]local.toml")
    add = commands.add_subparsers(dest="command", required=True, metavar="COMMAND").add_parser

    command = add("preflight", help="check that a deploy can succeed; the first time, prompt for settings")
    command.add_argument("--lake", action="store_true", help="check the lake")
    command = add("deploy", help="deploy the main stack; the first time, prompt for settings")
    command.add_argument("--template", type=Path, default=ROOT / ".aws-sam/build/template.yaml")
    command.add_argument("--architecture", choices=["arm64", "x86_64"], help="default: that of the template")
    command = add("lake", help="deploy the lake beside the main stack")
    command.add_argument("--template", type=Path, default=ROOT / ".aws-sam/lake/template.yaml")
    command.add_argument("--architecture", choices=["arm64", "x86_64"], help="default: that of the template")
    command = add("verify", help="check that the files of a package are as make package built them")
    command.add_argument("folder", type=Path)

    command = add("smoke", help="deploy a scratch stack, test it, remove it, and print a report")
    command.add_argument("--template", type=Path, default=ROOT / ".aws-sam/build/template.yaml")
    command.add_argument("--preflight", action="store_true", help="check only that the deploy can succeed")
    command.add_argument("--lake-template", type=Path, default=ROOT / ".aws-sam/lake/template.yaml")
    command.add_argument("--architecture", required=True, choices=["arm64", "x86_64"])
    command.add_argument("--region", default=settings.DEFAULT_REGION)

    add("report", help="print the URL for SmartClean, the subscriptions, and what to do next")
    add("credentials", help="print the username and password for SmartClean")
    command = add("test-alert", help="push a reading that raises a harmless alert")
    command.add_argument("--program", type=Path, default=ROOT / "target/debug/smartclean-push", help="smartclean-push")
    add("rules", help="set the rules of the stack").add_argument("file", type=Path)

    add("rules-show", help="print the rules of the stack, or one version").add_argument("version", nargs="?")
    add("rules-history", help="list the versions of the rules with time, author and origin")
    add("rules-restore", help="make an older version the current one").add_argument("version", nargs="?")

    command = add("rebuild-state", help="rebuild a lost state table from the stored readings")
    command.add_argument("--program", type=Path, required=True, help="smartclean-push, built with the feature s3")
    command.add_argument("--since", metavar="TIME", help="ignore earlier readings")
    command.add_argument("--replace", action="store_true", help="overwrite zones that are in the table")

    command = add("zones", help="list the sites, zones and devices that have sent readings")
    command.add_argument("--program", type=Path, required=True, help="smartclean-push, built with the feature s3")
    command.add_argument("--since", metavar="TIME", help="ignore earlier readings")
    command.add_argument("--toml", action="store_true", help="write tables for a rules file")

    command = add("invite", help="invite the phones of a team, list invitations or revoke one")
    command.add_argument("--program", type=Path, required=True, help="smartclean-push, built with the feature s3")
    command.add_argument("--list", action="store_true", help="list the invitations in force")
    for name in state.INVITATION_OPTIONS:
        command.add_argument(f"--{name}", help="as of `smartclean-push invite`")

    for name, help in [("subscribe", "add an address that gets alerts"), ("unsubscribe", "remove an address")]:
        command = add(name, help=help)
        if name == "subscribe":
            command.add_argument("--audience", metavar="ID", help="only the messages of this audience, and those for everybody")
        address = command.add_mutually_exclusive_group()
        address.add_argument("--email", metavar="ADDRESS")
        address.add_argument("--phone", metavar="NUMBER", help="with country code: +6591234567")
        address.add_argument("--https", metavar="URL")
    command = add("confirm", help="confirm a subscription; ending it then requires AWS credentials")
    command.add_argument("link", help='the link in the message "Subscription Confirmation"')

    add("rotate-credentials", help="create a new password; the old one works for 24 hours").add_argument("client", nargs="?")
    add("rotate-signing-key", help="create a new key for OAuth tokens")
    add("revoke-previous", help="end the previous passwords and signing key")
    add("event-hub-key", help="create a shared access key for Azure Event Hubs").add_argument("name")
    return commands


def run(arguments):
    """Runs a command. Returns its exit code."""
    if arguments.command == "smoke":
        stack = smoke.new_stack(arguments.region)
        if arguments.preflight:
            preflight.check(stack, smoke.PARAMETERS)
            return 0
        return smoke.main(stack, arguments.template, arguments.lake_template, arguments.architecture)
    if arguments.command == "verify":
        package.verify(arguments.folder)
        return 0
    path = arguments.config or settings.path_for(arguments.env)
    if not path.exists():
        if arguments.command not in ("preflight", "deploy"):
            target = f"make deploy ENV={arguments.env}" if arguments.env else "make deploy"
            raise CommandError(f"This folder has not deployed a stack: {path.name} does not exist.", f"run {target}.")
        settings.prompt(path, arguments.env)
    name, region, parameters = settings.read(path)
    if architecture := getattr(arguments, "architecture", None):
        parameters["Architecture"] = architecture
    stack = Stack(name, region)
    match arguments.command:
        case "preflight":
            if arguments.lake:
                stack.outputs()
                preflight.check(Stack(f"{name}-lake", region), parameters, "lake.yaml")
            else:
                preflight.check(stack, parameters)
        case "deploy":
            deploy.main(stack, arguments.template, parameters)
            report.report(stack)
        case "lake":
            deploy.lake(stack, arguments.template, parameters)
        case "report":
            report.report(stack)
        case "credentials":
            credentials.show(stack)
        case "test-alert":
            return rules.test_alert(stack, arguments.program)
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
        case "zones":
            return state.zones(stack, arguments.program, arguments.since, arguments.toml)
        case "invite":
            return state.invite(stack, arguments, parameters.get("PublicUrl"))
        case "subscribe" | "unsubscribe":
            given = [(kind, value) for kind in ("email", "phone", "https") if (value := getattr(arguments, kind)) is not None]
            if not given:
                raise CommandError("The address is missing.", f"run make {arguments.command} EMAIL=you@example.com, or PHONE=, HTTPS=.")
            address = subscriptions.Address(*given[0])
            if arguments.command == "subscribe":
                subscriptions.subscribe(stack, address, parameters, arguments.audience)
            else:
                subscriptions.unsubscribe(stack, address, parameters)
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
    """Runs the command line. Returns the exit code, or the text of an error."""
    try:
        return run(parser().parse_args())
    except CommandError as error:
        return f"\n{error}"
    except KeyboardInterrupt:
        return "\nInterrupted. A deploy that has started continues in AWS.\n\nWhat to do next: run make status to see its result."
    except (botocore.exceptions.NoCredentialsError, botocore.exceptions.PartialCredentialsError):
        return (
            "\nThis computer has no AWS credentials.\n\nWhat to do next: run `aws configure` (or `aws configure sso`), or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, then run make again."
        )
    except EXPIRED_SESSION_ERRORS as error:
        profile = os.environ.get("AWS_PROFILE")
        return (
            f"\nThe AWS session has expired: {error}\n\nWhat to do next: run `aws sso login"
            f"{f' --profile {profile}' if profile else ''}`, then run make again."
        )
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in INVALID_CREDENTIALS_CODES:
            return (
                f"\nAWS rejected the credentials: {error.response['Error']['Message']}\n\nWhat to do next: sign in again "
                "(`aws sso login`, or new keys with `aws configure`). If the credentials work elsewhere, the region is not "
                "enabled for the account: console > Account > AWS Regions."
            )
        return (
            f"\nAWS refused {error.operation_name}: {error.response['Error']['Message']}\n\nWhat to do next: if the session has "
            "expired, sign in again. Otherwise, ask the administrator of the account for this permission."
        )
    except botocore.exceptions.BotoCoreError as error:
        return f"\n{error}\n\nWhat to do next: check the network, the region and AWS_PROFILE, then run make again."


if __name__ == "__main__":
    sys.exit(main())
