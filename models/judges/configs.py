"""What a plan says of a judge. Light: clients and servers come with `open()`."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.chat.configs import EndpointSettings, VllmSettings
from models.engines import EngineConfig
from models.vocabulary.revisions import joined_hash

if TYPE_CHECKING:
    from models.judges.judge import LanguageModelJudge

_ONE_IMAGE = ("--limit-mm-per-prompt", '{"image": 1}')  # memory is set aside for no more
_MAX_REASON_CHARACTERS = 200  # a reason that runs on would cut the answer off


class LanguageModelJudgeConfig(EngineConfig):
    """What both judges are told: which questions, and how tokens are drawn."""

    prompt: Literal["v1"] = Field(default="v1", description="Version of the questions' file.")
    temperature: float = Field(
        default=0.2,
        gt=0.0,
        le=2.0,
        description="Of sampling; above 0, or an answer that cannot be read would come again.",
    )
    top_p: float = Field(
        default=0.9, gt=0.0, le=1.0, description="Share of probability to draw tokens from."
    )
    max_answer_tokens: int = Field(
        default=512,
        ge=64,
        le=8192,
        description="Longest answer; six short reasons take about 250. Cut ones are tried again.",
    )


class EndpointJudgeConfig(EndpointSettings, LanguageModelJudgeConfig):
    """A multimodal model at any OpenAI-compatible address, here or elsewhere."""

    kind: Literal["endpoint"] = "endpoint"

    def revision(self) -> str:
        """Hash of the model's name, of where the server says it is from, and of the questions.

        Raises:
            EngineUnavailable: If nothing answers, or it does not serve the model.
        """
        from models.chat.served import found_model
        from models.judges.prompting import prompt_hash

        return joined_hash(self.model, found_model(self).root, prompt_hash(self.prompt))

    def open(self) -> "LanguageModelJudge":
        """A client of the address.

        Raises:
            EngineUnavailable: If nothing answers there, or it does not serve the model.
        """
        from models.chat.model import EndpointModel
        from models.judges.judge import LanguageModelJudge
        from models.judges.parsing import answer_schema

        return LanguageModelJudge(self, EndpointModel(self), answer_schema())


class VllmJudgeConfig(VllmSettings, LanguageModelJudgeConfig):
    """A multimodal model on a vLLM server that the shard starts and supervises."""

    kind: Literal["vllm"] = "vllm"
    server_arguments: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        description="Further arguments of the server, such as --quantization, fp8.",
    )

    def revision(self) -> str:
        """Hash of the weights (of a Hugging Face id: its commit), the template and the questions.

        Raises:
            EngineUnavailable: If vLLM or the model is missing, or the model cannot chat.
        """
        from models.chat.weights import find_weights
        from models.judges.prompting import prompt_hash
        from models.vllm_server import vllm_environment

        vllm_environment()
        return joined_hash(find_weights(self).revision, prompt_hash(self.prompt))

    def open(self) -> "LanguageModelJudge":
        """A server that is not started yet, and its client.

        Raises:
            EngineUnavailable: If vLLM or the model is missing, or the model cannot chat.
        """
        from models.chat.supervised import SupervisedModel
        from models.chat.weights import find_weights
        from models.judges.judge import LanguageModelJudge
        from models.judges.parsing import answer_schema

        arguments = (*_ONE_IMAGE, *self.server_arguments)
        model = SupervisedModel(self, find_weights(self), arguments)
        return LanguageModelJudge(self, model, answer_schema(_MAX_REASON_CHARACTERS))
