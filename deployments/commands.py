"""The commands `init`, `patrol` and `up`, found by the command line through entry points."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

Root = Annotated[
    str, typer.Option(help="Folder or s3://bucket/prefix that runs read and write by default.")
]
DEFAULT_ROOT = "./factory"


def init(
    root: Root = DEFAULT_ROOT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.")
    ] = False,
) -> None:
    """Set up the Prefect server at PREFECT_API_URL: pools, deployments, automations."""
    from deployments.changes import changes_text
    from deployments.initialise import initialise

    changes = initialise(root)
    found = {"changes": [asdict(change) for change in changes]}
    typer.echo(json.dumps(found) if as_json else changes_text(changes))


def patrol() -> None:
    """Find runs whose process is gone on the server at PREFECT_API_URL, until told to end."""
    from deployments.patrol import go_on_patrol
    from deployments.silence import Patience

    go_on_patrol(Patience())


def up(
    root: Root = DEFAULT_ROOT,
    port: Annotated[int, typer.Option(help="Of the server and its UI.", min=1, max=65535)] = 4200,
    browser_port: Annotated[
        int, typer.Option(help="Of the browser of released datasets.", min=1, max=65535)
    ] = 4300,
) -> None:
    """The fleet on this machine: server with UI, deployments, a worker a pool, the browser."""
    from deployments.up import run_fleet

    run_fleet(root, port, browser_port)
