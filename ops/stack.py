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

    def caller(self):
        """Who the credentials are of, as AWS names them."""
        return self.client("sts").get_caller_identity()["Arn"]

    def outputs(self):
        """The outputs by name. Raises Stop if the stack does not exist."""
        described = self._describe()
        if not described:
            raise Stop(f"There is no stack {self.name} in {self.region}.", "run make deploy.")
        return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}

    def resource(self, logical_id):
        """The name that AWS gave to a resource of the template."""
        described = self.client("cloudformation").describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return described["StackResourceDetail"]["PhysicalResourceId"]

    def status(self):
        """Its state, as CloudFormation names it; None if it does not exist."""
        described = self._describe()
        return described and described["StackStatus"]

    def remove(self):
        """Deletes the stack, and waits until it is gone."""
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
