"""What a plan says of a language-model writer. Light: clients and servers come with `open()`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from models.chat.configs import EndpointSettings, VllmSettings
from models.engines import EngineConfig, Placement
from models.vocabulary.revisions import joined_hash
from storage.records import Report

if TYPE_CHECKING:
    from models.writers.language_model.writer import LanguageModelWriter


class ExampleReports(BaseModel):
    """Real reports that a model is shown, by reference: their text stands in no plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: str = Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$",
        description="An ingested corpus; reports of its training patients are shown.",
    )
    num: int = Field(default=4, ge=1, le=64, description="Reports to show.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Which ones; no sample's seed.")


class LanguageModelConfig(EngineConfig):
    """What both writers are told: which prompts, and how tokens are drawn."""

    placement: ClassVar[Placement] = Placement.SERVED

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
    examples: ExampleReports | None = Field(
        default=None, description="Real reports to show the model (few-shot); None: none."
    )
    # Private, because only fields are dumped: into plans, Prefect's parameters and provenance.
    _shown: tuple[Report, ...] = PrivateAttr(())

    def with_examples(self, reports: Sequence[Report]) -> Self:
        """The same settings with the reports that `examples` names."""
        shown = self.model_copy()
        shown._shown = tuple(reports)
        return shown

    def shown_reports(self) -> tuple[Report, ...]:
        """The reports to show; none where the plan names none.

        Raises:
            ValueError: If they were not read.
        """
        if self.examples is not None and not self._shown:
            raise ValueError(
                f"writer.examples: expected the reports of corpus {self.examples.corpus!r}, got "
                "none; open the writer through its dataset (tasks/examples.py reads them)"
            )
        return self._shown


class EndpointConfig(EndpointSettings, LanguageModelConfig):
    """Any OpenAI-compatible address, here or elsewhere."""

    kind: Literal["endpoint"] = "endpoint"

    def revision(self) -> str:
        """Hash of the model's name, where the server says it is from, prompts and examples.

        Raises:
            EngineUnavailable: If nothing answers, or it does not serve the model.
        """
        from models.chat.served import found_model
        from models.writers.language_model.examples import prompts_hash

        return joined_hash(self.model, found_model(self).root, prompts_hash(self))

    def open(self) -> "LanguageModelWriter":
        """A client of the address.

        Raises:
            EngineUnavailable: If nothing answers there, or it does not serve the model.
        """
        from models.chat.model import EndpointModel
        from models.writers.language_model.writer import LanguageModelWriter

        return LanguageModelWriter(self, EndpointModel(self))


class VllmConfig(VllmSettings, LanguageModelConfig):
    """A vLLM server that the shard starts and supervises on its GPUs, or on the CPU."""

    kind: Literal["vllm"] = "vllm"

    def revision(self) -> str:
        """Hash of the weights (of a hub id: its commit), the template, prompts and examples.

        Raises:
            EngineUnavailable: If vLLM or the model is missing, or the model cannot chat.
        """
        from models.vllm_server import vllm_environment
        from models.writers.language_model.examples import prompts_hash
        from models.writers.language_model.fit import writer_weights

        vllm_environment()
        return joined_hash(writer_weights(self).revision, prompts_hash(self))

    def open(self) -> "LanguageModelWriter":
        """A server that is not started yet, and its client.

        Raises:
            EngineUnavailable: If vLLM or the model is missing, or the model cannot chat.
        """
        from models.chat.supervised import SupervisedModel
        from models.writers.language_model.fit import writer_weights
        from models.writers.language_model.writer import LanguageModelWriter

        return LanguageModelWriter(self, SupervisedModel(self, writer_weights(self)))
