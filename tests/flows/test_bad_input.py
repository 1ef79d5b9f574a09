"""What cannot work is one clear line before any of it is begun."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.dispatch import stop_if_said_hopeless
from flows.generate import paint_image_shard
from flows.plans import ExecutionPlan
from flows.pools import require_server
from flows.shards import SHARED_FATE
from flows.work import ShardRef, lock_work, open_work
from storage.errors import DispatchFailed, PlanMismatch
from tests.flows.conftest import tiny_plan

IN_POOLS = ExecutionPlan(dispatch="work-pool")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed_of_tries": 7}, "seed_of_tries"),
        ({"painter": {"kind": "radiograph-xl"}}, "'radiograph-xl'"),
    ],
)
def test_plan_that_this_installation_does_not_know_ends_a_shard_in_one_line(
    change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    work = lock_work(tiny_plan(), str(tmp_path / "made"))
    content = json.loads((tmp_path / "made" / work.dataset.layout.plan_lock).read_text())
    content["plan"]["plan"] |= change
    lock = tmp_path / "found" / work.dataset.layout.plan_lock
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps(content))
    root = str(tmp_path / "found")
    with pytest.raises(PlanMismatch, match="install the same here") as caught:
        open_work(root, "tiny")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    shard = ShardRef(root=root, dataset="tiny", number=0, units=(0,))
    state: Any = paint_image_shard(shard, return_state=True)
    error = state.result(raise_on_failure=False)
    assert isinstance(error, SHARED_FATE), "no other shard is begun"


def test_shard_of_a_newer_version_ends_the_dataset_in_one_line(tmp_path: Path) -> None:
    """What a worker of an older version makes of it, in Prefect's own words."""
    told = {"root": str(tmp_path), "dataset": "tiny", "number": 0, "units": [0], "num_lanes": 2}
    state: Any = paint_image_shard(told, return_state=True)  # type: ignore[arg-type]
    with pytest.raises(PlanMismatch, match=r"num_lanes: Extra inputs.*install this") as caught:
        stop_if_said_hopeless(state)
    assert "\n" not in str(caught.value)


class _Refusing(BaseHTTPRequestHandler):
    """Answers as a Prefect server does to whom it does not know."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_require_server_wrong_credentials_are_one_line(refusing: str) -> None:
    with (
        temporary_settings({PREFECT_API_URL: refusing}),
        pytest.raises(DispatchFailed, match=r"got: .*401.*PREFECT_API_AUTH_STRING$"),
    ):
        require_server(IN_POOLS)


def test_require_server_wrong_address_is_one_line() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{one.getsockname()[1]}/api"
        with (
            temporary_settings({PREFECT_API_URL: address}),
            pytest.raises(DispatchFailed, match=rf"expected a Prefect server at {address}, got: "),
        ):
            require_server(IN_POOLS)
