"""How the browser is served: where, to whom, and what of it."""

import ipaddress
from dataclasses import dataclass

from storage.review_records import require_reviewer

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 4300


@dataclass(frozen=True, slots=True)
class Reviewing:
    """That visitors may decide, save slices and read blind studies.

    Attributes:
        reviewer: Who decides until somebody says another name; empty for nobody.
    """

    reviewer: str = ""

    def __post_init__(self) -> None:
        if self.reviewer:
            require_reviewer(self.reviewer)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator said at the start.

    Attributes:
        root: Folder or `s3://bucket/prefix`.
        host: Address it is bound to.
        token: What visitors must know; None asks for nothing, on loopback alone.
        show_restricted: Datasets with restricted lineage that may be shown beyond loopback.
        prefect_url: Of Prefect's pages, without a trailing slash; empty where there is no server.
        reviewing: None serves pages that are only read.
    """

    root: str
    host: str = DEFAULT_HOST
    token: str | None = None
    show_restricted: frozenset[str] = frozenset()
    prefect_url: str = ""
    reviewing: Reviewing | None = None

    def __post_init__(self) -> None:
        if not self.is_local and not self.token:
            raise ValueError(f"expected a token to serve {self.host} beyond loopback, got none")

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def may_show(self, dataset: str, *, restricted: bool) -> bool:
        """Whether a dataset's content may be sent out."""
        return not restricted or self.is_local or dataset in self.show_restricted


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:  # a name, which may mean anything
        return False
