"""The rules that a deployed stack uses."""

import io

import botocore.exceptions
import pytest

from ops import rules


class Stack:
    """A stack whose bucket contains these objects."""

    def __init__(self, objects):
        self.objects = objects

    def outputs(self):
        return {"RawBucketName": "readings"}

    def client(self, _):
        return self

    def get_object(self, Bucket, Key):
        if Key not in self.objects:
            raise botocore.exceptions.ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[Key])}


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ({}, None),
        ({rules.KEY: b"new and broken", rules.ACCEPTED: b"old"}, b"old"),
        ({rules.KEY: b"broken from the start"}, None),
        # After the rules file was deleted, the built-in rules apply.
        ({rules.ACCEPTED: b"old"}, None),
    ],
)
def test_rules_in_force_are_those_that_the_function_uses(objects, expected):
    assert rules.in_force(Stack(objects)) == expected
