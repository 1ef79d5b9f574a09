"""Serves the application until it is interrupted."""

import typer
import uvicorn

from browser.app import create_app
from browser.settings import Settings


def serve(settings: Settings, port: int) -> None:
    """Listen on the settings' host; returns when interrupted."""
    app = create_app(settings)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    typer.echo(f"browse {app.state.library.store.root} at http://{address}:{port}")
    uvicorn.run(
        app,
        host=settings.host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
    )
