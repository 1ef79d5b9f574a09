"""The flat Lance schemas of a dataset's published tables, from the types of the records.

Every table carries, in its metadata, that it is synthetic and not for clinical use, which plan
made it, and whether it derives from a restricted corpus.
"""

from dataclasses import dataclass
from typing import Any, Literal

import lance
import pyarrow as pa

from storage.layout import Table
from storage.records import (
    NOT_FOR_CLINICAL_USE,
    Entity,
    FindingMask,
    GateScore,
    JudgeAnswer,
    Outcome,
    Provenance,
    RejectionReason,
    Sex,
    Split,
    Stage,
    View,
)
from storage.schemas import arrow_field

DATA_STORAGE_VERSION: Literal["2.2"] = "2.2"


@dataclass(frozen=True, slots=True)
class Lineage:
    """What every table and release says of its origin.

    Attributes:
        restricted: Derived from credentialed data; exports and the browser must say so.
    """

    dataset: str
    fingerprint: str
    restricted: bool

    @property
    def metadata(self) -> dict[str, str]:
        """As schema metadata."""
        return {
            "notice": NOT_FOR_CLINICAL_USE,
            "dataset": self.dataset,
            "plan_fingerprint": self.fingerprint,
            "restricted": "true" if self.restricted else "false",
        }


_SAMPLE: dict[str, Any] = {
    "sample_id": str,
    "index": int,
    "unit": int,
    "split": Split,
    "entities_requested": tuple[Entity, ...],
    "view": View,
    "sex": Sex | None,
    "age_years": int | None,
    "source_corpus": str | None,
    "source_report_id": str | None,
    "source_patient_id": str | None,
}
_REPORT: dict[str, Any] = {
    "findings": str,
    "impression": str,
    "entities_found": tuple[Entity, ...],
    "tries": int,  # of all stages so far together
    "scores": tuple[GateScore, ...],
    "written": Provenance,
}
_IMAGE: dict[str, Any] = {
    "thumbnail": bytes,
    "sha256": str,
    "width_px": int,
    "height_px": int,
    "signature": str,
    "painted": Provenance,
    "masks": tuple[FindingMask, ...],
}
_JUDGED: dict[str, Any] = {
    "judged": Provenance | None,  # null in a dataset without a judge
    "answers": tuple[JudgeAnswer, ...],
}
_REJECT: dict[str, Any] = {"stage": Stage, "outcome": Outcome, "reason": RejectionReason}


def sample_schema() -> pa.Schema:
    """The columns of samples, the first of every published table; without a lineage."""
    return pa.schema(_typed(_SAMPLE))


def table_schema(table: Table, lineage: Lineage) -> pa.Schema:
    """The schema of a published table. In pairs, `image` is a blob: read it with `read_blobs`."""
    return pa.schema(_fields(table), metadata=lineage.metadata)


def _fields(table: Table) -> list[pa.Field]:
    match table:
        case Table.SAMPLES:
            return _typed(_SAMPLE)
        case Table.REPORTS:
            return _typed(_SAMPLE | _REPORT)
        case Table.PAIRS:
            image = lance.blob_field("image", nullable=False)
            return [*_typed(_SAMPLE | _REPORT), image, *_typed(_IMAGE | _JUDGED)]
        case Table.REJECTS:
            image = arrow_field("image", bytes | None)  # a null blob breaks compaction
            optional = [field.with_nullable(True) for field in _typed(_REPORT | _IMAGE | _JUDGED)]
            return [*_typed(_SAMPLE | _REJECT), *optional, image]
        case Table.REVIEWS:
            raise ValueError("reviews are written by people through the browser, not published")


def _typed(hints: dict[str, Any]) -> list[pa.Field]:
    return [arrow_field(name, hint) for name, hint in hints.items()]
