"""How S3 is reached, by boto3 and by Lance alike: endpoint, region and credentials.

All of them by boto3's usual chain: variables, profiles, web identity, the host's role.
"""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from storage.errors import StoreRefused

_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn")
# Lance tries a request again for so many seconds, and a listing, which every opening of a table
# begins with, six times over: about a minute, measured with pylance 14.0.2 on a closed port.
_LANCE_PATIENCE = {"client_max_retries": "40", "client_retry_timeout": "10"}


class S3Access:
    """An endpoint with what is needed to be let in.

    Args:
        session: Where credentials and region come from.
        endpoint: Address of the server; None: as boto3 is configured, AWS by default.

    Attributes:
        client: Of boto3; threads may share it.
        address: Of the server.
        has_answered: Whether the server ever did: then it exists, and is worth waiting for.

    Raises:
        ValueError: If endpoint, region or profile cannot be ones.
    """

    def __init__(self, session: boto3.session.Session, endpoint: str | None = None) -> None:
        self._session = session
        try:
            client = session.client("s3", endpoint_url=endpoint, config=_config("auto"))
            address = str(client.meta.endpoint_url)
            self._is_aws = (urlsplit(address).hostname or "").endswith(_AWS_HOSTS)
            if not self._is_aws:  # another server need not answer at bucket.host
                client = session.client("s3", endpoint_url=address, config=_config("path"))
        except (BotoCoreError, ValueError) as error:
            raise _misconfigured(error) from error
        self.client: Any = client
        self.address = address
        self.has_answered = False

    @classmethod
    def from_environment(cls) -> "S3Access":
        """By the usual chain; one for all stores of a process, since making a client is slow."""
        return _access_by(tuple(sorted(_settings(os.environ))))

    @property
    def source(self) -> str | None:
        """Where the credentials come from, never what they are; None when there are none."""
        credentials = self._session.get_credentials()
        return None if credentials is None else str(credentials.method)

    def lance_options(self) -> dict[str, str]:
        """Lance's view of the same, as it is now: credentials that expire are renewed by boto3.

        Raises:
            StoreRefused: If credentials cannot be renewed.
        """
        options = dict(_LANCE_PATIENCE)
        region = self._session.region_name
        if not self._is_aws:
            options["aws_endpoint"] = self.address
            options["allow_http"] = "true" if self.address.startswith("http://") else "false"
        if region or not self._is_aws:  # Lance finds the region of an AWS bucket by itself
            options["aws_region"] = region or "us-east-1"
        return options | self._credentials()

    def _credentials(self) -> dict[str, str]:
        try:
            credentials = self._session.get_credentials()
            frozen = credentials.get_frozen_credentials() if credentials else None
        except BotoCoreError as error:
            raise StoreRefused(
                f"S3 credentials could not be renewed ({error}); sign in again, then run again"
            ) from error
        if frozen is None:
            return {}
        found = {
            "aws_access_key_id": frozen.access_key,
            "aws_secret_access_key": frozen.secret_key,
        }
        return found | ({"aws_session_token": frozen.token} if frozen.token else {})


def _settings(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in environment.items() if name.startswith("AWS_"))


@lru_cache(maxsize=4)
def _access_by(settings: tuple[tuple[str, str], ...]) -> S3Access:
    """The access that these variables lead to; AWS_REGION counts, which boto3 alone leaves out."""
    region = dict(settings).get("AWS_REGION")
    try:
        session = boto3.session.Session(region_name=region or None)
    except BotoCoreError as error:
        raise _misconfigured(error) from error
    return S3Access(session)


def _config(addressing_style: str) -> Config:
    """One try per request, since only the store knows which answers are clear."""
    return Config(
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=60,
        max_pool_connections=32,
        s3={"addressing_style": addressing_style},
    )


def _misconfigured(error: Exception) -> ValueError:
    return ValueError(
        f"S3 must be configured as boto3 takes it, got: {error}; "
        "check AWS_ENDPOINT_URL, AWS_REGION and AWS_PROFILE"
    )
