"""The writer against a real HTTP server that answers as told."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from models.chat import served
from models.chat.model import EndpointModel
from models.engines import WriteRequest, WrittenReport
from models.gates.report import ReportRules
from models.served_queue import ServedQueue
from models.settling import Attempt
from models.taggers.configs import LexiconConfig
from models.writers.language_model.configs import EndpointConfig
from models.writers.language_model.writer import LanguageModelWriter
from models.writers.writing import WriteOutcome, WriteStationConfig, write_samples
from storage.errors import EngineFailed, EngineUnavailable
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    Outcome,
    RejectionReason,
    Report,
    Sample,
    Split,
    View,
)
from tests.models.chat.fake_server import (
    FINDINGS,
    IMPRESSION,
    FakeServer,
    completion,
    error,
    good,
    refuse,
    serving,
)
from tests.models.chat.opened import opened

EFFUSION = Entity(
    "pleural effusion", EntityKind.ABNORMALITY, EntityStatus.PRESENT, "left pleural space"
)
ATTEMPT = Attempt("1-a", "endpoint", "r", "{}", "", "", "")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    served._ask_models.cache_clear()
    fake = FakeServer()
    with serving(fake):
        yield fake


def config_of(server: FakeServer, **changes: Any) -> EndpointConfig:
    settings = {"address": server.address, "model": "tiny"}
    return EndpointConfig.model_validate(settings | changes)


Write = Callable[[Sequence[WriteRequest]], list[WrittenReport]]


@contextmanager
def open_writer(server: FakeServer, **changes: Any) -> Iterator[Write]:
    config = config_of(server, **changes)
    writer = LanguageModelWriter(config, EndpointModel(config))
    with opened(writer) as ask:
        yield partial(ask, writer.write)


def requests(num: int) -> list[WriteRequest]:
    return [WriteRequest(str(i), 2**40 + i, (EFFUSION,), View.PA) for i in range(num)]


def samples(num: int) -> list[Sample]:
    return [Sample(i, str(i), 0, Split.TRAIN, (EFFUSION,), View.PA) for i in range(num)]


def test_two_passes_write_findings_then_the_impression_of_them(server: FakeServer) -> None:
    with open_writer(server, temperature=0.25, top_p=0.5, max_findings_tokens=77) as write:
        (written,) = write(requests(1))
    assert written.report == Report(FINDINGS, IMPRESSION)
    assert "pleural effusion: present, place left pleural space" in written.prompt
    first, second = server.written
    assert first["messages"][1]["content"] == written.prompt
    assert second["messages"][1]["content"] == f"FINDINGS: {FINDINGS}"
    assert (first["temperature"], first["top_p"], first["max_tokens"]) == (0.25, 0.5, 77)
    assert second["max_tokens"] == 160
    assert "response_format" not in first


def test_structured_pass_sends_the_schema_and_asks_once(server: FakeServer) -> None:
    with open_writer(server, passes="structured") as write:
        (written,) = write(requests(1))
    assert written.report == Report(FINDINGS, IMPRESSION)
    (asked,) = server.written
    assert asked["response_format"]["type"] == "json_schema"
    schema = asked["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["findings", "impression"]
    assert asked["max_tokens"] == 384 + 160


def test_seed_is_the_requests_own_within_what_every_server_takes(server: FakeServer) -> None:
    with open_writer(server, passes="structured") as write:
        write(requests(3))
        write(requests(3)[2:])
    seeds = [asked["seed"] for asked in server.written]
    assert sorted(seeds[:3]) == [0, 1, 2]
    assert seeds[3] == 2
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_requests_are_in_flight_at_once_and_answered_in_order(server: FakeServer) -> None:
    everybody = asyncio.Event()

    async def echo(asked: dict[str, Any]) -> web.StreamResponse:
        if server.in_flight == 300:
            everybody.set()  # no answer before all have asked
        await everybody.wait()
        return completion(f'{{"findings": "Seed {asked["seed"]}.", "impression": "None."}}')

    server.answer = echo
    with open_writer(server, passes="structured") as write:
        answers = write(requests(300))
    assert server.most_in_flight == 300
    assert [answer.report.findings for answer in answers] == [f"Seed {i}." for i in range(300)]


@pytest.mark.parametrize(
    ("text", "finish"),
    [("", "stop"), (None, "stop"), (FINDINGS, "length"), (FINDINGS, "content_filter")],
)
@pytest.mark.parametrize("passes", ["two", "structured"])
def test_empty_or_cut_completion_becomes_another_try(
    server: FakeServer, text: str | None, finish: str, passes: str
) -> None:
    turn = count()

    async def bad_at_first(asked: dict[str, Any]) -> web.StreamResponse:
        return completion(text, finish) if next(turn) < 2 else await good(asked)

    server.answer = bad_at_first
    station = WriteStationConfig(
        config_of(server, passes=passes), LexiconConfig(), ReportRules(max_tries=4)
    )
    with ServedQueue[WriteRequest, WriteOutcome](station) as queue:
        (row,) = write_samples(samples(1), queue.submit, lambda _, n: n, 4, 60, ATTEMPT)
    assert row.outcome is Outcome.ACCEPTED
    assert row.provenance.tries == 3
    assert row.provenance.seed == 3
    assert {asked["seed"] for asked in server.written} == {1, 2, 3}


def test_completion_never_whole_is_rejected_as_missing(server: FakeServer) -> None:
    async def cut(_: dict[str, Any]) -> web.StreamResponse:
        return completion(FINDINGS, "length")

    server.answer = cut
    station = WriteStationConfig(config_of(server), LexiconConfig(), ReportRules())
    with ServedQueue[WriteRequest, WriteOutcome](station) as queue:
        (row,) = write_samples(samples(1), queue.submit, lambda _, n: n, 2, 60, ATTEMPT)
    assert (row.outcome, row.reason) == (Outcome.REJECTED, RejectionReason.MISSING_SECTION)
    assert len(server.written) == 2  # no IMPRESSION is asked of FINDINGS that are missing


def test_server_error_is_engine_failed_with_the_servers_words(server: FakeServer) -> None:
    async def broken(asked: dict[str, Any]) -> web.StreamResponse:
        return error(500, "CUDA error: device lost") if asked["seed"] == 3 else await good(asked)

    server.answer = broken
    with open_writer(server) as write:
        with pytest.raises(EngineFailed, match=r"answered 500: CUDA error: device lost"):
            write(requests(8))
        server.answer = good
        assert len(write(requests(8))) == 8


def test_server_message_that_quotes_the_request_is_left_out(server: FakeServer) -> None:
    async def echo(asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"detail": [{"msg": "no", "input": asked}]}, status=422)

    server.answer = echo
    with (
        open_writer(server) as write,
        pytest.raises(EngineFailed, match="answered 422: its message quotes") as raised,
    ):
        write(requests(1))
    assert "effusion" not in str(raised.value)


def test_busy_server_is_asked_again(server: FakeServer) -> None:
    turn = count()

    async def busy_at_first(asked: dict[str, Any]) -> web.StreamResponse:
        if next(turn) < 2:
            return error(429, "slow down", **{"Retry-After": "0"})
        return await good(asked)

    server.answer = busy_at_first
    with open_writer(server, passes="structured") as write:
        assert write(requests(1))[0].report.findings == FINDINGS
    assert len(server.written) == 3


def test_slow_answer_holds_up_no_other(server: FakeServer) -> None:
    """One of four in flight is answered when all 39 others were."""
    all_four, others = asyncio.Event(), asyncio.Event()

    async def first_comes_last(asked: dict[str, Any]) -> web.StreamResponse:
        if server.in_flight == 4:
            all_four.set()
        await all_four.wait()
        if asked["seed"] == 0:
            await others.wait()
        elif len(server.written) == 40:
            others.set()
        return await good(asked)

    server.answer = first_comes_last
    station = WriteStationConfig(
        config_of(server, passes="structured"), LexiconConfig(), ReportRules()
    )
    with ServedQueue[WriteRequest, WriteOutcome](station, max_in_flight=4) as queue:
        first, *rest = [queue.submit(request) for request in requests(40)]
        assert all(future.result(30).verdict.passed for future in [*rest, first])
    assert len(server.written) == 40
    assert server.most_in_flight == 4


def test_server_dying_in_mid_answer_is_engine_failed_and_so_is_one_that_is_gone() -> None:
    async def die(asked: dict[str, Any]) -> web.StreamResponse | None:
        return None if asked["seed"] == 2 else await good(asked)

    fake = FakeServer()
    with serving(fake) as end, open_writer(fake) as write:
        fake.answer = die
        with pytest.raises(EngineFailed, match="Disconnected"):
            write(requests(4))
        end()
        with pytest.raises(EngineFailed, match="Cannot connect"):
            write(requests(1))


def test_answer_that_is_no_completion_is_engine_failed(server: FakeServer) -> None:
    async def strange(_: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"choices": []})

    server.answer = strange
    with (
        open_writer(server) as write,
        pytest.raises(EngineFailed, match="expected a chat completion"),
    ):
        write(requests(1))


def test_redirect_is_refused_and_not_followed(server: FakeServer) -> None:
    other = FakeServer()

    async def elsewhere(_: dict[str, Any]) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"{other.address}/chat/completions")

    with serving(other):
        server.answer = elsewhere
        with open_writer(server) as write, pytest.raises(EngineFailed, match="answered 307"):
            write(requests(1))
    assert not other.asked


def test_model_without_chat_template_is_said_at_open(server: FakeServer) -> None:
    server.answer = refuse
    with (
        pytest.raises(EngineUnavailable, match=r"'tiny' cannot be asked .* chat template"),
        open_writer(server),
    ):
        pass


def test_context_too_short_is_said_at_open(server: FakeServer) -> None:
    server.models[0]["max_model_len"] = 600
    with (
        pytest.raises(EngineUnavailable, match=r"context of 600 tokens.*300.*384"),
        open_writer(server),
    ):
        pass
