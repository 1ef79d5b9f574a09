"""Loading a diffusers pipeline as a plan describes it, and asking it for images.

Shapes: B images of a batch, H height and W width in pixels, C channels.
"""

import inspect
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from models.devices import best_device
from models.painters.diffusion.checkpoints import LEFT_OUT, Checkpoint
from models.painters.diffusion.config import DiffusersConfig
from models.painters.diffusion.prompts import Window
from storage.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_NEEDED = ("prompt", "num_inference_steps", "generator", "output_type")
# Arguments of pipelines that start from an image, or make something other than one image.
_OTHER_TASKS = ("strength", "mask_image", "num_frames", "audio_length_in_s")
_RANDOM_WEIGHTS = "newly initialized"  # what both libraries say of weights a file lacks
_NO_LIMIT = 1_000_000  # tokenizers without one say 10^30


class TextToImage:
    """A loaded pipeline with a plan's settings.

    Args:
        config: The plan's settings.
        checkpoint: Where the pipeline lies.

    Raises:
        EngineUnavailable: If it cannot be loaded, or cannot do what the settings ask.
    """

    def __init__(self, config: DiffusersConfig, checkpoint: Checkpoint) -> None:
        self.device = best_device()
        self._pipeline = _load(checkpoint, dtype_of(config.precision, self.device), self.device)
        self._parameters = inspect.signature(self._pipeline.__call__).parameters
        _require_text_to_image(self._pipeline, self._parameters)
        if config.scheduler is not None:
            _set_scheduler(self._pipeline, config.scheduler)
        self._negative_prompt = config.negative_prompt
        self._settings = self._call_settings(config)
        if config.compiled:
            _compile(self._pipeline)

    def paint(self, prompts: Sequence[str], seeds: Sequence[int]) -> NDArray[np.float32]:
        """One image per prompt.

        Each image has a generator of its own on the CPU, so that its noise depends neither on
        its batch mates nor on the device.

        Returns:
            (B, H, W, C) in 0..1.
        """
        negative = {"negative_prompt": [self._negative_prompt] * len(prompts)}
        answer = self._pipeline(
            prompt=list(prompts),
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
            **self._settings,
            **(negative if self._negative_prompt else {}),
        )
        return np.asarray(answer.images, dtype=np.float32)

    def windows(self) -> list[Window]:
        """How much of a prompt each text encoder sees."""
        return [
            _window(self._pipeline, name, self._parameters)
            for name, part in self._pipeline.components.items()
            if name.startswith("tokenizer") and part is not None
        ]

    def _call_settings(self, config: DiffusersConfig) -> dict[str, Any]:
        settings: dict[str, Any] = {"num_inference_steps": config.num_steps}
        if config.guidance_scale is not None:
            settings["guidance_scale"] = config.guidance_scale
        if config.image_size_px is not None:
            settings |= {"height": config.image_size_px, "width": config.image_size_px}
        wanted = [*settings, *(["negative_prompt"] if config.negative_prompt else [])]
        for name in wanted:
            if name not in self._parameters:
                raise EngineUnavailable(
                    f"{type(self._pipeline).__name__} takes no {name}; leave that setting empty"
                )
        return settings


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """The plan's precision; auto is bfloat16 on a GPU and float32 on a CPU."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return _DTYPES[precision]


def _load(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> Any:
    """The pipeline in evaluation mode, without progress bars, safety checker and watermark."""
    diffusers.utils.logging.set_verbosity_warning()
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_warning()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with _complaints() as complaints:
            pipeline = diffusers.DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
                str(checkpoint.folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=True,
                **_left_out(checkpoint),
            )
        if not complaints:  # weights that the checkpoint lacks have no data to be moved
            pipeline.to(device)
    except Exception as error:
        raise EngineUnavailable(
            f"expected a pipeline that diffusers {diffusers.__version__} loads in "
            f"{checkpoint.folder}, got {type(error).__name__}: {_one_line(str(error))}"
        ) from error
    if complaints:
        raise EngineUnavailable(
            f"{checkpoint.folder} lacks weights, which would be drawn at random: "
            f"{_one_line(complaints[0])}; copy the checkpoint whole"
        )
    pipeline.set_progress_bar_config(disable=True)
    # When painting, its warnings quote prompts, and no log may hold a restricted corpus's text.
    diffusers.utils.logging.set_verbosity_error()
    return pipeline


def _left_out(checkpoint: Checkpoint) -> dict[str, Any]:
    """What of a pipeline is switched off on purpose, as `from_pretrained` takes it."""
    index = checkpoint.index()
    arguments: dict[str, Any] = {name: None for name in LEFT_OUT if name in index}
    if "requires_safety_checker" in index:
        arguments["requires_safety_checker"] = False
    if any((index.get(name) or [None])[0] for name in LEFT_OUT):
        logger.warning(
            "the safety checker of %s is not loaded: made for photographs of people, "
            "it blacks out radiographs by chance",
            checkpoint.folder,
        )
    pipeline_class = getattr(diffusers, index["_class_name"], None)
    if (
        pipeline_class is not None
        and "add_watermarker" in inspect.signature(pipeline_class.__init__).parameters
    ):
        arguments["add_watermarker"] = False  # else pixels would depend on an optional package
    return arguments


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collects what diffusers and transformers say of weights that a file lacks."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if _RANDOM_WEIGHTS in (message := record.getMessage()):
                found.append(message)

    collector = Collector(logging.WARNING)
    libraries = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    for library in libraries:
        library.addHandler(collector)
    try:
        yield found
    finally:
        for library in libraries:
            library.removeHandler(collector)


def _require_text_to_image(pipeline: Any, parameters: Mapping[str, inspect.Parameter]) -> None:
    missing = [name for name in _NEEDED if name not in parameters]
    others = [name for name in _OTHER_TASKS if name in parameters]
    if missing or others:
        reason = f"takes no {missing[0]}" if missing else f"takes {others[0]}"
        raise EngineUnavailable(
            f"expected a text-to-image pipeline, got {type(pipeline).__name__}, which {reason}; "
            "name another checkpoint"
        )


def _set_scheduler(pipeline: Any, name: str) -> None:
    """Replace the solver, keeping what the checkpoint's own says of its noise schedule."""
    own, solver = pipeline.scheduler.config, getattr(diffusers, name)
    knows_flow = "use_flow_sigmas" in inspect.signature(solver.__init__).parameters
    if own.get("use_flow_sigmas") and not knows_flow:
        raise EngineUnavailable(
            f"scheduler must know the flow schedule of this checkpoint, as {own['_class_name']} "
            f"does, got {name}; leave it empty for the checkpoint's own"
        )
    pipeline.scheduler = solver.from_config(own)


