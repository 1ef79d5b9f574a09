"""DiffusersPainter: images of any diffusers text-to-image pipeline, one generator a sample."""

import logging
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.engines import EngineInfo, PaintedImage, PaintRequest
from models.out_of_memory import is_out_of_memory
from models.painters.diffusion.config import DiffusersConfig
from models.painters.diffusion.pipelines import TextToImage
from models.painters.diffusion.prompts import PromptFitter
from models.painters.finetuning.captions import patient_words
from storage.errors import EngineOutOfMemory, EngineUnavailable

logger = logging.getLogger(__name__)

# Upper bounds: a batch that does not fit is halved by the queue, and the size remembered.
GPU_BATCH_SIZE = 64  # beyond it a 512 px U-Net gains next to nothing
CPU_BATCH_SIZE = 16  # beyond it a batch only takes longer to answer


class DiffusersPainter:
    """A ReportPainter of a diffusers pipeline.

    Not deterministic in the factory's sense: the noise of a sample depends on its seed alone, but
    arithmetic rounds differently in batches of other sizes, so that bytes may differ in the last
    bits.
    """

    def __init__(self, config: DiffusersConfig) -> None:
        checkpoint = config.checkpoint()
        self._state_patient = config.state_patient
        self.info = EngineInfo(config.kind, checkpoint.revision(), deterministic=False)
        self._model = TextToImage(config, checkpoint)
        self._prompts = PromptFitter(self._model.windows())
        if not self._prompts.holds(config.negative_prompt):
            raise EngineUnavailable(
                "negative_prompt must fit the text encoder's window, got "
                f"{len(config.negative_prompt.split())} words; shorten it"
            )
        on_gpu = self._model.device.type == "cuda"
        self.max_batch_size = GPU_BATCH_SIZE if on_gpu else CPU_BATCH_SIZE

    def paint(self, requests: Sequence[PaintRequest]) -> list[PaintedImage]:
        """Answer every request, in order.

        Raises:
            EngineOutOfMemory: If the batch does not fit the device.
        """
        start = time.perf_counter()
        images_BHWC = self._images(requests)
        seconds = (time.perf_counter() - start) / len(requests)
        return [PaintedImage(grey_levels(image), (), seconds) for image in images_BHWC]

    def close(self) -> None:
        """Say how many prompts were cut."""
        if self._prompts.num_cut:
            logger.warning("%s", self._prompts.summary())

    def _images(self, requests: Sequence[PaintRequest]) -> NDArray[np.float32]:
        prompts = [self._prompts.fit(self._prompt(request)) for request in requests]
        try:
            return self._model.paint(prompts, [request.seed for request in requests])
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            message = " ".join(str(error).split())[:200]
        # Outside the handler: the error's traceback holds the tensors that did not fit.
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()
        raise EngineOutOfMemory(f"{len(requests)} images do not fit: {message}")

    def _prompt(self, request: PaintRequest) -> str:
        if not self._state_patient:
            return request.prompt
        patient = patient_words(request.view, request.sex, request.age_years)
        return f"{request.prompt} {patient}"  # the order of captions; a cut prompt loses it


def grey_levels(image_HWC: NDArray[np.float32]) -> NDArray[np.float32]:
    """One channel of an image in 0..1, as grey levels 0..255, not rounded, (H, W).

    The mean of its channels: a model trained on grey images paints three copies of one, each with
    its own small error. Values that are not finite stay so, for the gate to see.

    Raises:
        ValueError: If the image has neither one nor three channels.
    """
    if image_HWC.ndim != 3 or image_HWC.shape[2] not in (1, 3):
        raise ValueError(
            f"a painted image must be (height, width, 1 or 3), got shape {image_HWC.shape!r}; "
            "name a pipeline that paints pictures"
        )
    return np.asarray(image_HWC.mean(axis=2, dtype=np.float32) * 255.0, dtype=np.float32)
