"""Deploys the main stack and the lake with the SAM CLI."""

import subprocess
import sys

from ops import CommandError, preflight, settings
from ops.stack import Stack


def main(stack, template, parameters):
    """Deploys the main stack."""
    preflight.check_parameters(parameters, template)
    _sam_deploy(stack, template, settings.with_defaults(settings.template_parameters(template), parameters))


def lake(stack, template, parameters):
    """Deploys the lake as a second stack, `NAME-lake`, with the bucket and, unless `Alarms=no`, the operations topic of the main stack."""
    outputs = stack.outputs()
    topic = "" if parameters.get("Alarms") == "no" else outputs["OperationsTopicArn"]
    given = parameters | {"RawBucket": outputs["RawBucketName"], "OperationsTopicArn": topic}
    lake = Stack(f"{stack.name}-lake", stack.region)
    _sam_deploy(lake, template, settings.with_defaults(settings.template_parameters(template), given))
    outputs = lake.outputs()
    print(f"\nTo query the readings: console > Athena > workgroup {outputs['LakeWorkGroup']}, database {outputs['LakeDatabase']} > Saved queries.")
    print("docs/lake.md describes the tables.\n")


def _sam_deploy(stack, template, parameters):
    print(f"Deploying stack {stack.name} to account {stack.account()} in {stack.region} (2 to 3 minutes) ...")
    command = [
        sys.executable, "-m", "samcli", "deploy",
        "--template-file", str(template), "--stack-name", stack.name, "--region", stack.region,
        "--capabilities", "CAPABILITY_IAM", "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
        "--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items()),
    ]  # fmt: skip
    if subprocess.run(command, check=False).returncode != 0:
        raise CommandError(
            "The deploy failed, and AWS rolled it back. The first line above with FAILED has the reason.",
            "correct the cause and run make deploy again. After a failed first deploy, make deploy offers to remove the stack.",
        )
