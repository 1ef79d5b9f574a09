"""The writer over a vLLM server that it starts and supervises."""

from collections.abc import Sequence

from models.chat.batch import SILENCE_SECONDS
from models.chat.served import ServedModel
from models.chat.supervised import SupervisedModel
from models.engines import EngineInfo, WriteRequest, WrittenReport
from models.writers.language_model.configs import VllmConfig
from models.writers.language_model.fit import writer_weights
from models.writers.language_model.writer import LanguageModelWriter


class VllmWriter:
    """Implements `ReportWriter`. A server that died or hangs is started again at the next call.

    Raises:
        EngineUnavailable: If the server does not start, or the model cannot write a report.
    """

    def __init__(self, config: VllmConfig, silence_seconds: float = SILENCE_SECONDS) -> None:
        revision = config.revision()
        self.info = EngineInfo(config.kind, revision, deterministic=False)

        def connect(served: ServedModel, num_requests: int) -> LanguageModelWriter:
            return LanguageModelWriter(config, revision, served, num_requests, silence_seconds)

        self._model = SupervisedModel(config, writer_weights(config), connect)
        self.max_batch_size = self._model.max_batch_size

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """Answer every request, in order.

        Raises:
            EngineFailed: If the server failed; says how it ended if it did.
            EngineUnavailable: If it died before and does not start again.
        """
        return self._model.call(lambda writer: writer.write(requests))

    def close(self) -> None:
        """Close the connections; the last writer of a server stops it."""
        self._model.close()
