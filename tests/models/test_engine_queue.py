from concurrent.futures import wait

import pytest

from models.engine_queue import EngineQueue
from models.engines import Placement
from storage.errors import EngineFailed, EngineUnavailable
from tests.models.fake_stations import FakeConfig


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
    with pytest.raises(EngineFailed, match="closed"):
        queue.submit(2)
