"""What the commands of this room share: their common options, and how they say what they did."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def _reachable(root: str) -> str:
    """A root that cannot be read is said at once, before a server is started for the work."""
    if "://" in root:
        from storage.objects import require_reachable

        require_reachable(root)
    return root


ROOT_HELP = "Folder or s3://bucket/prefix that holds everything."
Root = Annotated[str, typer.Option(help=ROOT_HELP, callback=_reachable)]
AnyRoot = Annotated[str, typer.Option(help=ROOT_HELP)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Dispatch = Literal["inline", "work-pool"]
PlanFile = Annotated[Path, typer.Argument(help="A YAML plan.", show_default=False)]

DEFAULT_ROOT = "./factory"


def show(value: dict[str, Any], text: str, as_json: bool) -> None:
    """What a command found: for machines, or for people."""
    typer.echo(json.dumps(value, default=str) if as_json else text)


def complain(line: str) -> None:
    """One line on standard error."""
    typer.echo(f"cxr-factory: {line}", err=True)
