"""What S3's answers, and their absence, mean to callers."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from storage.errors import (
    FactoryError,
    ObjectMissing,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
)

REFUSED_CONDITION = ("412", "PreconditionFailed")
_MISSING = ("404", "NoSuchKey", "NotFound")
_FULL = ("507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull")
_AGAIN = (408, 409, 412, 429)  # and every 5xx: no clear answer
_AGAIN_CODES = ("RequestTimeout", "IncompleteBody")  # 400: the body was cut on its way
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
)


@contextmanager
def s3_errors(uri: str) -> Iterator[None]:
    """S3's errors as ours, in one line.

    Args:
        uri: What was asked for.

    Raises:
        ObjectMissing: There is no such object.
        StoreFull: No room left.
        StoreRefused: No, for good: bucket, credentials, permission, or no S3 at all.
        StoreUnavailable: No clear answer; the same request may go through later.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(uri, error) from error
    except _NO_CREDENTIALS as error:
        raise StoreRefused(
            f"{uri}: expected S3 credentials, got none ({error}); set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from error
    except (ResponseParserError, RecursionError) as error:  # botocore follows redirects for ever
        raise StoreRefused(
            f"{uri}: expected an S3 server, got an answer that is not S3's; check AWS_ENDPOINT_URL"
        ) from error
    except BotoCoreError as error:
        raise StoreUnavailable(
            f"{uri}: no clear answer from S3 ({error}); "
            "check AWS_ENDPOINT_URL and the network, then run again"
        ) from error


def error_code(error: ClientError) -> str:
    """S3's own word for what went wrong; the status where the answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _of_answer(uri: str, error: ClientError) -> FactoryError:
    code = error_code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _MISSING:
        return ObjectMissing(f"no object {uri}")
    if code in _FULL:
        return StoreFull(f"{uri}: the store is full ({code}); free space and run again")
    if status in _AGAIN or status >= 500 or code in _AGAIN_CODES:
        return StoreUnavailable(f"{uri}: S3 answered {status} {code}; run again later")
    return StoreRefused(
        f"{uri}: S3 answered {status} {code}; check the bucket's name, "
        "the credentials and what they allow"
    )
