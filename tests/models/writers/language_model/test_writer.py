"""The writer against a real HTTP server that answers as told."""

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from models.chat.batch import ServerSilent
from models.chat.served import ServedModel
from models.engine_queue import EngineQueue
from models.engines import WriteRequest
from models.gates.report import ReportRules
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

EFFUSION = Entity(
    "pleural effusion", EntityKind.ABNORMALITY, EntityStatus.PRESENT, "left pleural space"
)
ATTEMPT = Attempt("1-a", "endpoint", "r", "{}", "", "", "")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    with serving(fake):
        yield fake


def config_of(server: FakeServer, **changes: Any) -> EndpointConfig:
    settings = {"address": server.address, "model": "tiny"}
    return EndpointConfig.model_validate(settings | changes)


def open_writer(
    server: FakeServer, silence_seconds: float = 60.0, **changes: Any
) -> LanguageModelWriter:
    served = ServedModel(server.address, "tiny", 4096)
    return LanguageModelWriter(config_of(server, **changes), "r", served, 512, silence_seconds)


def requests(num: int) -> list[WriteRequest]:
    return [WriteRequest(str(i), 2**40 + i, (EFFUSION,), View.PA) for i in range(num)]


def samples(num: int) -> list[Sample]:
    return [Sample(i, str(i), 0, Split.TRAIN, (EFFUSION,), View.PA) for i in range(num)]


def test_two_passes_write_findings_then_the_impression_of_them(server: FakeServer) -> None:
    writer = open_writer(server, temperature=0.25, top_p=0.5, max_findings_tokens=77)
    (written,) = writer.write(requests(1))
    writer.close()
    assert written.report == Report(FINDINGS, IMPRESSION)
    assert "pleural effusion: present, place left pleural space" in written.prompt
    first, second = server.written
    assert first["messages"][1]["content"] == written.prompt
    assert second["messages"][1]["content"] == f"FINDINGS: {FINDINGS}"
    assert (first["temperature"], first["top_p"], first["max_tokens"]) == (0.25, 0.5, 77)
    assert second["max_tokens"] == 160
    assert "response_format" not in first


def test_structured_pass_sends_the_schema_and_asks_once(server: FakeServer) -> None:
    writer = open_writer(server, passes="structured")
    (written,) = writer.write(requests(1))
    writer.close()
    assert written.report == Report(FINDINGS, IMPRESSION)
    (asked,) = server.written
    assert asked["response_format"]["type"] == "json_schema"
    schema = asked["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["findings", "impression"]
    assert asked["max_tokens"] == 384 + 160


def test_seed_is_the_requests_own_within_what_every_server_takes(server: FakeServer) -> None:
    writer = open_writer(server, passes="structured")
    writer.write(requests(3))
    writer.write(requests(3)[2:])
    writer.close()
    seeds = [asked["seed"] for asked in server.written]
    assert sorted(seeds[:3]) == [0, 1, 2]
    assert seeds[3] == 2
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_batch_is_in_flight_at_once_and_answered_in_order(server: FakeServer) -> None:
    everybody = asyncio.Event()

    async def echo(asked: dict[str, Any]) -> web.StreamResponse:
        if server.in_flight == 300:
            everybody.set()  # no answer before all have asked
        await everybody.wait()
        return completion(f'{{"findings": "Seed {asked["seed"]}.", "impression": "None."}}')

    server.answer = echo
    writer = open_writer(server, passes="structured")
    answers = writer.write(requests(300))
    writer.close()
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
    with EngineQueue[WriteRequest, WriteOutcome](station) as queue:
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
    with EngineQueue[WriteRequest, WriteOutcome](station) as queue:
        (row,) = write_samples(samples(1), queue.submit, lambda _, n: n, 2, 60, ATTEMPT)
    assert (row.outcome, row.reason) == (Outcome.REJECTED, RejectionReason.MISSING_SECTION)
    assert len(server.written) == 2  # no IMPRESSION is asked of FINDINGS that are missing


def test_server_error_fails_the_batch_with_the_servers_words(server: FakeServer) -> None:
    async def broken(asked: dict[str, Any]) -> web.StreamResponse:
        return error(500, "CUDA error: device lost") if asked["seed"] == 3 else await good(asked)

    server.answer = broken
    writer = open_writer(server)
    with pytest.raises(EngineFailed, match=r"answered 500: CUDA error: device lost"):
        writer.write(requests(8))
    server.answer = good
    assert len(writer.write(requests(8))) == 8
    writer.close()


def test_server_message_that_quotes_the_request_is_left_out(server: FakeServer) -> None:
    async def echo(asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"detail": [{"msg": "no", "input": asked}]}, status=422)

    server.answer = echo
    writer = open_writer(server)
    with pytest.raises(EngineFailed, match="answered 422: its message quotes") as raised:
        writer.write(requests(1))
    writer.close()
    assert "effusion" not in str(raised.value)


