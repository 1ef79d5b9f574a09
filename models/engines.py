"""The seams: what a writer, painter, tagger or gate must offer, and how one is found by kind.

An engine is named in a plan by `kind`. Its pydantic config is found among the entry points of
every installed package (groups `cxr_factory.writers`, `.painters`, `.taggers`, `.image_gates`,
`.encoders`), so an engine in somebody else's package is used by naming it, and no flow changes.
Configs live in light modules; `open()` imports what is heavy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from models.registry import registered_config, registered_form
from storage.records import Entity, FindingMask, Report, Sex, Verdict, View


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What is pinned of an engine. `deterministic`: same request, same bytes, in any batch."""

    kind: str
    revision: str
    deterministic: bool


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """One try at one report. `seed` is of the sample and try, never of the batch.

    Attributes:
        source: The real report that the sample takes; None where one is to be written.
    """

    sample_id: str
    seed: int
    entities: tuple[Entity, ...]
    view: View
    sex: Sex | None = None
    age_years: int | None = None
    source: Report | None = None


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A writer's answer.

    Attributes:
        prompt: What led to the report; never text of another report.
        engine_seconds: Engine time spent on this request.
        prompt_sha256: Of the prompt's template and few-shot examples; empty: of the prompt itself.
        num_tokens: What a language model read and wrote for it.
    """

    report: Report
    prompt: str
    engine_seconds: float
    prompt_sha256: str = ""
    num_tokens: int = 0


@dataclass(frozen=True, slots=True)
class PaintRequest:
    """One try at one image.

    Attributes:
        prompt: The text a text-to-image model is conditioned on (study 1: the impression).
        entities: What the report was asked to say; known-truth painters place findings by it.
    """

    sample_id: str
    seed: int
    prompt: str
    report: Report
    entities: tuple[Entity, ...]
    view: View
    sex: Sex | None = None
    age_years: int | None = None


@dataclass(frozen=True, slots=True)
class PaintedImage:
    """A painter's answer.

    Attributes:
        pixels_HW: Grey levels, uint8 (height, width), air dark and bone light. A painter that
            computes in floats returns them unclipped as float32 in 0..255, so that the
            technical gate can still see what is not finite.
        masks: Exact masks where the painter knows them, else empty.
        engine_seconds: Engine time spent on this request.
    """

    pixels_HW: NDArray[np.uint8] | NDArray[np.float32]
    masks: tuple[FindingMask, ...]
    engine_seconds: float


class ReportWriter(Protocol):
    """Writes reports for requests, in order. Opened once per shard."""

    info: EngineInfo
    max_batch_size: int

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """Answer every request, in order; raises EngineFailed or EngineOutOfMemory."""
        ...

    def close(self) -> None:
        """Give back what `open` took."""
        ...


class ReportPainter(Protocol):
    """Paints images for requests, in order. Opened once per shard."""

    info: EngineInfo
    max_batch_size: int

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        """Answer every request, in order; raises EngineFailed or EngineOutOfMemory."""
        ...

    def close(self) -> None:
        """Give back what `open` took."""
        ...


class EntityTagger(Protocol):
    """Finds the entities a report speaks of."""

    info: EngineInfo

    def tag(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Entities of each text, merged to one per (text, kind), in order of first mention."""
        ...

    def close(self) -> None:
        """Give back what `open` took."""
        ...


class ImageGate(Protocol):
    """Keeps or rejects painted images, each with a reason. Runs beside the painter: cheap.

    Images come as the painter batched them; a verdict depends on its own image alone.
    """

    info: EngineInfo

    def check(
        self, requests: Sequence[PaintRequest], images: Sequence[PaintedImage]
    ) -> list[Verdict]:
        """A verdict per image, in order, with every measured value and its threshold."""
        ...


class Placement(StrEnum):
    """Where an engine's code runs. Only light engines belong in the caller's process."""

    IN_PROCESS = "in process"
    PROCESS_PER_CORE = "a supervised process per core"
    PROCESS_PER_GPU_GROUP = "a supervised process per GPU group"
    SERVED = "a server of its own, of which only the client runs in the caller's process"


class EngineConfig(BaseModel):
    """Base of every engine's config: what of it affects content. `open()` loads the engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    placement: ClassVar[Placement] = Placement.PROCESS_PER_GPU_GROUP

    kind: str

    def revision(self) -> str:
        """Resolved revision of weights, rules and lexicons, pinned in plan.lock.json.

        Raises:
            EngineUnavailable: If the model is missing; says what to install or which plan to use.
        """
        raise NotImplementedError(f"{type(self).__name__} must define revision()")

    def restricted(self) -> bool:
        """Whether it was made from credentialed data: what it makes or judges derives from them.

        Asked after `revision`, which says what is missing.
        """
        return False

    def open(self) -> Any:
        """Load the engine: a ReportWriter, ReportPainter, EntityTagger or ImageGate.

        One whose placement is SERVED is opened at once, and loads when it is started: a
        ServedWriter or an ImageJudge (`models.served_engines`).
        """
        raise NotImplementedError(f"{type(self).__name__} must define open()")


def engine_config(seam: str, settings: Any) -> EngineConfig:
    """Validate an engine's settings with the config class its kind registered.

    Args:
        seam: "writers", "painters", "taggers", "image_gates" or "encoders".
        settings: A mapping with `kind`, or an already validated config.

    Raises:
        ValueError: If the kind is unknown or two packages claim it; names what is registered.
    """
    return registered_config(seam, settings, EngineConfig)


def engine_form(seam: str) -> dict[str, Any]:
    """JSON schema of a seam's engines, for a form: one alternative per registered kind."""
    return registered_form(seam, EngineConfig)
