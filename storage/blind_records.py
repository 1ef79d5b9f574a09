"""What a blind study is: as many real images as made ones, mixed; readers guess which are which."""

import hashlib
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from storage.errors import ObjectMissing


class BlindStudyPlan(BaseModel):
    """What a blind study shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corpus: str = Field(min_length=1, max_length=100, description="An ingested corpus of images.")
    split: Literal["train", "validation"] = Field(
        "validation", description="Patients whose images are shown, one of each."
    )
    release: int | None = Field(None, ge=1, description="Of the made images; None: the newest.")
    num_each: int = Field(
        50, ge=2, le=1000, description="Real images, and as many made ones; all are read."
    )
    image_size_px: int = Field(
        256, ge=32, le=2048, description="Side that all are shown at; none is smaller by itself."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of the draw.")


@dataclass(frozen=True, slots=True)
class BlindItem:
    """One image of a study.

    Attributes:
        item_id: Random; what pages, answers and URLs name it by.
        synthetic: The truth.
        source_id: Id of the sample, or of the corpus's image.
        row: Its place in that table, at the version the study names.
    """

    item_id: str
    synthetic: bool
    source_id: str
    row: int


@dataclass(frozen=True, slots=True)
class BlindStudy:
    """A study as it was drawn.

    Attributes:
        release: Number of the release of the made images.
        corpus_version: Of the corpus's table.
        restricted: Shows credentialed data, or what derives from it: the rules of either hold.
    """

    name: str
    dataset: str
    plan: BlindStudyPlan
    release: int
    corpus_version: int
    restricted: bool
    items: tuple[BlindItem, ...]

    def order_of(self, reviewer: str) -> list[str]:
        """Item ids in the order that this reader is shown them, always the same."""

        def place(item_id: str) -> bytes:
            return hashlib.sha256(f"{reviewer}:{item_id}".encode()).digest()

        return sorted((item.item_id for item in self.items), key=place)

    def item(self, item_id: str) -> BlindItem:
        """The item of this id.

        Raises:
            ObjectMissing: If the study has none.
        """
        for item in self.items:
            if item.item_id == item_id:
                return item
        raise ObjectMissing(f"study {self.name!r} has no item {item_id[:128]!r}")
