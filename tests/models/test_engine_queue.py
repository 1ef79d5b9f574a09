import subprocess
import sys
import time
from concurrent.futures import wait
from pathlib import Path

import pytest

from models.engine_queue import EngineQueue
from models.engines import Placement
from storage.errors import EngineFailed, EngineStopped, EngineUnavailable
from tests.models.fake_stations import FakeConfig
from tests.models.vllm_environment import is_alive

PARENT = """
import os, sys, threading
from models.engine_process import EngineProcess
from models.engines import Placement
from tests.models.fake_stations import FakeConfig

engine = EngineProcess(FakeConfig(Placement.PROCESS_PER_GPU_GROUP, slow=frozenset({5})), 60)
engine.start()
threading.Thread(target=engine.call, args=([5],), daemon=True).start()
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(engine._child.pid))
os.rename(file.name, sys.argv[1])
threading.Event().wait()
"""


def test_queue_many_requests_answers_each_with_its_own_outcome() -> None:
    with EngineQueue[int, tuple[int, int]](FakeConfig()) as queue:
        futures = [queue.submit(number) for number in range(100)]
        assert [future.result(10)[0] for future in futures] == list(range(0, 200, 2))


def test_queue_out_of_memory_halves_batches_and_remembers() -> None:
    queue = EngineQueue[int, tuple[int, int]](FakeConfig(max_batch_size=16, fits=5))
    futures = [queue.submit(number) for number in range(64)]
    with queue:
        outcomes = [future.result(10) for future in futures]
    assert [doubled for doubled, _ in outcomes] == list(range(0, 128, 2))
    assert {size for _, size in outcomes[1:60]} == {4}  # 16 -> 8 -> 4


def test_queue_out_of_memory_on_one_request_fails_that_request() -> None:
    with (
        EngineQueue[int, tuple[int, int]](FakeConfig(fits=0)) as queue,
        pytest.raises(EngineFailed, match="do not fit"),
    ):
        queue.submit(1).result(10)


def test_queue_groups_never_share_a_batch() -> None:
    queue = EngineQueue[int, tuple[int, int]](FakeConfig(poison=frozenset({3})))
    suspects = [queue.submit(number, group="unit 7") for number in range(2, 5)]
    others = [queue.submit(number) for number in range(10, 14)]
    with queue:
        wait([*suspects, *others], 10)
    assert suspects[0].exception() is None  # the first batch is of one
    assert isinstance(suspects[1].exception(), EngineFailed)
    assert [future.result()[0] for future in others] == [20, 22, 24, 26]


def test_queue_engine_cannot_start_every_request_hears_why() -> None:
    with EngineQueue[int, tuple[int, int]](
        FakeConfig(Placement.PROCESS_PER_GPU_GROUP, available=False)
    ) as queue:
        for future in [queue.submit(1), queue.submit(2)]:
            with pytest.raises(EngineUnavailable, match="install fake-weights"):
                future.result(30)


def test_queue_dead_child_fails_its_batch_and_is_restarted() -> None:
    config = FakeConfig(Placement.PROCESS_PER_GPU_GROUP, deadly=frozenset({5}))
    with EngineQueue[int, tuple[int, int]](config) as queue:
        assert queue.submit(1).result(30) == (2, 1)
        with pytest.raises(EngineFailed, match=r"died \(exit status 9\)"):
            queue.submit(5).result(30)
        assert queue.submit(6).result(30) == (12, 1)


def test_queue_child_that_dies_again_as_it_restarts_is_heard_of_and_restarted(
    tmp_path: Path,
) -> None:
    fault = tmp_path / "fault"
    config = FakeConfig(
        Placement.PROCESS_PER_GPU_GROUP, deadly=frozenset({5}), deadly_while=str(fault)
    )
    with EngineQueue[int, tuple[int, int]](config) as queue:
        assert queue.submit(1).result(30) == (2, 1)
        fault.touch()
        for number in (5, 6, 7):  # amid its batch, and twice as it starts
            with pytest.raises(EngineFailed, match=r"died \(exit status 9\)"):
                queue.submit(number).result(30)
        fault.unlink()
        assert queue.submit(8).result(30) == (16, 1)


def test_queue_hung_child_is_killed_after_the_timeout() -> None:
    config = FakeConfig(Placement.PROCESS_PER_GPU_GROUP, slow=frozenset({5}))
    with EngineQueue[int, tuple[int, int]](config, batch_timeout_seconds=0.5) as queue:
        with pytest.raises(EngineFailed, match="hung"):
            queue.submit(5).result(30)
        assert queue.submit(6).result(30) == (12, 1)


def test_queue_closed_with_work_pending_fails_it() -> None:
    queue = EngineQueue[int, tuple[int, int]](FakeConfig())
    with queue:
        queue.submit(1).result(10)
    with pytest.raises(EngineStopped, match="closed"):
        queue.submit(2)


def test_queue_broken_off_amid_a_batch_ends_the_engine_at_once() -> None:
    """The batch would take a minute."""
    config = FakeConfig(Placement.PROCESS_PER_GPU_GROUP, max_batch_size=1, slow=frozenset({5}))
    queue = EngineQueue[int, tuple[int, int]](config)
    with pytest.raises(KeyboardInterrupt), queue:
        assert queue.submit(1).result(30) == (2, 1)
        futures = [queue.submit(5), queue.submit(6)]
        while not futures[0].running():
            time.sleep(0.01)
        raise KeyboardInterrupt
    for future in futures:
        with pytest.raises(EngineStopped):
            future.result(0)


def test_child_busy_when_its_parent_is_killed_ends_too(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "child")])
    while not (tmp_path / "child").exists():
        assert parent.poll() is None
        time.sleep(0.05)
    child = int((tmp_path / "child").read_text())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while is_alive(child):
        assert time.monotonic() < deadline, "the engine's process outlived its parent"
        time.sleep(0.1)
