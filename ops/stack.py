"""A deployed stack: its outputs, and clients of the AWS services in its region."""

import boto3
import botocore.exceptions

from ops import CommandError


class Stack:
    """A stack by name and region. Creating one makes no request."""

    def __init__(self, name, region):
        self.name, self.region = name, region
        self._session = boto3.Session(region_name=region)

    def client(self, service):
        return self._session.client(service)

    def account(self):
        return self.client("sts").get_caller_identity()["Account"]

    def caller(self):
        """The ARN of the identity that the credentials belong to."""
        return self.client("sts").get_caller_identity()["Arn"]

    def outputs(self):
        """The outputs by name. Raises CommandError if the stack does not exist."""
        described = self._describe()
        if not described:
            raise CommandError(f"There is no stack {self.name} in {self.region}.", "run make deploy.")
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def resource(self, logical_id):
        """The physical id of a resource of the template."""
        described = self.client("cloudformation").describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return described["StackResourceDetail"]["PhysicalResourceId"]

    def status(self):
        """The status in CloudFormation; None if the stack does not exist."""
        described = self._describe()
        return described and described["StackStatus"]

    def remove(self):
        """Deletes the stack and waits for completion."""
        cloudformation = self.client("cloudformation")
        cloudformation.delete_stack(StackName=self.name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig={"Delay": 5})

    def _describe(self):
        try:
            return self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"][0]
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                return None
            raise
