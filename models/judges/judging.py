"""The judge stage's station and its algorithm: ask the six questions, decide (study 1, step 6)."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from models.engines import EngineConfig
from models.judges.questions import JudgeRules, verdict_of
from models.judges.seam import ImageJudge, Judgement, JudgeRequest
from models.settling import (
    Attempt,
    Seeds,
    outcome_of,
    provenance,
    quarantine_provenance,
    run_tries,
)
from storage.errors import EngineFailed
from storage.records import ImageRow, JudgeAnswer, JudgeRow, Outcome, RejectionReason, Verdict


@dataclass(frozen=True, slots=True)
class JudgeOutcome:
    """One try at a judgement; without answers it could not be read."""

    answers: tuple[JudgeAnswer, ...]
    verdict: Verdict
    prompt: str
    engine_seconds: float
    num_tokens: int

    @property
    def is_readable(self) -> bool:
        """Whether the judge answered: a clear no stands, and is not asked again."""
        return bool(self.answers)


@dataclass(frozen=True, slots=True)
class JudgeStationConfig:
    """A judge, and the rules that say which answers reject."""

    judge: EngineConfig
    rules: JudgeRules

    def connect(self) -> "JudgeStation":
        """Open the judge."""
        return JudgeStation(self.judge.open(), self.rules)


class JudgeStation:
    """Ask, decide (study 1, step 6). Implements `ServedStation`."""

    def __init__(self, judge: ImageJudge, rules: JudgeRules) -> None:
        self.engine = judge
        self._rules = rules

    async def ask(self, request: JudgeRequest) -> Judgement:
        """The judge's answers."""
        return await self.engine.judge(request)

    def judge(
        self, requests: Sequence[JudgeRequest], answers: Sequence[Judgement]
    ) -> list[JudgeOutcome]:
        """One verdict per judgement, in order."""
        return [
            JudgeOutcome(
                answers=judgement.answers,
                verdict=verdict_of(judgement.answers, self._rules),
                prompt=judgement.prompt,
                engine_seconds=judgement.engine_seconds,
                num_tokens=judgement.num_tokens,
            )
            for judgement in answers
        ]

    def close(self) -> None:
        """The rules hold nothing."""


def judge_images(
    painted: Sequence[ImageRow],
    submit: "Callable[[JudgeRequest], Future[JudgeOutcome]]",
    seeds: Seeds,
    max_tries: int,
    timeout_seconds: float,
    attempt: Attempt,
) -> list[JudgeRow]:
    """Put every kept image to the judge, again while its answer cannot be read (step 6)."""

    def submit_try(row: ImageRow, number: int) -> "Future[JudgeOutcome]":
        assert row.png, f"sample {row.index} was accepted without an image"
        sample_id = row.written.sample.sample_id
        return submit(JudgeRequest(sample_id, seeds(sample_id, number), row.png))

    tried = run_tries(
        painted, submit_try, max_tries, timeout_seconds, lambda outcome: outcome.is_readable
    )
    return [
        JudgeRow(
            index=row.index,
            sample_id=row.written.sample.sample_id,
            image_sha256=row.sha256,
            outcome=outcome_of(result.outcome.verdict),
            reason=result.outcome.verdict.reason,
            answers=result.outcome.answers,
            scores=result.outcome.verdict.scores,
            provenance=provenance(
                attempt, row.written.sample, seeds, result, result.outcome.prompt
            ),
        )
        for row, result in zip(painted, tried, strict=True)
    ]


def quarantined_judgement(
    row: ImageRow, error: EngineFailed, seeds: Seeds, attempt: Attempt
) -> JudgeRow:
    """The row of a sample about whose image no engine call survives."""
    return JudgeRow(
        index=row.index,
        sample_id=row.written.sample.sample_id,
        image_sha256=row.sha256,
        outcome=Outcome.QUARANTINED,
        reason=RejectionReason.ENGINE_FAILED,
        answers=(),
        scores=(),
        provenance=quarantine_provenance(row.written.sample, error, seeds, attempt),
    )
