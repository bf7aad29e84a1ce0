"""Deploys the main stack and the lake with the SAM CLI."""

import subprocess
import sys

from ops import Stop, answers, preflight
from ops.stack import Stack


def main(stack, template, parameters):
    preflight.check_parameters(parameters)
    _sam_deploy(stack, template, answers.every_value(answers.template_parameters("template.yaml"), parameters))


def lake(stack, template, parameters):
    """Deploys the lake as a second stack, `NAME-lake`, with what it needs of the main stack."""
    outputs = stack.outputs()
    given = parameters | {"RawBucket": outputs["RawBucketName"], "OperationsTopicArn": outputs["OperationsTopicArn"]}
    second = Stack(f"{stack.name}-lake", stack.region)
    _sam_deploy(second, template, answers.every_value(answers.template_parameters("lake.yaml"), given))
    outputs = second.outputs()
    print(f"\nQuestions in SQL: console > Athena > workgroup {outputs['LakeWorkGroup']}, database {outputs['LakeDatabase']},")
    print("tab Saved queries. docs/lake.md describes the tables.\n")


def _sam_deploy(stack, template, parameters):
    print(f"Deploying stack {stack.name} to account {stack.account()} in {stack.region} (2 to 3 minutes) ...")
    command = [
        sys.executable, "-m", "samcli", "deploy",
        "--template-file", str(template), "--stack-name", stack.name, "--region", stack.region,
        "--capabilities", "CAPABILITY_IAM", "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
        "--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items()),
    ]  # fmt: skip
    if subprocess.run(command, check=False).returncode != 0:
        raise Stop(
            "The deploy failed: see the lines above, the first with FAILED in it first.",
            "correct what it names, and run make deploy again; AWS has rolled back what was half done. If it was the first deploy, "
            "make deploy offers to remove what is left of it.",
        )
