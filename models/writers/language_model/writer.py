"""The writer over any OpenAI-compatible server: FINDINGS, then their IMPRESSION (study 1, step 4).

A section that came back empty or cut at its limit is an empty section, which the report gate
rejects as missing: the sample is tried again with another seed.
Read in this order: prompts/v1.yaml, prompting, examples, parsing, models/chat/client, this.
"""

import time

from models.chat.client import Completion
from models.chat.engine import ChatEngine
from models.chat.messages import Messages
from models.chat.model import ChatModel
from models.engines import EngineInfo, WriteRequest, WrittenReport
from models.writers.language_model.configs import LanguageModelConfig
from models.writers.language_model.examples import prompts_hash, prompts_of
from models.writers.language_model.fit import WRITING, longest_chats
from models.writers.language_model.parsing import (
    REPORT_SCHEMA,
    findings_of,
    impression_of,
    report_of,
)
from storage.records import Report


class LanguageModelWriter(ChatEngine):
    """Implements `ServedWriter`.

    Args:
        config: What is asked, and how tokens are drawn.
        model: Who answers.
    """

    def __init__(self, config: LanguageModelConfig, model: ChatModel) -> None:
        super().__init__(
            info=EngineInfo(config.kind, config.revision(), deterministic=False),
            model=model,
            temperature=config.temperature,
            top_p=config.top_p,
            schema=REPORT_SCHEMA if config.passes == "structured" else None,
            purpose=WRITING,
            longest_chats=longest_chats(config),
        )
        self._config = config
        self._prompts = prompts_of(config)
        self._prompts_hash = prompts_hash(config)

    async def write(self, request: WriteRequest) -> WrittenReport:
        """Answer one request.

        Raises:
            EngineFailed: If the server failed on it.
        """
        start = time.perf_counter()
        if self._config.passes == "structured":
            messages = self._prompts.ask_report(request)
            report, num_tokens = await self._structured(messages, request.seed)
        else:
            messages = self._prompts.ask_findings(request)
            report, num_tokens = await self._in_two_passes(messages, request.seed)
        seconds = time.perf_counter() - start
        return WrittenReport(report, messages.user, seconds, self._prompts_hash, num_tokens)

    async def _in_two_passes(self, messages: Messages, seed: int) -> tuple[Report, int]:
        """FINDINGS, then the IMPRESSION of them; none is asked for of FINDINGS that are missing."""
        limit = self._config.max_findings_tokens
        first = await self.complete(messages, seed, limit)
        findings = findings_of(_whole(first))
        if not findings:
            return Report("", ""), first.num_tokens
        messages = self._prompts.ask_impression(findings)
        limit = self._config.max_impression_tokens
        second = await self.complete(messages, seed, limit)
        report = Report(findings, impression_of(_whole(second)))
        return report, first.num_tokens + second.num_tokens

    async def _structured(self, messages: Messages, seed: int) -> tuple[Report, int]:
        limit = self._config.max_findings_tokens + self._config.max_impression_tokens
        completion = await self.complete(messages, seed, limit)
        return report_of(_whole(completion)), completion.num_tokens


def _whole(completion: Completion) -> str:
    """The text, or nothing where it was cut: half a report says less than was asked."""
    return completion.text if completion.finished else ""
