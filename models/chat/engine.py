"""What writers and judges over a chat model have in common; what is asked and read is theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.chat.client import Completion, Sampling
from models.chat.fit import Purpose, require_fit
from models.chat.messages import Messages
from models.chat.model import ChatModel
from models.engines import EngineInfo

_NUM_SEEDS = 1 << 31  # servers disagree on wider seeds: 32 bits in some, signed in others


def server_seed(seed: int) -> int:
    """A request's seed within what every server takes, 0 ≤ seed < 2^31."""
    return seed % _NUM_SEEDS


class ChatEngine:
    """Implements `ServedEngine`.

    Args:
        info: The engine's kind and revision.
        model: Who answers.
        temperature: Of sampling.
        top_p: Share of probability to draw tokens from.
        schema: JSON schema that answers are held to; None: free text.
        purpose: What for, in the words of errors.
        longest_chats: Each kind of chat at its longest, with the tokens that must fit beside it.
    """

    def __init__(
        self,
        info: EngineInfo,
        model: ChatModel,
        temperature: float,
        top_p: float,
        schema: Mapping[str, Any] | None,
        purpose: Purpose,
        longest_chats: Sequence[tuple[Messages, int]],
    ) -> None:
        self.info = info
        self.max_in_flight = model.max_in_flight
        self._model = model
        self._temperature, self._top_p, self._schema = temperature, top_p, schema
        self._purpose = purpose
        self._longest_chats = longest_chats
        self._is_fit = False

    async def start(self) -> None:
        """Start the model; the first time, ask it for one token of each of the longest chats.

        Raises:
            EngineUnavailable: If it cannot start, refuses, fails or hangs, or its context is too
                short.
        """
        served = await self._model.start()
        if not self._is_fit:
            await require_fit(self._purpose, served, self._longest_chats, self._first_token)
            self._is_fit = True

    async def complete(self, messages: Messages, seed: int, max_tokens: int) -> Completion:
        """Ask for one completion.

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
        return await self._model.complete(messages, sampling)

    async def abandon(self) -> None:
        """The server hangs: end it, where it is ours."""
        await self._model.abandon()

    async def close(self) -> None:
        """Close the connections, and the server where it is ours."""
        await self._model.close()

    async def _first_token(self, messages: Messages) -> int:
        """Tokens of the prompt."""
        return (await self.complete(messages, seed=0, max_tokens=1)).num_prompt_tokens
