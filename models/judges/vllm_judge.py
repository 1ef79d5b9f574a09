"""The judge over a vLLM server that it starts and supervises."""

from collections.abc import Sequence

from models.chat.batch import SILENCE_SECONDS
from models.chat.served import ServedModel
from models.chat.supervised import SupervisedModel
from models.chat.weights import find_weights
from models.engines import EngineInfo
from models.judges.configs import VllmJudgeConfig
from models.judges.judge import LanguageModelJudge
from models.judges.parsing import answer_schema
from models.judges.seam import Judgement, JudgeRequest

_ONE_IMAGE = ("--limit-mm-per-prompt", '{"image": 1}')  # memory is set aside for no more
_MAX_REASON_CHARACTERS = 200  # a reason that runs on would cut the answer off


class VllmJudge:
    """Implements `ImageJudge`. A server that died or hangs is started again at the next call.

    Raises:
        EngineUnavailable: If the server does not start, or the model cannot see images.
    """

    def __init__(self, config: VllmJudgeConfig, silence_seconds: float = SILENCE_SECONDS) -> None:
        revision = config.revision()
        self.info = EngineInfo(config.kind, revision, deterministic=False)
        schema = answer_schema(_MAX_REASON_CHARACTERS)

        def connect(served: ServedModel, num_requests: int) -> LanguageModelJudge:
            return LanguageModelJudge(
                config, revision, served, num_requests, schema, silence_seconds
            )

        arguments = (*_ONE_IMAGE, *config.server_arguments)
        self._model = SupervisedModel(config, find_weights(config), connect, arguments)
        self.max_batch_size = self._model.max_batch_size

    def judge(self, requests: Sequence[JudgeRequest]) -> list[Judgement]:
        """Answer every request, in order.

        Raises:
            EngineFailed: If the server failed; says how it ended if it did.
            EngineUnavailable: If it died before and does not start again.
        """
        return self._model.call(lambda judge: judge.judge(requests))

    def close(self) -> None:
        """Close the connections; the last judge of a server stops it."""
        self._model.close()
