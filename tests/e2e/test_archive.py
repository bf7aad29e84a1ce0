"""The contract of the archive in a bucket (tests/it/aws/archive.rs) with more objects than one page of a list."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUCKET = "archive-contract"


@pytest.fixture
def bucket(aws):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    yield BUCKET
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def test_bucket_is_listed_in_pages_and_read_in_order(aws, bucket):
    done = subprocess.run(
        # The options of `make unit`, so that nothing is compiled twice.
        ["cargo", "test", "--locked", "--workspace", "--all-features", "--test", "it", "--"]
        + ["--exact", "aws::archive::bucket_contract", "--ignored"],
        cwd=ROOT,
        env={**aws.environment, "ARCHIVE_TEST_BUCKET": bucket},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout
