"""The judge over any OpenAI-compatible server with a multimodal model: six questions, one request.

Source: study 1's quality control of real and of painted images. A refusal, an answer cut at its
limit and what is no answer count as none: the image is asked about again with another seed.
Read in this order: prompts/v1.yaml, questions, prompting, parsing, this.
"""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.chat.engine import ChatEngine
from models.chat.fit import Purpose
from models.chat.model import ChatModel
from models.engines import EngineInfo
from models.images import encode_png
from models.judges.configs import LanguageModelJudgeConfig
from models.judges.parsing import answers_of
from models.judges.prompting import load_prompts
from models.judges.seam import Judgement, JudgeRequest

JUDGING = Purpose(
    answer="a judgement of an image",
    needs="a multimodal, instruction-tuned model with a chat template",
    limit="max_answer_tokens",
)
_FIRST_IMAGE_SIDE_PX = 512  # study 1's images; how many tokens an image takes goes by its size


class LanguageModelJudge(ChatEngine):
    """Implements `ImageJudge`.

    Args:
        config: What is asked, and how tokens are drawn.
        model: Who answers.
        schema: JSON schema that answers are held to.
    """

    def __init__(
        self, config: LanguageModelJudgeConfig, model: ChatModel, schema: Mapping[str, Any]
    ) -> None:
        prompts = load_prompts(config.prompt)
        side = _FIRST_IMAGE_SIDE_PX
        png = encode_png(np.full((side, side), 128, np.uint8), sample_id="")
        super().__init__(
            info=EngineInfo(config.kind, config.revision(), deterministic=False),
            model=model,
            temperature=config.temperature,
            top_p=config.top_p,
            schema=schema,
            purpose=JUDGING,
            longest_chats=[(prompts.ask(png), config.max_answer_tokens)],
        )
        self._prompts = prompts
        self._max_answer_tokens = config.max_answer_tokens

    async def judge(self, request: JudgeRequest) -> Judgement:
        """Answer one request.

        Raises:
            EngineFailed: If the server failed on it.
        """
        start = time.perf_counter()
        messages = self._prompts.ask(request.png)
        completion = await self.complete(messages, request.seed, self._max_answer_tokens)
        answers = answers_of(completion.text) if completion.finished else ()
        seconds = time.perf_counter() - start
        return Judgement(answers, messages.user, seconds, completion.num_tokens)
