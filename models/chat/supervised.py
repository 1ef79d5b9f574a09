"""A model behind a vLLM server that is started and supervised here."""

import asyncio
from dataclasses import dataclass

from models.chat.client import ChatClient, Completion, RequestRefused, Sampling
from models.chat.configs import VllmSettings
from models.chat.messages import Messages
from models.chat.served import ServedModel
from models.chat.weights import Weights
from models.vllm_server import ServerSettings, VllmServer
from storage.errors import EngineFailed

_GPU_REQUESTS = 256  # in flight at once: what vLLM itself runs side by side
_CPU_REQUESTS = 16  # two cores write 100 tokens a second; more would only wait longer
_ENDING_SECONDS = 3.0  # a server that dies breaks its connections first
_POLL_SECONDS = 0.1


@dataclass(slots=True)
class _Connection:
    """To one run of the server; `ended` says how that ended, once it is known."""

    client: ChatClient
    served: ServedModel
    ended: str = ""


class SupervisedModel:
    """Implements `ChatModel`. A server that died or was abandoned starts again at `start`.

    Args:
        config: The model, and how it is served.
        weights: The model's files.
        server_arguments: Further arguments of the server.

    Raises:
        EngineUnavailable: If there is no vLLM here.
    """

    def __init__(
        self, config: VllmSettings, weights: Weights, server_arguments: tuple[str, ...] = ()
    ) -> None:
        self._name, self._context_tokens = config.model, weights.context_tokens
        self._server = VllmServer(
            ServerSettings(
                folder=weights.folder,
                name=config.model,
                dtype=config.dtype,
                context_tokens=config.context_tokens,
                chat_template=config.chat_template,
                arguments=server_arguments,
            )
        )
        self.max_in_flight = _CPU_REQUESTS if self._server.on_cpu else _GPU_REQUESTS
        self._connection: _Connection | None = None

    async def start(self) -> ServedModel:
        """Start the server if none runs; seconds for a small model, minutes for a large one.

        Raises:
            EngineUnavailable: If it does not start.
        """
        if self._connection is not None:
            self._see_ending(self._connection)
            if not self._connection.ended:
                return self._connection.served
            await self._connection.client.close()
        try:
            address = await asyncio.to_thread(self._server.address)
        except asyncio.CancelledError:
            self._server.break_off_start()
            raise
        served = ServedModel(address, self._name, self._context_tokens)
        self._connection = _Connection(ChatClient(served), served)
        return served

    async def complete(self, messages: Messages, sampling: Sampling) -> Completion:
        """Ask for one completion.

        Raises:
            EngineFailed: If the server failed; says how it ended if it did.
        """
        connection = self._connection
        assert connection is not None, "a model is started before it is asked"
        try:
            return await connection.client.complete(messages, sampling)
        except RequestRefused:
            raise
        except EngineFailed as error:
            await self._wait_for_ending(connection)
            if connection.ended:
                raise EngineFailed(f"the vLLM server {connection.ended}") from error
            raise

    async def abandon(self) -> None:
        """End the server."""
        assert self._connection is not None, "a model is started before it hangs"
        self._connection.ended = "hung and was stopped"
        await asyncio.to_thread(self._server.stop)

    async def close(self) -> None:
        """Close the connections and end the server."""
        if self._connection is not None:
            await self._connection.client.close()
        await asyncio.to_thread(self._server.close)

    async def _wait_for_ending(self, connection: _Connection) -> None:
        """Until it is known how the server ended, or it seems to live on."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _ENDING_SECONDS
        self._see_ending(connection)
        while not connection.ended and clock() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
            self._see_ending(connection)

    def _see_ending(self, connection: _Connection) -> None:
        """One that was replaced keeps its ending: the server that runs now is another."""
        if connection is self._connection:
            connection.ended = connection.ended or self._server.ending() or ""
