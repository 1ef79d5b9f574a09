"""What a plan says of an encoder. Light: torch and its libraries are imported by `open()`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from models.encoders.files import TRANSFORMERS_INDEX, open_clip_model, vision_files
from models.encoders.two_towers import TwoTowerConfig
from models.engines import EngineConfig
from models.hub_models import file_sha256, find_model, read_json
from models.places import beside, local_path
from models.vocabulary.revisions import files_hash
from storage.errors import EngineUnavailable

if TYPE_CHECKING:
    from models.encoders.factory import FactoryEncoder
    from models.encoders.handcrafted import HandcraftedEncoder
    from models.encoders.open_clip_towers import OpenClipEncoder
    from models.encoders.transformers_vision import TransformersEncoder


class HandcraftedConfig(EngineConfig):
    """Statistics of grey levels, edges and spectrum; needs no weights."""

    kind: Literal["handcrafted"] = "handcrafted"

    def revision(self) -> str:
        """Hash of the rules."""
        return files_hash("models.encoders", "handcrafted.py")

    def open(self) -> "HandcraftedEncoder":
        """An encoder of plain arithmetic."""
        from models.encoders.handcrafted import HandcraftedEncoder

        return HandcraftedEncoder(self)


class TransformersConfig(EngineConfig):
    """Any vision model of transformers; its pooled or class token is the embedding."""

    kind: Literal["transformers"] = "transformers"
    model: str = Field(
        default="microsoft/rad-dino",
        min_length=1,
        max_length=4096,
        description="Folder that save_pretrained wrote (model and image processor), or a hub id "
        "owner/name that the local hub cache has. Default: RAD-DINO, as study 1. "
        "Weights are read from safetensors only.",
    )
    hub_revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Commit, tag or branch of a hub id; empty: its main branch.",
    )

    def folder(self) -> Path:
        """Where the model lies, checked to be whole.

        Raises:
            EngineUnavailable: If it is missing or damaged; says what to do.
        """
        found = find_model(self.model, self.hub_revision, TRANSFORMERS_INDEX, "a vision model")
        vision_files(found.folder)
        return found.folder

    def revision(self) -> str:
        """The hub commit, or SHA-256 of the files that are loaded.

        Raises:
            EngineUnavailable: See `folder`.
        """
        found = find_model(self.model, self.hub_revision, TRANSFORMERS_INDEX, "a vision model")
        return found.revision(vision_files(found.folder))

    def open(self) -> "TransformersEncoder":
        """Load the model on this machine's GPU, or on its CPU where there is none.

        Raises:
            EngineUnavailable: If it is missing, lacks weights, or is no vision model.
        """
        from models.encoders.transformers_vision import TransformersEncoder

        return TransformersEncoder(self)


class OpenClipConfig(TwoTowerConfig):
    """Image and text towers of an open_clip model."""

    kind: Literal["open_clip"] = "open_clip"
    model: str = Field(
        default="hf-hub:microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        min_length=1,
        max_length=4096,
        description="hf-hub:owner/name that the local hub cache has, a folder with "
        "open_clip_config.json and weights, or, with a checkpoint, the name of an architecture.",
    )
    checkpoint: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description="File of weights (safetensors, or pt, pth, bin of tensors alone) for an "
        "architecture that open_clip knows; empty for a folder or hub id.",
    )
    hub_revision: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Commit, tag or branch of a hub id; empty: its main branch.",
    )

    def revision(self) -> str:
        """The hub commit, or SHA-256 of the files that are loaded.

        Raises:
            EngineUnavailable: If they are missing; says what to do.
        """
        return open_clip_model(self.model, self.checkpoint, self.hub_revision).revision

    def open(self) -> "OpenClipEncoder":
        """Load both towers on this machine's GPU, or on its CPU where there is none.

        Raises:
            EngineUnavailable: If the model is missing or its weights do not fit it.
        """
        from models.encoders.open_clip_towers import OpenClipEncoder

        return OpenClipEncoder(self)


class FactoryConfig(TwoTowerConfig):
    """Image and text towers of a run that `cxr-factory pretrain` trained."""

    kind: Literal["factory"] = "factory"
    checkpoint: str = Field(
        min_length=1,
        max_length=4096,
        description="The run's model.safetensors, under models/<run> of the root.",
    )

    def revision(self) -> str:
        """SHA-256 of the checkpoint.

        Raises:
            EngineUnavailable: If there is none.
        """
        path = local_path(self.checkpoint)
        if not path.is_file():
            raise EngineUnavailable(
                f"factory encoder: checkpoint must be a pre-trained run's model.safetensors, got "
                f"{self.checkpoint!r}, which does not exist; run `cxr-factory pretrain` first"
            )
        return f"sha256:{file_sha256(path)}"

    def restricted(self) -> bool:
        """Whether the run was trained on a restricted release, as its `metrics.json` says."""
        said = local_path(beside(self.checkpoint, "metrics.json"))
        return said.is_file() and bool(read_json(said).get("restricted"))

    def open(self) -> "FactoryEncoder":
        """Load both towers on this machine's GPU, or on its CPU where there is none.

        Raises:
            EngineUnavailable: If there is no checkpoint.
            DamagedObject: If it is damaged.
        """
        from models.encoders.factory import FactoryEncoder

        return FactoryEncoder(self)
