"""Real data brought in: one Lance dataset per corpus, with its licence, splits and entity table.

`storage/ingestion.py` writes them, `storage/entity_tables.py` what they speak of.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import lance
import numpy as np
from numpy.typing import NDArray

from storage.corpus_info import CorpusInfo, parse_info
from storage.errors import DamagedObject
from storage.layout import corpus_table
from storage.objects import ObjectStore
from storage.readers.rows import Box, CorpusImage, CorpusReport, Mask
from storage.records import EntityKind, Split
from storage.tables import lance_errors, open_lance, table_exists

READ_ROWS = 64  # images held at once while a corpus is read
READ_NOTES = 8192  # rows without images


class EntityCount(NamedTuple):
    """How often a corpus mentions one entity."""

    text: str
    kind: EntityKind
    num_mentions: int


@dataclass(frozen=True, slots=True)
class ImageNote:
    """What a corpus states of one image, without the image; fields as of `CorpusImage`.

    Attributes:
        row: Its place in the table, for `read_blobs`.
    """

    row: int
    image_id: str
    patient_id: str
    labels: tuple[str, ...]
    uncertain_labels: tuple[str, ...] = ()
    findings: str | None = None
    impression: str | None = None


class Corpus:
    """One ingested corpus, opened at a version."""

    def __init__(self, store: ObjectStore, name: str, version: int | None = None) -> None:
        self.name = name
        self._store = store
        dataset = open_table(store, corpus_table(name), version)
        if dataset is None:
            raise ValueError(
                f"expected a corpus {name!r} under {store.root}, found none; "
                "bring it in with `cxr-factory ingest`"
            )
        self._dataset: Any = dataset
        self.info = parse_info(name, self._dataset.schema.metadata)
        self.version: int = self._dataset.version

    @property
    def num_rows(self) -> int:
        """Reports or images in the corpus."""
        return int(self._dataset.count_rows())

    @property
    def has_images(self) -> bool:
        """Whether its rows are images, with or without a report."""
        return "image" in self._dataset.schema.names

    def has_reports(self, split: Split | None = None) -> bool:
        """Whether a patient of the split, or any, has a report."""
        if "report_id" not in self._dataset.schema.names:
            return False
        return bool(self._dataset.count_rows(filter=_with_report(split)))

    def reports(
        self, split: Split | None = None, among: Collection[str] | None = None
    ) -> Iterator[CorpusReport]:
        """The reports of a split, or all, each once, in the order of the source.

        Args:
            split: Of the patients; None for all.
            among: Report ids to stay within; None for all.

        Raises:
            ValueError: If this is a corpus of images alone.
        """
        self._require("reports", "report_id")
        columns = list(CorpusReport.__dataclass_fields__)
        wanted = _with_report(split) if among is None else _with_report(split) + _one_of(among)
        seen: set[str] = set()
        with lance_errors(self._dataset.uri):
            for batch in self._dataset.to_batches(columns=columns, filter=wanted):
                for row in batch.to_pylist():
                    if row["report_id"] in seen:  # images of one study repeat its report
                        continue
                    seen.add(row["report_id"])
                    mesh, problems = tuple(row.pop("mesh")), tuple(row.pop("problems"))
                    kept = Split(row.pop("split"))
                    yield CorpusReport(**row, mesh=mesh, problems=problems, split=kept)

    def images(
        self, split: Split | None = None, among: Collection[str] | None = None
    ) -> Iterator[CorpusImage]:
        """The images of a split, or all, in the order of the source; few are held at once.

        Args:
            split: Of the patients; None for all.
            among: Image ids to stay within; None for all.

        Raises:
            ValueError: If this is a corpus of reports.
        """
        wanted = self._rows_of_images(split)
        if among is not None:
            wanted = wanted[self._are_among(wanted, among)]
        fields = CorpusImage.__dataclass_fields__.keys() - {"image"}
        columns = [name for name in self._dataset.schema.names if name in fields]
        for start in range(0, len(wanted), READ_ROWS):
            indices = wanted[start : start + READ_ROWS].tolist()
            with lance_errors(self._dataset.uri):
                rows = self._dataset.take(indices, columns=columns).to_pylist()
                blobs = self._dataset.read_blobs("image", indices=indices, preserve_order=True)
            for row, (_, image) in zip(rows, blobs, strict=True):
                yield _image_of(row, image)

    def image_notes(self, split: Split | None) -> Iterator[ImageNote]:
        """What is stated of each image of a split, or of all; of other splits nothing is read.

        Raises:
            ValueError: If this is a corpus of reports.
        """
        wanted = self._rows_of_images(split)
        fields = ImageNote.__dataclass_fields__.keys() - {"row"}
        columns = [name for name in self._dataset.schema.names if name in fields]
        for start in range(0, len(wanted), READ_NOTES):
            rows = wanted[start : start + READ_NOTES].tolist()
            with lance_errors(self._dataset.uri):
                stated = self._dataset.take(rows, columns=columns).to_pylist()
            for row, fields_of_row in zip(rows, stated, strict=True):
                for name in ("labels", "uncertain_labels"):
                    fields_of_row[name] = tuple(fields_of_row.get(name, ()))
                yield ImageNote(row=row, **fields_of_row)

    def marked(self, by: Literal["boxes", "masks"], split: Split | None) -> dict[str, set[str]]:
        """Labels of the boxes, or of the masks, of every image of a split that has some, by id.

        A corpus brought in before its reader kept masks has none.

        Raises:
            ValueError: If this is a corpus of reports.
        """
        self._require("images", "image")
        if by not in self._dataset.schema.names:
            return {}
        wanted = None if split is None else f"split = '{split.value}'"
        with lance_errors(self._dataset.uri):
            return {
                row["image_id"]: {one["label"] for one in row[by]}
                for batch in self._dataset.to_batches(columns=["image_id", by], filter=wanted)
                for row in batch.to_pylist()
                if row[by]
            }

    def entity_counts(self, version: int | None = None) -> list[EntityCount]:
        """The corpus's entity table, most frequent first.

        Raises:
            ValueError: If it has none yet.
        """
        dataset = open_table(self._store, entity_table_key(self.name), version)
        if dataset is None:
            raise ValueError(
                f"corpus {self.name!r} has no entity table; "
                "ingest it with a tagger, or use the built-in table"
            )
        rows = dataset.to_table(columns=["text", "kind", "count"]).to_pylist()
        return [EntityCount(row["text"], EntityKind(row["kind"]), row["count"]) for row in rows]

    def _rows_of_images(self, split: Split | None) -> NDArray[np.int64]:
        self._require("images", "image")
        with lance_errors(self._dataset.uri):
            splits = self._dataset.to_table(columns=["split"])["split"].to_numpy()
        return np.arange(len(splits)) if split is None else np.flatnonzero(splits == split.value)

    def _are_among(self, rows: NDArray[np.int64], ids: Collection[str]) -> NDArray[np.bool_]:
        with lance_errors(self._dataset.uri):
            known = self._dataset.to_table(columns=["image_id"])["image_id"].to_pylist()
        chosen = set(ids)
        return np.array([known[row] in chosen for row in rows.tolist()], bool)

    def _require(self, what: str, column: str) -> None:
        if column not in self._dataset.schema.names:
            raise ValueError(
                f"corpus {self.name!r} ({self.info.collection}) has no {what}; "
                f"its columns are {', '.join(self._dataset.schema.names)}"
            )


def read_corpus(store: ObjectStore, name: str, version: int | None = None) -> Corpus:
    """Open a corpus; `version` as pinned in a plan, None for the newest.

    Raises:
        ValueError: If there is none of this name.
    """
    return Corpus(store, name, version)


def entity_table_key(name: str) -> str:
    """The Lance table of a corpus's entities."""
    return corpus_table(name).removesuffix(".lance") + ".entities.lance"


