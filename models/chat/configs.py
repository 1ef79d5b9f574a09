"""What a plan says of where a language model is. Light: clients and servers come with `open()`."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from models.engines import EngineConfig, Placement

ENDPOINT_REQUESTS = 512  # in flight at once; a plan's execution.max_batch_size may lower it


class EndpointSettings(EngineConfig):
    """Any OpenAI-compatible address, here or elsewhere."""

    placement: ClassVar[Placement] = Placement.SERVED

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


class VllmSettings(EngineConfig):
    """A vLLM server that the shard starts and supervises on its GPUs, or on the CPU.

    It takes all GPUs that CUDA_VISIBLE_DEVICES names, and spreads the model over them.
    """

    placement: ClassVar[Placement] = Placement.SERVED

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
