"""The writer over a vLLM server that it starts and supervises."""

import threading
from collections.abc import Sequence

from models.engines import EngineInfo, WriteRequest, WrittenReport
from models.vllm_server import ServerSettings, VllmServer
from models.writers.language_model.configs import VllmConfig
from models.writers.language_model.fit import ServedModel
from models.writers.language_model.weights import Weights, find_weights
from models.writers.language_model.writer import SILENCE_SECONDS, LanguageModelWriter, ServerSilent
from storage.errors import EngineFailed

_GPU_REQUESTS = 256  # in flight at once: what vLLM itself runs side by side
_ENDING_SECONDS = 3.0  # a server that dies breaks its connections first
_CPU_REQUESTS = 16  # two cores write 100 tokens a second; more would only wait longer


class VllmWriter:
    """Implements `ReportWriter`. A server that died or hangs is started again at the next call.

    Writers of the same config in one process share one server, so that several may keep it busy.

    Raises:
        EngineUnavailable: If the server does not start, or the model cannot write a report.
    """

    def __init__(self, config: VllmConfig, silence_seconds: float = SILENCE_SECONDS) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=False)
        self._config = config
        self._silence_seconds = silence_seconds
        self._weights = find_weights(config)
        self._server = _borrow_server(config, self._weights)
        self.max_batch_size = _CPU_REQUESTS if self._server.on_cpu else _GPU_REQUESTS
        self._writer: LanguageModelWriter | None = None
        self._address = ""
        try:
            self._connected()
        except BaseException:
            self.close()
            raise

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """Answer every request, in order.

        Raises:
            EngineFailed: If the server failed; says how it ended if it did.
            EngineUnavailable: If it died before and does not start again.
        """
        writer = self._connected()
        try:
            return writer.write(requests)
        except ServerSilent as error:
            self._server.stop()
            raise EngineFailed(f"the vLLM server hung: {error}") from error
        except EngineFailed as error:
            if ending := self._server.ending(_ENDING_SECONDS):
                raise EngineFailed(f"the vLLM server {ending}") from error
            raise

    def close(self) -> None:
        """Close the connections; the last writer of a server stops it."""
        self._disconnect()
        _give_back_server(self._config)

    def _connected(self) -> LanguageModelWriter:
        """A writer to the running server; a new one after the server was started again."""
        address = self._server.address()
        if self._writer is None or address != self._address:
            self._disconnect()
            served = ServedModel(address, self._config.model, self._weights.context_tokens)
            self._writer = LanguageModelWriter(
                self._config,
                self.info.revision,
                served,
                self.max_batch_size,
                self._silence_seconds,
            )
            self._address = address
        return self._writer

    def _disconnect(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None


_lock = threading.Lock()
_servers: dict[VllmConfig, tuple[VllmServer, int]] = {}  # with the number of its writers


def _borrow_server(config: VllmConfig, weights: Weights) -> VllmServer:
    with _lock:
        server, num_writers = _servers.get(config) or (_new_server(config, weights), 0)
        _servers[config] = server, num_writers + 1
        return server


def _give_back_server(config: VllmConfig) -> None:
    with _lock:
        server, num_writers = _servers.pop(config)
        if num_writers > 1:
            _servers[config] = server, num_writers - 1
            return
        server.close()


def _new_server(config: VllmConfig, weights: Weights) -> VllmServer:
    return VllmServer(
        ServerSettings(
            folder=weights.folder,
            name=config.model,
            dtype=config.dtype,
            context_tokens=config.context_tokens,
            chat_template=config.chat_template,
        )
    )
