"""Deploys the main stack and the lake with the SAM CLI."""

import subprocess
import sys

from ops import Stop, answers
from ops.stack import Stack


def main(stack, template, parameters):
    known = answers.template_parameters("template.yaml")
    unknown = sorted(parameters.keys() - known.keys() - answers.template_parameters("lake.yaml").keys())
    if unknown:
        raise Stop(
            f"There is no parameter {', '.join(unknown)} in template.yaml or lake.yaml.",
            "correct the name in parameter_overrides, or remove the line. CHANGELOG.md lists what was renamed.",
        )
    _sam_deploy(stack, template, {name: value for name, value in parameters.items() if name in known})


def lake(stack, template, parameters):
    """Deploys the lake as a second stack, `NAME-lake`, with what it needs of the main stack."""
    outputs = stack.outputs()
    known = answers.template_parameters("lake.yaml")
    given = {name: value for name, value in parameters.items() if name in known}
    given |= {"RawBucket": outputs["RawBucketName"], "OperationsTopicArn": outputs["OperationsTopicArn"]}
    second = Stack(f"{stack.name}-lake", stack.region)
    _sam_deploy(second, template, given)
    outputs = second.outputs()
    print(f"\nQuestions in SQL: console > Athena > workgroup {outputs['LakeWorkGroup']}, database {outputs['LakeDatabase']},")
    print("tab Saved queries. docs/lake.md describes the tables.\n")


def _sam_deploy(stack, template, parameters):
    print(f"Deploying stack {stack.name} to account {stack.account()} in {stack.region} (2 to 3 minutes) ...")
    command = [
        sys.executable, "-m", "samcli", "deploy",
        "--template-file", str(template), "--stack-name", stack.name, "--region", stack.region,
        "--capabilities", "CAPABILITY_IAM", "--resolve-s3", "--no-confirm-changeset", "--no-fail-on-empty-changeset",
    ]  # fmt: skip
    if parameters:
        command += ["--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())]
    if subprocess.run(command, check=False).returncode != 0:
        raise Stop(
            "The deploy failed: see the lines above, the first with FAILED in it first.",
            "correct what it names and deploy again; AWS has rolled back what was half done. A stack whose first deploy "
            "failed has to be deleted before: "
            f"aws cloudformation delete-stack --region {stack.region} --stack-name {stack.name}",
        )
