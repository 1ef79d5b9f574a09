"""Makes the bucket of an s3:// root if it lacks: the store of the compose file begins empty.

Usage: python -m deployments.bucket s3://factory
"""

import sys

import boto3

from storage.s3 import S3Store


def make_bucket(root: str) -> None:
    """Make the bucket that a root names; the usual variables say where and as whom.

    Raises:
        ValueError: If the root names no bucket.
    """
    bucket = S3Store.from_environment(root).root.removeprefix("s3://").split("/")[0]
    client = boto3.client("s3")
    if bucket not in {found["Name"] for found in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=bucket)


if __name__ == "__main__":
    make_bucket(sys.argv[1])