def open_table(
    store: ObjectStore, key: str, version: int | None = None
) -> lance.LanceDataset | None:
    """The Lance dataset of a key; None when nothing was committed there."""
    return open_lance(store, key, version) if table_exists(store, key) else None


def corpus_info(store: ObjectStore, name: str) -> CorpusInfo | None:
    """What a corpus says of itself; None when there is none."""
    dataset = open_table(store, corpus_table(name))
    return None if dataset is None else parse_info(name, dataset.schema.metadata)


def _with_report(split: Split | None) -> str:
    """Lance's filter for the rows of a split that have a report."""
    wanted = "report_id IS NOT NULL"
    return wanted if split is None else f"{wanted} AND split = '{split.value}'"


def _one_of(report_ids: Collection[str]) -> str:
    """Lance's filter, to follow another, for the rows of these reports."""
    quoted = ", ".join("'" + one.replace("'", "''") + "'" for one in report_ids)
    return f" AND report_id IN ({quoted or 'NULL'})"


def _image_of(row: dict[str, Any], image: bytes | None) -> CorpusImage:
    if not image:
        raise DamagedObject(f"image {row['image_id']!r} is stored without bytes")
    row["labels"] = tuple(row["labels"])
    row["uncertain_labels"] = tuple(row.get("uncertain_labels", ()))
    row["boxes"] = tuple(Box(**box) for box in row["boxes"])
    row["masks"] = tuple(Mask(one["label"], tuple(one["counts"])) for one in row.get("masks", ()))
    row["split"] = Split(row["split"])
    return CorpusImage(**row, image=image)
