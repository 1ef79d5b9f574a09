"""The command `browse`, found by the command line through an entry point."""

import os
import secrets
from typing import Annotated

import typer

from browser.settings import DEFAULT_HOST, DEFAULT_PORT, Reviewing, Settings, is_loopback

TOKEN_VARIABLE = "CXR_FACTORY_BROWSER_TOKEN"
_TOKEN_BYTES = 24
DEFAULT_ROOT = "./factory"


def browse(
    root: Annotated[
        str, typer.Option(help="Folder or s3://bucket/prefix whose datasets are shown.")
    ] = DEFAULT_ROOT,
    host: Annotated[
        str,
        typer.Option(
            help=f"Address to listen on. Beyond loopback visitors need a token: {TOKEN_VARIABLE}, "
            "or one made up at the start."
        ),
    ] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(min=1, max=65535)] = DEFAULT_PORT,
    show_restricted: Annotated[
        list[str] | None,
        typer.Option(help="A dataset with restricted lineage to show beyond loopback, by name."),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Let visitors decide, save slices, read studies.")
    ] = False,
    reviewer: Annotated[
        str, typer.Option(help="With --review: who decides until another name is said.")
    ] = "",
) -> None:
    """Look at released datasets in a web browser; nothing is written without --review."""
    from storage.objects import require_reachable

    if reviewer and not review:
        raise ValueError(f"--reviewer {reviewer} names who reviews; add --review")
    require_reachable(root)  # a root that cannot be read is said at once, in one line
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        typer.echo(f"token for visitors: {token}")

    from browser.serving import serve

    settings = Settings(
        root=root,
        host=host,
        token=token,
        show_restricted=frozenset(show_restricted or ()),
        prefect_url=_prefect_url(),
        reviewing=Reviewing(reviewer) if review else None,
    )
    serve(settings, port)


def _prefect_url() -> str:
    """Where Prefect's pages are, as Prefect itself is set; empty where no server is named."""
    from prefect.settings import PREFECT_UI_URL

    return (PREFECT_UI_URL.value() or "").rstrip("/")
