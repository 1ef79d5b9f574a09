"""A dataset whose reports a language model wrote, on a server that fails now and then."""

from itertools import count
from pathlib import Path
from typing import Any

import lance
import pytest
from aiohttp import web

from flows.generate import generate_dataset
from flows.status import dataset_status
from flows.work import open_work
from storage.errors import EngineUnavailable
from tests.flows.conftest import tiny_plan
from tests.models.chat.fake_server import (
    FakeServer,
    completion,
    error,
    serving,
    truthful,
)


def test_generate_with_an_endpoint_survives_errors_and_cut_answers(tmp_path: Path) -> None:
    turn = count()

    async def unsteady(asked: dict[str, Any]) -> web.StreamResponse:
        number = next(turn)
        if number in (3, 20):
            return error(500, "the GPU fell off the bus")
        if number % 10 == 7:
            return completion("There is a large", "length")
        return await truthful(asked)

    server = FakeServer(answer=unsteady)
    with serving(server):
        writer = {"kind": "endpoint", "address": server.address, "model": "tiny"}
        release = generate_dataset(tiny_plan(name="told", writer=writer), str(tmp_path))
    assert release.complete
    rows = lance.dataset(tmp_path / "datasets/told/pairs.lance").to_table(
        columns=["sample_id", "findings", "impression", "written"]
    )
    pairs = rows.to_pylist()
    assert len({pair["sample_id"] for pair in pairs}) == 24
    assert all(pair["findings"].startswith(pair["impression"][:-1]) for pair in pairs)
    assert {pair["written"]["engine"] for pair in pairs} == {"endpoint"}
    assert any(pair["written"]["tries"] > 1 for pair in pairs)
    assert all("Items:" in pair["written"]["prompt"] for pair in pairs)
    assert min(pair["written"]["num_tokens"] for pair in pairs) == 2 * (300 + 7)  # two passes
    status = dataset_status(open_work(str(tmp_path), "told"))
    assert (status.tokens_per_accepted or 0) > 2 * (300 + 7)  # of refused tries too


def test_generate_with_nothing_listening_ends_before_anything_is_written(tmp_path: Path) -> None:
    writer = {"kind": "endpoint", "address": "http://127.0.0.1:9/v1", "model": "tiny"}
    with pytest.raises(EngineUnavailable, match="expected an OpenAI-compatible server"):
        generate_dataset(tiny_plan(name="untold", writer=writer), str(tmp_path))
    assert not (tmp_path / "datasets").exists()
