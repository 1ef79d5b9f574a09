"""The writer over any OpenAI-compatible server: FINDINGS, then their IMPRESSION (study 1, step 4).

A synchronous `write` drives an event loop in which a whole batch is in flight. A section that came
back empty or cut at its limit is an empty section, which the report gate rejects as missing: the
sample is tried again with another seed.
Read in this order: prompts/v1.yaml, prompting, parsing, client, this.
"""

import asyncio
import time
from collections.abc import Sequence

from models.engines import EngineInfo, WriteRequest, WrittenReport
from models.writers.language_model.client import ChatClient, Completion, Sampling
from models.writers.language_model.configs import LanguageModelConfig
from models.writers.language_model.fit import ServedModel, require_fit
from models.writers.language_model.parsing import (
    REPORT_SCHEMA,
    findings_of,
    impression_of,
    report_of,
)
from models.writers.language_model.prompting import Messages, load_prompts
from storage.errors import EngineFailed, EngineUnavailable
from storage.records import Report

SILENCE_SECONDS = 600.0  # after so long without any answer a server is called hung
_SEED_BITS = 31  # servers disagree on wider seeds: 32 bits in some, signed in others


class ServerSilent(EngineFailed):
    """No answer to any request of a batch for `SILENCE_SECONDS`: the server hangs."""


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
        self._prompts = load_prompts(config.prompt)
        self._silence_seconds = silence_seconds
        self._loop = asyncio.Runner()
        self._client = self._loop.run(_connect(served))
        try:
            self._loop.run(self._check(served))
        except BaseException:
            self.close()
            raise

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """Answer every request, in order; all of them are in flight at once.

        Raises:
            EngineFailed: If the server failed on one of them; the others are given up.
        """
        return self._loop.run(self._write_all(requests))

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._client.close())
        self._loop.close()

    async def _check(self, served: ServedModel) -> None:
        async def first_tokens(messages: Messages) -> int:
            return (await self._complete(messages, seed=0, max_tokens=1)).num_prompt_tokens

        try:
            async with asyncio.timeout(self._silence_seconds):
                await require_fit(self._config, served, first_tokens)
        except TimeoutError as error:
            raise EngineUnavailable(
                f"{served.address}: no answer to a first request in {self._silence_seconds:g} s"
            ) from error

    async def _write_all(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        clock = asyncio.get_running_loop().time

        async def write_one(request: WriteRequest) -> WrittenReport:
            written = await self._write_one(request)
            deadline.reschedule(clock() + self._silence_seconds)
            return written

        writing: list[asyncio.Task[WrittenReport]] = []
        try:
            async with asyncio.timeout(self._silence_seconds) as deadline:
                writing = [asyncio.create_task(write_one(request)) for request in requests]
                return await asyncio.gather(*writing)
        except TimeoutError as error:
            raise ServerSilent(
                f"no answer in {self._silence_seconds:g} s to any of {len(requests)} requests"
            ) from error
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(*writing, return_exceptions=True)

    async def _write_one(self, request: WriteRequest) -> WrittenReport:
        start = time.perf_counter()
        if self._config.passes == "structured":
            messages = self._prompts.ask_report(request)
            report = await self._structured(messages, request.seed)
        else:
            messages = self._prompts.ask_findings(request)
            report = await self._in_two_passes(messages, request.seed)
        return WrittenReport(report, messages.user, time.perf_counter() - start)

    async def _in_two_passes(self, messages: Messages, seed: int) -> Report:
        """FINDINGS, then the IMPRESSION of them; none is asked for of FINDINGS that are missing."""
        limit = self._config.max_findings_tokens
        findings = findings_of(_whole(await self._complete(messages, seed, limit)))
        if not findings:
            return Report("", "")
        messages = self._prompts.ask_impression(findings)
        limit = self._config.max_impression_tokens
        return Report(findings, impression_of(_whole(await self._complete(messages, seed, limit))))

    async def _structured(self, messages: Messages, seed: int) -> Report:
        limit = self._config.max_findings_tokens + self._config.max_impression_tokens
        return report_of(_whole(await self._complete(messages, seed, limit)))

    async def _complete(self, messages: Messages, seed: int, max_tokens: int) -> Completion:
        sampling = Sampling(
            temperature=self._config.temperature,
            top_p=self._config.top_p,
            seed=seed % 2**_SEED_BITS,
            max_tokens=max_tokens,
            schema=REPORT_SCHEMA if self._config.passes == "structured" else None,
        )
        return await self._client.complete(messages, sampling)


async def _connect(served: ServedModel) -> ChatClient:
    return ChatClient(served.address, served.name, served.api_key)


def _whole(completion: Completion) -> str:
    """The text, or nothing where it was cut: half a report says less than was asked."""
    return completion.text if completion.finished else ""
