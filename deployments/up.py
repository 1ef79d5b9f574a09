"""`cxr-factory up`: server, workers, patrol and browser on one machine, until told to stop."""

import fcntl
import os
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import typer

from deployments.children import Child
from deployments.settings import HOST, api_address, fleet_settings, state_folder
from deployments.signals import stop_signals
from deployments.workers import patrol_command, places, visible_gpus
from storage.errors import FactoryError
from storage.objects import open_store, require_reachable
from tasks.browser_links import BROWSER_URL

READY_SECONDS = 300.0  # a first start makes the database
_POLL_SECONDS = 0.5


class ServerEnded(FactoryError):
    """The Prefect server ended, and with it the fleet."""


def run_fleet(root: str, port: int, browser_port: int) -> None:
    """Start everything, say where it is, and watch it until a signal.

    Args:
        root: Folder or s3://bucket/prefix that runs read and write by default.
        port: Of the server and its UI.
        browser_port: Of the browser of released datasets.

    Raises:
        ValueError: If a port is in use, another fleet keeps its state in the same folder, or the
            root names another kind of store.
        StoreRefused: If the root is in no bucket, or the credentials do not open it.
        StoreUnavailable: If the root's server does not answer.
        ServerEnded: If the server ends by itself, or is not ready in time.
    """
    where = open_store(root).root
    if "://" in where:
        require_reachable(where)  # or every run of every worker would fail of it
    home = state_folder(where)
    places_here = places(visible_gpus())
    _require_free(port, "--port")
    _require_free(browser_port, "--browser-port")
    os.environ.update(fleet_settings(home, port))  # before Prefect is imported: it reads them once
    os.environ[BROWSER_URL] = f"http://{HOST}:{browser_port}"
    server = Child("server", server_command(port), os.environ, home / "logs" / "server.log")
    workers = [
        Child(
            place.name,
            place.command(),
            os.environ | place.environment(),
            home / "logs" / f"{place.name}.log",
        )
        for place in places_here
    ]
    command = browser_command(where, browser_port)
    browser = Child("browser", command, os.environ, home / "logs" / "browser.log")
    patrol = Child("patrol", patrol_command(), os.environ, home / "logs" / "patrol.log")
    beside = [*workers, patrol, browser]
    with _only_fleet(home), stop_signals() as stopping, _running(server, beside):
        server.start()
        _wait_until_ready(server, port, stopping)
        if stopping.is_set():
            return
        _set_up(where)
        for child in beside:
            child.start()
        typer.echo(_addresses(where, port, home, [worker.name for worker in workers]))
        _watch(server, beside, stopping)


def _set_up(root: str) -> None:
    from deployments.changes import changes_text
    from deployments.connection import connect
    from deployments.initialise import initialise
    from deployments.left_runs import crash_left_runs

    typer.echo(changes_text(initialise(root)))
    with connect() as client:
        if num_runs := crash_left_runs(client):
            typer.echo(f"{num_runs} runs of an earlier fleet are marked Crashed")


def server_command(port: int) -> list[str]:
    """What starts a Prefect server that listens there; see `deployments.waiting_prefect`."""
    return [
        *(sys.executable, "-m", "deployments.waiting_prefect", "server", "start"),
        *("--host", HOST, "--port", str(port)),
    ]


def browser_command(root: str, port: int) -> list[str]:
    """What starts the browser of a root, read-only, for this machine alone."""
    program = Path(sys.executable).with_name("cxr-factory")
    return [str(program), "browse", "--root", root, "--host", HOST, "--port", str(port)]


def _require_free(port: int, option: str) -> None:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"expected port {port} to be free, got: {error.strerror}; stop what listens "
                f"there, or name another with {option}"
            ) from error


@contextmanager
def _only_fleet(home: Path) -> Iterator[None]:
    """Hold the folder: two servers on one database would undo each other's work."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "up.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ValueError(
                f"expected no other fleet in {home}, cxr-factory up runs there as process "
                f"{file.read()}; stop it, or name another root or PREFECT_HOME"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def _running(server: Child, beside: Sequence[Child]) -> Iterator[None]:
    """Stops all at the end of the block, the server last: workers report to it how runs ended."""
    try:
        yield
    finally:
        typer.echo("stopping")
        for child in beside:
            child.ask_to_stop()
        for child in beside:
            child.wait()
        server.ask_to_stop()
        server.wait()


def _wait_until_ready(server: Child, port: int, stopping: threading.Event) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(port) and not stopping.wait(_POLL_SECONDS):
        _require_alive(server)
        if time.monotonic() > deadline:
            raise ServerEnded(
                f"expected the Prefect server to answer in {READY_SECONDS:g} s, its last words: "
                f"{server.last_words()}; see {server.log}"
            )


def _answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{api_address(port)}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, HTTPException):
        return False


def _require_alive(server: Child) -> None:
    if (status := server.exit_status()) is not None:
        raise ServerEnded(
            f"the Prefect server ended with exit status {status}: {server.last_words()}; all is "
            f"stopped; see {server.log} and run cxr-factory up again"
        )


def _watch(server: Child, beside: Sequence[Child], stopping: threading.Event) -> None:
    """Start again what dies, until a signal; without a server there is nothing to work for."""
    while not stopping.wait(_POLL_SECONDS):
        _require_alive(server)
        for child in beside:
            if (status := child.exit_status()) is not None and child.may_restart():
                typer.echo(f"{child.name} ended with exit status {status}; started again")
                child.start()


def _addresses(root: str, port: int, home: Path, workers: Sequence[str]) -> str:
    return "\n".join(
        [
            f"UI       http://{HOST}:{port}",
            f"browser  {os.environ[BROWSER_URL]}",
            f"API      export PREFECT_API_URL={api_address(port)}",
            f"root     {root}",
            f"workers  {', '.join(workers)}",
            f"logs     {home / 'logs'}",
            "Ctrl-C stops all of it",
        ]
    )
