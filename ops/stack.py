"""One deployed stack: its outputs, and clients of the services in its region."""

import boto3
import botocore.exceptions

from ops import Stop


class Stack:
    """A stack by name and region. Nothing is read before it is asked for."""

    def __init__(self, name, region):
        self.name, self.region = name, region
        self._session = boto3.Session(region_name=region)

    def client(self, service):
        return self._session.client(service)

    def account(self):
        return self.client("sts").get_caller_identity()["Account"]

    def outputs(self):
        """The outputs by name. Raises Stop if the stack does not exist."""
        try:
            stacks = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] == "ValidationError":
                raise Stop(f"There is no stack {self.name} in {self.region}.", "run make deploy.") from None
            raise
        return {output["OutputKey"]: output["OutputValue"] for output in stacks[0].get("Outputs", [])}