def test_busy_server_is_asked_again(server: FakeServer) -> None:
    turn = count()

    async def busy_at_first(asked: dict[str, Any]) -> web.StreamResponse:
        if next(turn) < 2:
            return error(429, "slow down", **{"Retry-After": "0"})
        return await good(asked)

    server.answer = busy_at_first
    writer = open_writer(server, passes="structured")
    assert writer.write(requests(1))[0].report.findings == FINDINGS
    writer.close()
    assert len(server.written) == 3


def test_silent_server_is_called_hung(server: FakeServer) -> None:
    async def never(_: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits an hour")

    server.answer = never
    writer = open_writer(server, silence_seconds=0.3)
    with pytest.raises(ServerSilent, match=r"no answer in 0.3 s to any of 4"):
        writer.write(requests(4))
    writer.close()


def test_slow_answers_one_after_the_other_are_no_silence(server: FakeServer) -> None:
    in_turn = asyncio.Lock()

    async def one_at_a_time(asked: dict[str, Any]) -> web.StreamResponse:
        async with in_turn:
            await asyncio.sleep(0.25)
        return await good(asked)

    server.answer = one_at_a_time
    writer = open_writer(server, silence_seconds=1.25, passes="structured")
    assert len(writer.write(requests(6))) == 6  # takes longer than the silence that is allowed
    writer.close()


def test_server_dying_in_mid_answer_is_engine_failed_and_so_is_one_that_is_gone() -> None:
    async def die(asked: dict[str, Any]) -> web.StreamResponse | None:
        return None if asked["seed"] == 2 else await good(asked)

    fake = FakeServer()
    with serving(fake) as end:
        writer = open_writer(fake)
        fake.answer = die
        with pytest.raises(EngineFailed, match="Disconnected"):
            writer.write(requests(4))
        end()
        with pytest.raises(EngineFailed, match="Cannot connect"):
            writer.write(requests(1))
        writer.close()


def test_answer_that_is_no_completion_is_engine_failed(server: FakeServer) -> None:
    async def strange(_: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"choices": []})

    server.answer = strange
    writer = open_writer(server)
    with pytest.raises(EngineFailed, match="expected a chat completion"):
        writer.write(requests(1))
    writer.close()


def test_redirect_is_refused_and_not_followed(server: FakeServer) -> None:
    other = FakeServer()

    async def elsewhere(_: dict[str, Any]) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect(f"{other.address}/chat/completions")

    with serving(other):
        server.answer = elsewhere
        writer = open_writer(server)
        with pytest.raises(EngineFailed, match="answered 307"):
            writer.write(requests(1))
        writer.close()
    assert not other.asked


def test_model_without_chat_template_is_said_at_open(server: FakeServer) -> None:
    server.answer = refuse
    with pytest.raises(EngineUnavailable, match=r"'tiny' cannot be asked .* chat template"):
        open_writer(server)


def test_context_too_short_is_said_at_open(server: FakeServer) -> None:
    served = ServedModel(server.address, "tiny", 600)
    with pytest.raises(EngineUnavailable, match=r"context of 600 tokens.*300.*384"):
        LanguageModelWriter(config_of(server), "r", served, 512)
