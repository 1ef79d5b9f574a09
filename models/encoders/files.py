"""The files an encoder is loaded from, found and checked without loading a weight."""

from dataclasses import dataclass
from pathlib import Path

from models.hub_models import (
    file_sha256,
    find_model,
    require_weights,
)
from models.vocabulary.revisions import joined_hash
from storage.errors import EngineUnavailable

TRANSFORMERS_INDEX = "config.json"
PROCESSOR_INDEX = "preprocessor_config.json"
OPEN_CLIP_INDEX = "open_clip_config.json"
HUB_PREFIX = "hf-hub:"
_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt")
_OF_A_TOKENIZER = (".json", ".txt", ".model")


@dataclass(frozen=True, slots=True)
class OpenClipModel:
    """What open_clip is asked for.

    Attributes:
        name: `local-dir:` and a folder, or an architecture.
        weights: File of weights where `name` is an architecture, else None.
        revision: The hub commit, or SHA-256 of what is loaded.
    """

    name: str
    weights: str | None
    revision: str


def vision_files(folder: Path) -> list[Path]:
    """What is loaded of a transformers vision model.

    Raises:
        EngineUnavailable: If weights or the image processor are missing.
    """
    if not (folder / PROCESSOR_INDEX).is_file():
        raise EngineUnavailable(
            f"expected an image processor beside the model in {folder}, got no {PROCESSOR_INDEX}; "
            "copy it from the checkpoint's origin"
        )
    return [folder / TRANSFORMERS_INDEX, folder / PROCESSOR_INDEX, *require_weights(folder)]


def open_clip_model(model: str, checkpoint: str | None, hub_revision: str | None) -> OpenClipModel:
    """Find an open_clip model: folder, cached hub id, or architecture with a checkpoint.

    Raises:
        EngineUnavailable: One line: what is missing, and what to do.
    """
    if checkpoint is not None:
        return _architecture(model, Path(checkpoint).expanduser())
    found = find_model(
        model.removeprefix(HUB_PREFIX), hub_revision, OPEN_CLIP_INDEX, "an open_clip model"
    )
    files = sorted(path for path in found.folder.iterdir() if path.is_file())
    if not any(path.suffix in _WEIGHTS for path in files):
        raise EngineUnavailable(
            f"{found.folder} must hold weights ({', '.join(_WEIGHTS)}) beside {OPEN_CLIP_INDEX}, "
            "got none; copy it whole"
        )
    loaded = [path for path in files if path.suffix in (*_WEIGHTS, *_OF_A_TOKENIZER)]
    return OpenClipModel(f"local-dir:{found.folder}", None, found.revision(loaded))


def _architecture(model: str, weights: Path) -> OpenClipModel:
    if weights.suffix not in _WEIGHTS or not weights.is_file():
        raise EngineUnavailable(
            f"open_clip encoder: checkpoint must be a file of weights ({', '.join(_WEIGHTS)}), "
            f"got {str(weights)!r}, which is none; correct the path"
        )
    return OpenClipModel(model, str(weights), f"sha256:{joined_hash(model, file_sha256(weights))}")
