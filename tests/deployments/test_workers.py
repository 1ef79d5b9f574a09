"""Which workers a machine gets."""

from pathlib import Path

import pytest

from deployments.workers import WorkerPlace, places, visible_gpus
from storage.errors import EngineUnavailable


def test_places_without_gpus_are_one_worker_for_each_pool() -> None:
    assert [(place.pool, place.gpu) for place in places(())] == [
        ("gpu-text", None),
        ("gpu-image", None),
        ("gpu-judge", None),
        ("cpu", None),
    ]
    assert all(place.environment() == {} for place in places(()))


def test_places_on_two_gpus_show_each_worker_one_of_them() -> None:
    found = places(("0", "3"))
    assert len({place.name for place in found}) == len(found) == 7
    on_third = [place for place in found if place.gpu == "3"]
    assert {place.pool for place in on_third} == {"gpu-text", "gpu-image", "gpu-judge"}
    assert all(place.environment() == {"CUDA_VISIBLE_DEVICES": "3"} for place in on_third)
    assert all(place.num_runs == 1 for place in found if place.gpu is not None)


def test_worker_of_a_pool_that_lacks_does_not_make_one() -> None:
    command = WorkerPlace("cpu", "cpu", None, 4).command()
    assert "--no-create-pool-if-not-found" in command
    assert command[command.index("--limit") + 1] == "4"


@pytest.mark.parametrize(
    ("named", "gpus"), [("0,2", ("0", "2")), ("GPU-7a, 1", ("GPU-7a", "1")), ("", ()), ("-1", ())]
)
def test_visible_gpus_are_those_named(
    named: str, gpus: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == gpus


def _driver(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_visible_gpus_are_those_the_driver_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _driver(tmp_path, monkeypatch, "echo 0; echo 1")
    assert visible_gpus() == ("0", "1")


def test_visible_gpus_with_a_broken_driver_are_an_error_not_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _driver(tmp_path, monkeypatch, "echo 'driver mismatch'; exit 18")
    with pytest.raises(EngineUnavailable, match=r"got: driver mismatch; mend the driver"):
        visible_gpus()
