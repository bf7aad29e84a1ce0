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
    ("objects", "expected", "is_newest"),
    [
        ({}, None, True),
        ({rules.KEY: b"new", rules.ACCEPTED: b"new"}, b"new", True),
        ({rules.KEY: b"new or broken", rules.ACCEPTED: b"old"}, b"old", False),
        ({rules.KEY: b"new or broken from the start"}, None, False),
        # After the rules file was deleted, the built-in rules apply.
        ({rules.ACCEPTED: b"old"}, None, True),
    ],
)
def test_rules_in_force_are_those_that_the_function_uses(objects, expected, is_newest):
    assert (rules.in_force(Stack(objects)), rules.is_newest_in_force(Stack(objects))) == (expected, is_newest)
