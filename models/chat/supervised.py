"""A model behind a vLLM server that is started and supervised here, with a client of it."""

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from models.chat.batch import ServerSilent
from models.chat.configs import VllmSettings
from models.chat.served import ServedModel
from models.chat.weights import Weights
from models.vllm_server import ServerSettings, VllmServer
from storage.errors import EngineFailed

_GPU_REQUESTS = 256  # in flight at once: what vLLM itself runs side by side
_CPU_REQUESTS = 16  # two cores write 100 tokens a second; more would only wait longer
_ENDING_SECONDS = 3.0  # a server that dies breaks its connections first


class _Client(Protocol):
    def close(self) -> None: ...


ClientT = TypeVar("ClientT", bound=_Client)
AnswerT = TypeVar("AnswerT")
Connect = Callable[[ServedModel, int], ClientT]  # (the model, requests in flight) -> client


class SupervisedModel(Generic[ClientT]):
    """A client of a server that is started again, at the next call, after it died or hung.

    Those of the same config in one process share one server, so that several may keep it busy.

    Args:
        config: The model, and how it is served.
        weights: The model's files.
        connect: Makes a client of the running server.
        server_arguments: Further arguments of the server.

    Raises:
        EngineUnavailable: If the server does not start, or the client finds the model unfit.
    """

    def __init__(
        self,
        config: VllmSettings,
        weights: Weights,
        connect: "Connect[ClientT]",
        server_arguments: tuple[str, ...] = (),
    ) -> None:
        self._config = config
        self._weights = weights
        self._connect = connect
        self._server = _borrow_server(config, weights, server_arguments)
        self.max_batch_size = _CPU_REQUESTS if self._server.on_cpu else _GPU_REQUESTS
        self._client: ClientT | None = None
        self._address = ""
        try:
            self._connected()
        except BaseException:
            self.close()
            raise

    def call(self, ask: Callable[[ClientT], AnswerT]) -> AnswerT:
        """Put a batch to the model.

        Raises:
            EngineFailed: If the server failed; says how it ended if it did.
            EngineUnavailable: If it died before and does not start again.
        """
        client = self._connected()
        try:
            return ask(client)
        except ServerSilent as error:
            self._server.stop()
            raise EngineFailed(f"the vLLM server hung: {error}") from error
        except EngineFailed as error:
            if ending := self._server.ending(_ENDING_SECONDS):
                raise EngineFailed(f"the vLLM server {ending}") from error
            raise

    def close(self) -> None:
        """Close the connections; the last client of a server stops it."""
        self._disconnect()
        _give_back_server(self._config)

    def _connected(self) -> ClientT:
        """A client of the running server; a new one after the server was started again."""
        address = self._server.address()
        if self._client is None or address != self._address:
            self._disconnect()
            served = ServedModel(address, self._config.model, self._weights.context_tokens)
            self._client = self._connect(served, self.max_batch_size)
            self._address = address
        return self._client

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


_lock = threading.Lock()
_servers: dict[VllmSettings, tuple[VllmServer, int]] = {}  # with the number of its clients


def _borrow_server(
    config: VllmSettings, weights: Weights, server_arguments: tuple[str, ...]
) -> VllmServer:
    with _lock:
        server, num_clients = _servers.get(config) or (
            _new_server(config, weights, server_arguments),
            0,
        )
        _servers[config] = server, num_clients + 1
        return server


def _give_back_server(config: VllmSettings) -> None:
    with _lock:
        server, num_clients = _servers.pop(config)
        if num_clients > 1:
            _servers[config] = server, num_clients - 1
            return
        server.close()


def _new_server(
    config: VllmSettings, weights: Weights, server_arguments: tuple[str, ...]
) -> VllmServer:
    return VllmServer(
        ServerSettings(
            folder=weights.folder,
            name=config.model,
            dtype=config.dtype,
            context_tokens=config.context_tokens,
            chat_template=config.chat_template,
            arguments=server_arguments,
        )
    )
