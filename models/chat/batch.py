"""A batch of requests to one server, all in flight at once, given up when the server hangs."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from storage.errors import EngineFailed

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")

SILENCE_SECONDS = 600.0  # after so long without any answer a server is called hung
_NUM_SEEDS = 1 << 31  # servers disagree on wider seeds: 32 bits in some, signed in others


class ServerSilent(EngineFailed):
    """No answer to any request of a batch for `SILENCE_SECONDS`: the server hangs."""


def server_seed(seed: int) -> int:
    """A request's seed within what every server takes, 0 ≤ seed < 2^31."""
    return seed % _NUM_SEEDS


async def answer_all(
    requests: Sequence[RequestT],
    answer_one: Callable[[RequestT], Awaitable[AnswerT]],
    silence_seconds: float,
) -> list[AnswerT]:
    """Answer every request, in order; all of them are in flight at once.

    Raises:
        ServerSilent: If there was no answer to any of them for so long.
        EngineFailed: If one failed; the others are given up.
    """
    clock = asyncio.get_running_loop().time

    async def answer(request: RequestT) -> AnswerT:
        answered = await answer_one(request)
        deadline.reschedule(clock() + silence_seconds)
        return answered

    answering: list[asyncio.Task[AnswerT]] = []
    try:
        async with asyncio.timeout(silence_seconds) as deadline:
            answering = [asyncio.create_task(answer(request)) for request in requests]
            return await asyncio.gather(*answering)
    except TimeoutError as error:
        raise ServerSilent(
            f"no answer in {silence_seconds:g} s to any of {len(requests)} requests"
        ) from error
    finally:
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)
