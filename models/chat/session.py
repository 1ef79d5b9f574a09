"""One thread's conversation with a served model: an event loop, its client, how tokens are drawn.

What writers and judges have in common; what is asked and how it is read is theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from models.chat.batch import SILENCE_SECONDS, answer_all, server_seed
from models.chat.client import Completion, Sampling, connect
from models.chat.fit import Purpose, require_fit
from models.chat.messages import Messages
from models.chat.served import ServedModel

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")


class ChatSession:
    """Made, used and closed by one thread.

    Args:
        served: Where the model answers.
        temperature: Of sampling.
        top_p: Share of probability to draw tokens from.
        schema: JSON schema that answers are held to; None: free text.
        silence_seconds: After so long without any answer the server is called hung.
    """

    def __init__(
        self,
        served: ServedModel,
        temperature: float,
        top_p: float,
        schema: Mapping[str, Any] | None,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        self._served = served
        self._temperature, self._top_p, self._schema = temperature, top_p, schema
        self._silence_seconds = silence_seconds
        self._loop = asyncio.Runner()
        self._client = self._loop.run(connect(served))

    def require_fit(self, purpose: Purpose, chats: Iterable[tuple[Messages, int]]) -> None:
        """Ask for one token of each chat; a model that cannot answer ends the session.

        Args:
            purpose: What for, in the words of errors.
            chats: Each kind of chat at its longest, with the tokens that must fit beside it.

        Raises:
            EngineUnavailable: If the server refuses, fails or hangs, or the context is too short.
        """

        async def first_tokens(messages: Messages) -> int:
            return (await self.complete(messages, seed=0, max_tokens=1)).num_prompt_tokens

        fitting = require_fit(purpose, self._served, chats, first_tokens, self._silence_seconds)
        try:
            self._loop.run(fitting)
        except BaseException:
            self.close()
            raise

    def answer_all(
        self,
        requests: Sequence[RequestT],
        answer_one: Callable[[RequestT], Awaitable[AnswerT]],
    ) -> list[AnswerT]:
        """Answer every request, in order; all of them are in flight at once.

        Raises:
            ServerSilent: If the server hangs.
            EngineFailed: If the server failed on one of them; the others are given up.
        """
        return self._loop.run(answer_all(requests, answer_one, self._silence_seconds))

    async def complete(self, messages: Messages, seed: int, max_tokens: int) -> Completion:
        """Ask for one completion, within `answer_all`.

        Raises:
            EngineFailed: If the server refuses this request, is gone, or broken.
        """
        sampling = Sampling(
            temperature=self._temperature,
            top_p=self._top_p,
            seed=server_seed(seed),
            max_tokens=max_tokens,
            schema=self._schema,
        )
        return await self._client.complete(messages, sampling)

    def close(self) -> None:
        """Close the connections."""
        self._loop.run(self._client.close())
        self._loop.close()
