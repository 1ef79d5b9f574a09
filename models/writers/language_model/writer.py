"""The writer over any OpenAI-compatible server: FINDINGS, then their IMPRESSION (study 1, step 4).

A synchronous `write` drives an event loop in which a whole batch is in flight. A section that came
back empty or cut at its limit is an empty section, which the report gate rejects as missing: the
sample is tried again with another seed.
Read in this order: prompts/v1.yaml, prompting, examples, parsing, client, this.
"""

import time
from collections.abc import Sequence

from models.chat.batch import SILENCE_SECONDS
from models.chat.client import Completion
from models.chat.configs import ENDPOINT_REQUESTS
from models.chat.messages import Messages
from models.chat.served import ServedModel, served_model
from models.chat.session import ChatSession
from models.engines import EngineInfo, WriteRequest, WrittenReport
from models.writers.language_model.configs import EndpointConfig, LanguageModelConfig
from models.writers.language_model.examples import prompts_hash, prompts_of
from models.writers.language_model.fit import WRITING, longest_chats
from models.writers.language_model.parsing import (
    REPORT_SCHEMA,
    findings_of,
    impression_of,
    report_of,
)
from storage.records import Report


def open_endpoint(config: EndpointConfig) -> "LanguageModelWriter":
    """Connect to the address; see `EndpointConfig.open`."""
    return LanguageModelWriter(config, config.revision(), served_model(config), ENDPOINT_REQUESTS)


class LanguageModelWriter:
    """Implements `ReportWriter`. Opened, used and closed by one thread.

    Args:
        config: What is asked, and how tokens are drawn.
        revision: The config's, found once.
        served: Where the model answers.
        max_batch_size: Requests in flight at once.
        silence_seconds: After so long without any answer the server is called hung.

    Raises:
        EngineUnavailable: If a first request is refused, or the model's context is too short.
    """

    def __init__(
        self,
        config: LanguageModelConfig,
        revision: str,
        served: ServedModel,
        max_batch_size: int,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self.info = EngineInfo(config.kind, revision, deterministic=False)
        self.max_batch_size = max_batch_size
        self._config = config
        self._prompts = prompts_of(config)
        self._prompts_hash = prompts_hash(config)
        schema = REPORT_SCHEMA if config.passes == "structured" else None
        self._session = ChatSession(
            served, config.temperature, config.top_p, schema, silence_seconds
        )
        self._session.require_fit(WRITING, longest_chats(config))

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """Answer every request, in order; all of them are in flight at once.

        Raises:
            EngineFailed: If the server failed on one of them; the others are given up.
        """
        return self._session.answer_all(requests, self._write_one)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    async def _write_one(self, request: WriteRequest) -> WrittenReport:
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
        first = await self._session.complete(messages, seed, limit)
        findings = findings_of(_whole(first))
        if not findings:
            return Report("", ""), first.num_tokens
        messages = self._prompts.ask_impression(findings)
        limit = self._config.max_impression_tokens
        second = await self._session.complete(messages, seed, limit)
        report = Report(findings, impression_of(_whole(second)))
        return report, first.num_tokens + second.num_tokens

    async def _structured(self, messages: Messages, seed: int) -> tuple[Report, int]:
        limit = self._config.max_findings_tokens + self._config.max_impression_tokens
        completion = await self._session.complete(messages, seed, limit)
        return report_of(_whole(completion)), completion.num_tokens


def _whole(completion: Completion) -> str:
    """The text, or nothing where it was cut: half a report says less than was asked."""
    return completion.text if completion.finished else ""
