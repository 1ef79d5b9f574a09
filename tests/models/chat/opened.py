"""A served engine in an event loop of its own, for tests that ask it without a queue."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from models.served_engines import ServedEngine

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class AskAll(Protocol):
    """Sends all requests at once; gives their answers, in order."""

    def __call__(
        self, ask: Callable[[RequestT], Awaitable[AnswerT]], requests: Sequence[RequestT]
    ) -> list[AnswerT]: ...


@contextmanager
def opened(engine: ServedEngine) -> Iterator[AskAll]:
    """Start it, and close it at the end."""

    async def all_of(
        ask: Callable[[RequestT], Awaitable[AnswerT]], requests: Sequence[RequestT]
    ) -> list[AnswerT]:
        await engine.start()
        return await asyncio.gather(*map(ask, requests))

    with asyncio.Runner() as loop:
        try:
            loop.run(engine.start())
            yield lambda ask, requests: loop.run(all_of(ask, requests))
        finally:
            loop.run(engine.close())
