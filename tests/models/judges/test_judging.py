"""The judge and its stage against a real HTTP server that answers as told."""

import asyncio
import hashlib
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from aiohttp import web

from models.chat import served
from models.chat.hosts import require_may_send
from models.engines import engine_config
from models.judges.configs import EndpointJudgeConfig
from models.judges.judging import JudgeOutcome, JudgeStationConfig, judge_images
from models.judges.questions import JudgeRules, Question
from models.judges.seam import JudgeRequest
from models.served_queue import ServedQueue
from models.settling import Attempt
from storage.errors import EngineFailed, EngineUnavailable
from storage.records import (
    ImageRow,
    JudgeRow,
    Outcome,
    Provenance,
    RejectionReason,
    Report,
    ReportRow,
    Sample,
    Split,
    View,
)
from tests.models.chat.fake_server import FakeServer, completion, error, serving
from tests.models.chat.opened import opened
from tests.models.judges.answers import answer_text, image, shown

ATTEMPT = Attempt("1-a", "endpoint", "r", "{}", "f", "t", "c")
MADE = Provenance("phantom", "1", "1-a", 7, 1, "p", "", "", "", "", 0.0, "{}")


async def all_yes(_: dict[str, Any]) -> web.StreamResponse:
    return completion(answer_text())


@pytest.fixture
def server() -> Iterator[FakeServer]:
    served._ask_models.cache_clear()
    fake = FakeServer(answer=all_yes)
    with serving(fake):
        yield fake


def config_of(server: FakeServer, **changes: Any) -> EndpointJudgeConfig:
    settings = {"kind": "endpoint", "address": server.address, "model": "tiny"}
    config = engine_config("judges", settings | changes)
    assert isinstance(config, EndpointJudgeConfig)
    return config


def requests(num: int) -> list[JudgeRequest]:
    return [JudgeRequest(str(i), 2**40 + i, image(i)) for i in range(num)]


def painted(index: int) -> ImageRow:
    sample = Sample(index, f"id{index}", 0, Split.TRAIN, (), View.PA)
    report = Report("Clear lungs.", "Normal.")
    written = ReportRow(sample, Outcome.ACCEPTED, None, report, (), (), MADE)
    png = image(index)
    digest = hashlib.sha256(png).hexdigest()
    return ImageRow(written, Outcome.ACCEPTED, None, png, digest, 32, 32, "0" * 64, (), (), MADE)


def judged(
    server: FakeServer, num_images: int = 1, rules: JudgeRules | None = None
) -> list[JudgeRow]:
    rules = rules or JudgeRules(max_tries=4)
    station = JudgeStationConfig(config_of(server), rules)
    with ServedQueue[JudgeRequest, JudgeOutcome](station) as queue:
        return judge_images(
            [painted(index) for index in range(num_images)],
            queue.submit,
            lambda _, number: number,
            rules.max_tries,
            60,
            ATTEMPT,
        )


def test_image_and_all_questions_go_in_one_structured_request(server: FakeServer) -> None:
    judge = config_of(server, temperature=0.5, max_answer_tokens=99).open()
    with opened(judge) as ask:
        (judgement,) = ask(judge.judge, requests(1))
    (asked,) = server.written
    assert shown(asked) == image(0)
    assert asked["messages"][1]["content"][1]["text"] == judgement.prompt
    assert asked["response_format"]["json_schema"]["schema"]["required"] == list(Question)
    assert (asked["temperature"], asked["max_tokens"], asked["seed"]) == (0.5, 99, 0)
    assert [answer.yes for answer in judgement.answers] == [True] * 6


def test_requests_are_in_flight_at_once_and_answered_in_order(server: FakeServer) -> None:
    everybody = asyncio.Event()

    async def odd_are_bad(asked: dict[str, Any]) -> web.StreamResponse:
        if server.in_flight == 100:
            everybody.set()  # no answer before all have asked
        await everybody.wait()
        return completion(answer_text([Question.QUALITY] if asked["seed"] % 2 else []))

    server.answer = odd_are_bad
    judge = config_of(server).open()
    with opened(judge) as ask:
        found = ask(judge.judge, requests(100))
    good = [all(answer.yes for answer in judgement.answers) for judgement in found]
    assert good == [True, False] * 50


