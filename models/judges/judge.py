"""The judge over any OpenAI-compatible server with a multimodal model: six questions, one request.

Source: study 1's quality control of real and of painted images. A refusal, an answer cut at its
limit and what is no answer count as none: the image is asked about again with another seed.
Read in this order: prompts/v1.yaml, questions, prompting, parsing, this.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.chat.batch import SILENCE_SECONDS
from models.chat.configs import ENDPOINT_REQUESTS
from models.chat.fit import Purpose
from models.chat.served import ServedModel, served_model
from models.chat.session import ChatSession
from models.engines import EngineInfo
from models.images import encode_png
from models.judges.configs import EndpointJudgeConfig, LanguageModelJudgeConfig
from models.judges.parsing import answer_schema, answers_of
from models.judges.prompting import load_prompts
from models.judges.seam import Judgement, JudgeRequest

JUDGING = Purpose(
    answer="a judgement of an image",
    needs="a multimodal, instruction-tuned model with a chat template",
    limit="max_answer_tokens",
)
_FIRST_IMAGE_SIDE_PX = 512  # study 1's images; how many tokens an image takes goes by its size


def open_endpoint(config: EndpointJudgeConfig) -> "LanguageModelJudge":
    """Connect to the address; see `EndpointJudgeConfig.open`."""
    return LanguageModelJudge(
        config, config.revision(), served_model(config), ENDPOINT_REQUESTS, answer_schema()
    )


class LanguageModelJudge:
    """Implements `ImageJudge`. Opened, used and closed by one thread.

    Args:
        config: What is asked, and how tokens are drawn.
        revision: The config's, found once.
        served: Where the model answers.
        max_batch_size: Requests in flight at once.
        schema: JSON schema that answers are held to.
        silence_seconds: After so long without any answer the server is called hung.

    Raises:
        EngineUnavailable: If a first request is refused, or the model's context is too short.
    """

    def __init__(
        self,
        config: LanguageModelJudgeConfig,
        revision: str,
        served: ServedModel,
        max_batch_size: int,
        schema: Mapping[str, Any],
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.info = EngineInfo(config.kind, revision, deterministic=False)
        self.max_batch_size = max_batch_size
        self._config = config
        self._prompts = load_prompts(config.prompt)
        self._session = ChatSession(
            served, config.temperature, config.top_p, schema, silence_seconds
        )
        side = _FIRST_IMAGE_SIDE_PX
        png = encode_png(np.full((side, side), 128, np.uint8), sample_id="")
        chats = [(self._prompts.ask(png), config.max_answer_tokens)]
        self._session.require_fit(JUDGING, chats)

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Answer every request, in order; all of them are in flight at once.

        Raises:
            EngineFailed: If the server failed on one of them; the others are given up.
        """
        return self._session.answer_all(requests, self._judge_one)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    async def _judge_one(self, request: JudgeRequest) -> Judgement:
        start = time.perf_counter()
        messages = self._prompts.ask(request.png)
        limit = self._config.max_answer_tokens
        completion = await self._session.complete(messages, request.seed, limit)
        answers = answers_of(completion.text) if completion.finished else ()
        seconds = time.perf_counter() - start
        return Judgement(answers, messages.user, seconds, completion.num_tokens)
