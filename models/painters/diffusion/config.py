"""What a plan says of the `diffusers` painter. Light: torch and diffusers are imported by `open()`.

Defaults follow study 1 (RoentGen at guidance 4 and 50 to 75 steps).
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from models.engines import EngineConfig, Placement
from models.painters.diffusion.checkpoints import Checkpoint, find_checkpoint
from storage.errors import EngineUnavailable

if TYPE_CHECKING:
    from models.painters.diffusion.painter import DiffusersPainter

# Solvers of text-to-image pipelines by diffusers class name, each of which takes its noise from the
# caller's generators. Left out: solvers with a noise source of their own (DPMSolverSDEScheduler).
NoiseScheduler = Literal[
    "DDIMScheduler",
    "DDPMScheduler",
    "DEISMultistepScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LCMScheduler",
    "LMSDiscreteScheduler",
    "PNDMScheduler",
    "TCDScheduler",
    "UniPCMultistepScheduler",
]
FlowScheduler = Literal["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"]
SCHEDULERS: tuple[str, ...] = (*get_args(NoiseScheduler), *get_args(FlowScheduler))

Precision = Literal["auto", "float32", "bfloat16", "float16"]


def _known_scheduler(name: object) -> object:
    if name is None or name in SCHEDULERS:
        return name
    raise ValueError(
        f"expected a scheduler's diffusers class name: {', '.join(SCHEDULERS)}; "
        "or none, for the checkpoint's own"
    )


class DiffusersConfig(EngineConfig):
    """Any diffusers text-to-image pipeline, from a folder or from the hub's local cache.

    A checkpoint's safety checker is left out on purpose: it was made for photographs of people,
    and blacks out radiographs by chance. How many images share an engine batch is no part of a
    dataset: see `execution.max_batch_size`.
    """

    placement: ClassVar[Placement] = Placement.PROCESS_PER_GPU_GROUP

    kind: Literal["diffusers"] = "diffusers"
    model: str = Field(
        min_length=1,
        max_length=4096,
        description="Folder of a saved pipeline (the one with model_index.json) or its s3:// "
        "address, a hub id owner/name that the local hub cache has, or cxr-factory:NAME for a "
        "painter that comes with the factory. Weights are read from safetensors only.",
    )
    hub_revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Commit, tag or branch of a hub id; empty: its main branch. What it resolves "
        "to is pinned.",
    )
    allow_download: bool = Field(
        default=False,
        description="Fetch a hub id that the local hub cache lacks, when the plan is checked.",
    )
    guidance_scale: float | None = Field(
        default=4.0,
        ge=0.0,
        le=100.0,
        description="Weight of classifier-free guidance; study 1: 4. Up to 1: none. "
        "Empty for a pipeline that takes none.",
    )
    num_steps: int = Field(
        default=50, ge=1, le=1000, description="Steps of the solver; study 1: 50 to 75."
    )
    scheduler: Annotated[
        NoiseScheduler | FlowScheduler | None, BeforeValidator(_known_scheduler)
    ] = Field(
        default=None,
        description="Solver by its diffusers class name, set up from the checkpoint's own; "
        "empty: the checkpoint's own.",
    )
    precision: Precision = Field(
        default="auto",
        description="Of weights and arithmetic; auto: bfloat16 on a GPU, float32 on a CPU.",
    )
    image_size_px: int | None = Field(
        default=None,
        ge=8,
        le=4096,
        multiple_of=8,
        description="Side of the square image in pixels; empty: the checkpoint's own.",
    )
    negative_prompt: str = Field(
        default="",
        max_length=2000,
        description="What guidance leads away from; needs a guidance scale above 1.",
    )
    state_patient: bool = Field(
        default=False,
        description="Add view, sex and age group to the prompt, in the words that the factory's "
        "own painters learn.",
    )
    compiled: bool = Field(
        default=False,
        description="Compile the denoiser: minutes before the first image, faster ones after.",
    )

    @model_validator(mode="after")
    def _negative_prompt_has_guidance(self) -> "DiffusersConfig":
        if self.negative_prompt and (self.guidance_scale is None or self.guidance_scale <= 1):
            raise ValueError(
                f"negative_prompt needs a guidance_scale above 1, got {self.guidance_scale!r}; "
                "raise it, or leave the negative prompt empty"
            )
        return self

    def checkpoint(self) -> Checkpoint:
        """Where the pipeline lies on this machine; fetched first where that is allowed.

        Raises:
            EngineUnavailable: If it is missing, gated, damaged or no pipeline; says what to do.
        """
        found = find_checkpoint(self.model, self.hub_revision, self.allow_download)
        if self.scheduler is not None:
            self._require_same_family(found.scheduler)
        return found

    def revision(self) -> str:
        """The hub commit, or SHA-256 of the files of the pipeline's components.

        Raises:
            EngineUnavailable: See `checkpoint`.
        """
        return self.checkpoint().revision()

    def restricted(self) -> bool:
        """Whether the factory trained it on credentialed images; of others nothing is known."""
        return self.checkpoint().restricted()

    def open(self) -> "DiffusersPainter":
        """Load the pipeline on this machine's GPU, or on its CPU where there is none.

        Raises:
            EngineUnavailable: If the pipeline is missing or cannot be loaded with these settings.
        """
        from models.painters.diffusion.painter import DiffusersPainter

        return DiffusersPainter(self)

    def _require_same_family(self, own: str) -> None:
        flow = get_args(FlowScheduler)
        if (self.scheduler in flow) != (own in flow):
            raise EngineUnavailable(
                f"scheduler must be of the same family as {own}, which {self.model} was trained "
                f"for, got {self.scheduler}; leave it empty for the checkpoint's own"
            )
