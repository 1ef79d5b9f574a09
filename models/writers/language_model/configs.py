"""What a plan says of a language-model writer. Light: clients and servers come with `open()`."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from models.engines import EngineConfig, Placement
from models.vocabulary.revisions import joined_hash

if TYPE_CHECKING:
    from models.writers.language_model.vllm_writer import VllmWriter
    from models.writers.language_model.writer import LanguageModelWriter

ENDPOINT_REQUESTS = 512  # in flight at once; a plan's execution.max_batch_size may lower it


class LanguageModelConfig(EngineConfig):
    """What both writers are told: which prompts, and how tokens are drawn."""

    # In the caller's process: what computes is a server of its own, and the client only waits.
    placement: ClassVar[Placement] = Placement.IN_PROCESS

    passes: Literal["two", "structured"] = Field(
        default="two",
        description=(
            "two: the model writes FINDINGS, then is shown them and writes their IMPRESSION, as "
            "in study 1. structured: both at once as a JSON object, half the requests."
        ),
    )
    prompt: Literal["v1"] = Field(default="v1", description="Version of the prompt file.")
    temperature: float = Field(
        default=0.6, ge=0.0, le=2.0, description="Of sampling; 0.6 is Llama 3.1's own default."
    )
    top_p: float = Field(
        default=0.9,
        gt=0.0,
        le=1.0,
        description="Share of probability to draw tokens from; 0.9 is Llama 3.1's own default.",
    )
    max_findings_tokens: int = Field(
        default=384,
        ge=16,
        le=8192,
        description="Longest FINDINGS; twelve entities take about 150. Cut ones are tried again.",
    )
    max_impression_tokens: int = Field(
        default=160, ge=16, le=8192, description="Longest IMPRESSION. Cut ones are tried again."
    )


class EndpointConfig(LanguageModelConfig):
    """Any OpenAI-compatible address, here or elsewhere."""

    kind: Literal["endpoint"] = "endpoint"
    address: str = Field(
        pattern=r"^(https?://[A-Za-z0-9.\-:\[\]]+(/[A-Za-z0-9._\-/]*)?|\$[A-Z][A-Z0-9_]*)$",
        description=(
            "Base of the interface, such as http://127.0.0.1:8000/v1; or $NAME to read it from "
            "that environment variable, so that a server that moves leaves the dataset the same."
        ),
    )
    model: str = Field(min_length=1, max_length=500, description="Name it is served under.")
    api_key_variable: str | None = Field(
        default=None,
        pattern=r"^[A-Z][A-Z0-9_]*$",
        description="Environment variable that holds the key; the key itself is in no plan.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description=(
            "Hosts other than this machine that may be sent what derives from a restricted corpus."
        ),
    )

    def revision(self) -> str:
        """Hash of the model's name, of where the server says it is from, and of the prompts.

        Raises:
            EngineUnavailable: If nothing answers, or it does not serve the model.
        """
        from models.writers.language_model.endpoint import found_model
        from models.writers.language_model.prompting import prompt_hash

        return joined_hash(self.model, found_model(self).root, prompt_hash(self.prompt))

    def open(self) -> "LanguageModelWriter":
        """Connect, and ask the model for a first token.

        Raises:
            EngineUnavailable: If the model cannot be asked for a report.
        """
        from models.writers.language_model.endpoint import open_endpoint

        return open_endpoint(self)


class VllmConfig(LanguageModelConfig):
    """A vLLM server that the shard starts and supervises on its GPUs, or on the CPU.

    It takes all GPUs that CUDA_VISIBLE_DEVICES names, and spreads the model over them.
    """

    kind: Literal["vllm"] = "vllm"
    model: str = Field(
        min_length=1,
        max_length=500,
        description="Folder of an instruction-tuned model, or its Hugging Face id if downloaded.",
    )
    model_revision: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._\-]+$",
        description="Commit, branch or tag of a Hugging Face id; None: its main branch.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        default="auto", description="Of weights; auto: the model's own, on the CPU float32."
    )
    context_tokens: int | None = Field(
        default=None,
        ge=64,
        le=10_000_000,
        description="Longest prompt and answer together, for a GPU too small for the model's own.",
    )
    chat_template: Path | None = Field(
        default=None, description="Jinja file that turns messages into text, for a model without."
    )

    def revision(self) -> str:
        """Hash of the weights (of a Hugging Face id: its commit), the template and the prompts.

        Raises:
            EngineUnavailable: If vLLM or the model is missing, or the model cannot chat.
        """
        from models.vllm_server import vllm_environment
        from models.writers.language_model.prompting import prompt_hash
        from models.writers.language_model.weights import find_weights

        vllm_environment()
        return joined_hash(find_weights(self).revision, prompt_hash(self.prompt))

    def open(self) -> "VllmWriter":
        """Start the server; seconds for a small model, minutes for a large one.

        Raises:
            EngineUnavailable: If the server does not start, or the model cannot write a report.
        """
        from models.writers.language_model.vllm_writer import VllmWriter

        return VllmWriter(self)