def _compile(pipeline: Any) -> None:
    denoiser = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    if denoiser is None:
        raise EngineUnavailable(
            f"compiled needs a unet or transformer, which {type(pipeline).__name__} has not; "
            "switch it off"
        )
    denoiser.compile()


def _window(
    pipeline: Any, tokenizer_name: str, parameters: Mapping[str, inspect.Parameter]
) -> Window:
    """What one encoder sees: the least of its tokenizer's, the pipeline's and its own limit.

    `max_sequence_length` of a pipeline is for its T5-like encoders; CLIP keeps its own window.
    """
    tokenizer = getattr(pipeline, tokenizer_name)
    limits = [int(tokenizer.model_max_length)]
    if "max_sequence_length" in parameters and not isinstance(
        tokenizer, transformers.CLIPTokenizer
    ):
        limits.append(parameters["max_sequence_length"].default)
    encoder = getattr(pipeline, tokenizer_name.replace("tokenizer", "text_encoder"), None)
    limits.append(getattr(getattr(encoder, "config", None), "max_position_embeddings", _NO_LIMIT))

    def count(text: str) -> int:
        return len(tokenizer(text, truncation=False, verbose=False).input_ids)

    return Window(min(limits), count)


def _one_line(message: str) -> str:
    return " ".join(message.split())[:300]
