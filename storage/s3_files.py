"""Large files to and from S3 in parts, each tried again by itself; a part at a time in memory."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from storage.errors import FactoryError, StoreUnavailable
from storage.s3_errors import error_code

PART_BYTES = 64 << 20  # of at most 10,000 parts: 640 GB; S3 takes 5 GB whole
Ask = Callable[[Callable[[], Any]], Any]  # the answer to a request, after further tries


def put_parts(client: Any, ask: Ask, at: Mapping[str, str], path: Path) -> None:
    """Write a file as the object; readers see the old or the new one, whole.

    Args:
        client: Of boto3.
        ask: How requests are made.
        at: Bucket and Key.
        path: Of the file, which must not change meanwhile.
    """
    upload_id = ask(lambda: client.create_multipart_upload(**at))["UploadId"]
    named = {**at, "UploadId": upload_id}
    try:
        with path.open("rb") as file:
            parts: list[dict[str, Any]] = []
            while data := file.read(PART_BYTES):
                number = len(parts) + 1
                put = partial(client.upload_part, **named, PartNumber=number, Body=data)
                parts.append({"PartNumber": number, "ETag": ask(put)["ETag"]})
        num_bytes = path.stat().st_size
        ask(lambda: _complete(client, named, parts, num_bytes))
    except FactoryError:
        with suppress(FactoryError):
            ask(lambda: client.abort_multipart_upload(**named))
        raise


def get_parts(client: Any, ask: Ask, at: Mapping[str, str], path: Path) -> None:
    """Read the object into a file; all parts of it are of one version of the object."""
    head = ask(lambda: client.head_object(**at))
    with path.open("wb") as file:
        for start in range(0, int(head["ContentLength"]), PART_BYTES):
            bounds = f"bytes={start}-{start + PART_BYTES - 1}"
            file.write(ask(partial(_read, client, {**at, "IfMatch": head["ETag"]}, bounds)))


def _read(client: Any, at: Mapping[str, str], bounds: str) -> bytes:
    return bytes(client.get_object(**at, Range=bounds)["Body"].read())


def _complete(
    client: Any, named: Mapping[str, str], parts: list[dict[str, Any]], num_bytes: int
) -> None:
    try:
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    except ClientError as error:
        if error_code(error) != "NoSuchUpload":
            raise
        # it may have been completed by a try of mine whose answer was lost
        found = client.head_object(Bucket=named["Bucket"], Key=named["Key"])
        if int(found["ContentLength"]) != num_bytes:
            raise StoreUnavailable(
                f"{named['Key']}: the upload vanished before it was complete; run again"
            ) from error
