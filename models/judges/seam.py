"""The seam: what a judge must offer. Entry-point group `cxr_factory.judges`."""

from dataclasses import dataclass
from typing import Protocol

from models.served_engines import ServedEngine
from storage.records import JudgeAnswer


@dataclass(frozen=True, slots=True)
class JudgeRequest:
    """One try at one image. `seed` is of the sample and try, never of the batch."""

    sample_id: str
    seed: int
    png: bytes


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's answer to one request.

    Attributes:
        answers: One per question, in the questions' order; empty when the judge refused, was cut
            off, or said what is no answer.
        prompt: What it was asked.
        engine_seconds: From request to answer.
        num_tokens: What the model read and wrote for it.
    """

    answers: tuple[JudgeAnswer, ...]
    prompt: str
    engine_seconds: float
    num_tokens: int = 0


class ImageJudge(ServedEngine, Protocol):
    """Answers the questions about images by asking a server. Opened once per shard and round."""

    async def judge(self, request: JudgeRequest) -> Judgement:
        """Answer one request; raises EngineFailed."""
        ...
