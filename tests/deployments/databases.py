"""Real Postgres and Redis for tests: Debian's binaries, on loopback, in a fresh folder."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deployments.children import Child
from tests.deployments.processes import free_ports, wait_until

PASSWORD = "b7c1f0"
_UNPRIVILEGED = "nobody"  # Postgres refuses to run as root
_AS_UNPRIVILEGED = (
    "import os, pwd, sys; who = pwd.getpwnam(sys.argv[1]); os.setgroups([]); "
    "os.setgid(who.pw_gid); os.setuid(who.pw_uid); os.execv(sys.argv[2], sys.argv[2:])"
)


def _postgres_command(name: str) -> list[str]:
    """One of Postgres's programs, as an unprivileged user where we are root."""
    packaged = [str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    found = shutil.which(name) or max(packaged, default=None)
    if found is None:
        pytest.skip(f"no Postgres: the program {name} is absent; apt-get install postgresql")
    if os.getuid() != 0:
        return [found]
    return [sys.executable, "-c", _AS_UNPRIVILEGED, _UNPRIVILEGED, found]


@contextmanager
def postgres() -> Iterator[int]:
    """A server with the database and user that the compose file names; its port."""
    initdb, server = _postgres_command("initdb"), _postgres_command("postgres")
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        data, secret = Path(folder) / "data", Path(folder) / "password"
        secret.write_text(PASSWORD)
        if os.getuid() == 0:
            who = pwd.getpwnam(_UNPRIVILEGED)
            for path in (Path(folder), secret):
                os.chown(path, who.pw_uid, who.pw_gid)
        made = ["--auth=scram-sha-256", "--username=prefect", f"--pwfile={secret}", "--no-sync"]
        subprocess.run([*initdb, *made, f"--pgdata={data}"], check=True, capture_output=True)
        settings = [*("-c", f"unix_socket_directories={folder}"), *("-c", "fsync=off")]
        command = [*server, "-D", str(data), "-h", "127.0.0.1", "-p", str(port), *settings]
        with running(Child("postgres", command, os.environ, Path(folder) / "log")):
            wait_until(lambda: _accepts(port), "Postgres")
            create = ["--host=127.0.0.1", f"--port={port}", "--username=prefect", "prefect"]
            told = os.environ | {"PGPASSWORD": PASSWORD}
            wait_until(
                lambda: _succeeds([*_postgres_command("createdb"), *create], told), "createdb"
            )
            yield port


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A server with the password of the compose file's settings; its port."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("no Redis: the command redis-server is absent; apt-get install redis-server")
    (port,) = free_ports(1)
    command = [found, "--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    command += ["--dir", str(folder), "--save", ""]
    with running(Child("redis", command, os.environ, folder / "redis.log")):
        wait_until(lambda: _accepts(port), "Redis")
        yield port


@contextmanager
def running(child: Child) -> Iterator[Child]:
    child.start()
    try:
        yield child
    finally:
        child.ask_to_stop()
        child.wait()


def _succeeds(command: list[str], environment: dict[str, str]) -> bool:
    """A server that has just opened its port may still be starting."""
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    return done.returncode == 0


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
