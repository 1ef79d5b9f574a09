"""A chat model as writers and judges ask it, wherever its server is and whosever it is."""

from typing import Protocol

from models.chat.client import ChatClient, Completion, Sampling
from models.chat.configs import ENDPOINT_REQUESTS, EndpointSettings
from models.chat.messages import Messages
from models.chat.served import ServedModel, served_model


class ChatModel(Protocol):
    """Used within one event loop; see `models.served_engines.ServedEngine`."""

    max_in_flight: int

    async def start(self) -> ServedModel:
        """Make sure that it can be asked; gives where it answers.

        Raises:
            EngineUnavailable: If its server cannot start.
        """
        ...

    async def complete(self, messages: Messages, sampling: Sampling) -> Completion:
        """Ask for one completion; raises EngineFailed."""
        ...

    async def abandon(self) -> None:
        """Its server hangs: end it, where it is ours."""
        ...

    async def close(self) -> None:
        """Give back what `start` took."""
        ...


class EndpointModel:
    """A model on somebody else's server. Implements `ChatModel`.

    Raises:
        EngineUnavailable: If nothing answers at the address, or it serves other models.
    """

    max_in_flight = ENDPOINT_REQUESTS

    def __init__(self, config: EndpointSettings) -> None:
        self._served = served_model(config)
        self._client: ChatClient | None = None

    async def start(self) -> ServedModel:
        """Where it answers."""
        self._client = self._client or ChatClient(self._served)
        return self._served

    async def complete(self, messages: Messages, sampling: Sampling) -> Completion:
        """Ask for one completion.

        Raises:
            EngineFailed: If the server refuses this request, is gone, or broken.
        """
        assert self._client is not None, "a model is started before it is asked"
        return await self._client.complete(messages, sampling)

    async def abandon(self) -> None:
        """The server is not ours to end."""

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