def test_images_are_kept_or_rejected_with_all_that_was_answered(server: FakeServer) -> None:
    async def second_is_sideways(asked: dict[str, Any]) -> web.StreamResponse:
        return completion(answer_text([Question.FRONTAL] if shown(asked) == image(1) else []))

    server.answer = second_is_sideways
    kept, refused = judged(server, num_images=2)
    assert (kept.outcome, kept.reason) == (Outcome.ACCEPTED, None)
    assert (refused.outcome, refused.reason) == (Outcome.REJECTED, RejectionReason.NOT_FRONTAL)
    assert refused.image_sha256 == hashlib.sha256(image(1)).hexdigest()
    assert len(refused.answers) == len(refused.scores) == 6
    assert refused.provenance.tries == 1
    assert len(server.written) == 2, "a clear no is not asked again"


@pytest.mark.parametrize(
    ("text", "finish"),
    [
        (None, "stop"),
        ("I'm sorry, but I can't assist with that.", "stop"),
        (answer_text(), "length"),
        (answer_text(), "content_filter"),
        (answer_text()[:-3], "stop"),
    ],
)
def test_refused_cut_or_malformed_answer_becomes_another_try(
    server: FakeServer, text: str | None, finish: str
) -> None:
    turn = count()

    async def bad_at_first(_: dict[str, Any]) -> web.StreamResponse:
        return completion(text, finish) if next(turn) < 2 else completion(answer_text())

    server.answer = bad_at_first
    (row,) = judged(server)
    assert row.outcome is Outcome.ACCEPTED
    assert (row.provenance.tries, row.provenance.seed) == (3, 3)
    assert [asked["seed"] for asked in server.written] == [1, 2, 3]


def test_answer_never_readable_is_rejected_with_a_reason_of_its_own(server: FakeServer) -> None:
    async def refuse(_: dict[str, Any]) -> web.StreamResponse:
        return completion("I cannot look at medical images.")

    server.answer = refuse
    (row,) = judged(server, rules=JudgeRules(max_tries=2))
    assert (row.outcome, row.reason) == (Outcome.REJECTED, RejectionReason.JUDGE_UNREADABLE)
    assert row.answers == ()
    assert [(score.measure, score.passed) for score in row.scores] == [("readable_answer", False)]
    assert len(server.written) == 2


def test_server_error_is_engine_failed_and_says_nothing_of_the_image(server: FakeServer) -> None:
    async def echo(asked: dict[str, Any]) -> web.StreamResponse:
        url = asked["messages"][1]["content"][0]["image_url"]["url"]
        return error(400, f"cannot read {url}")

    judge = config_of(server).open()
    server.answer = echo
    with (
        opened(judge) as ask,
        pytest.raises(EngineFailed, match="answered 400: its message quotes the request"),
    ):
        ask(judge.judge, requests(2))


def test_model_without_eyes_is_said_at_open() -> None:
    class TextOnly(FakeServer):
        async def chat(self, request: web.Request) -> web.StreamResponse:
            return error(400, "tiny is not a multimodal model")

    served._ask_models.cache_clear()
    fake = TextOnly()
    with (
        serving(fake),
        pytest.raises(EngineUnavailable, match=r"not a multimodal model; name a multimodal"),
        opened(config_of(fake).open()),
    ):
        pass


def test_context_too_short_is_said_at_open(server: FakeServer) -> None:
    server.models[0]["max_model_len"] = 512
    with (
        pytest.raises(EngineUnavailable, match=r"context of 512 tokens.*lower max_answer_tokens"),
        opened(config_of(server).open()),
    ):
        pass


def test_revision_is_of_the_model_not_of_the_address(server: FakeServer) -> None:
    revision = config_of(server).revision()
    other = FakeServer()
    moved = FakeServer(models=[{"id": "tiny", "root": "/elsewhere", "max_model_len": 4096}])
    with serving(other), serving(moved):
        assert config_of(other).revision() == revision
        assert config_of(moved).revision() != revision


def test_restricted_images_to_another_host_are_refused_unless_named() -> None:
    config = EndpointJudgeConfig(address="http://llm.example.org/v1", model="tiny")
    with pytest.raises(ValueError, match=r"restricted, got the endpoint host 'llm\.example\.org'"):
        require_may_send([config])
    require_may_send([config.model_copy(update={"allowed_hosts": ("llm.example.org",)})])
