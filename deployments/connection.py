"""The Prefect server that PREFECT_API_URL names."""

from collections.abc import Iterator
from contextlib import contextmanager

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL

from storage.errors import FactoryError


class ServerUnavailable(FactoryError):
    """No Prefect server, or one that refuses us."""


def server_address() -> str:
    """Of the server's interface.

    Raises:
        ServerUnavailable: If none is named.
    """
    address: str | None = PREFECT_API_URL.value()
    if not address:  # Prefect would start a server of its own, which ends with the command
        raise ServerUnavailable(
            "expected the address of a Prefect server in PREFECT_API_URL, found none; run "
            "cxr-factory up, or set it to that of your server, as http://127.0.0.1:4200/api"
        )
    return address


@contextmanager
def connect() -> Iterator[SyncPrefectClient]:
    """A client of the server.

    Raises:
        ServerUnavailable: If no server is named, it does not answer, or it refuses a request.
    """
    address = server_address()
    try:
        with get_client(sync_client=True) as client:
            yield client
    except HTTPError as error:
        raise ServerUnavailable(
            f"expected a Prefect server at {address}, got: {str(error).splitlines()[0]}; start "
            "it, or correct PREFECT_API_URL and PREFECT_API_AUTH_STRING"
        ) from error
