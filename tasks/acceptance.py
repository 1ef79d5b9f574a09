"""What became of every finding, stage by stage: a gate that rebuilds the long tail is seen here."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from storage.dataset import Dataset
from storage.errors import ObjectMissing
from storage.ledger import LedgerRecord
from storage.records import EntityStatus, Outcome, Stage
from storage.samples import requested_entities
from storage.selection import Selection

GATED_STAGES = (Stage.WRITE, Stage.PAINT, Stage.JUDGE)


@dataclass(frozen=True, slots=True)
class FindingAcceptance:
    """How many samples that are to show one finding as present came how far.

    Attributes:
        requested: Samples that the write stage has settled.
        accepted: Of those, how many each stage kept; of several rounds, the last.
        published: How many are in the rows that are final.
    """

    finding: Finding
    requested: int
    accepted: Mapping[Stage, int]
    published: int

    def as_row(self) -> dict[str, str | int]:
        """For tables and JSON."""
        kept = {str(stage): count for stage, count in self.accepted.items()}
        return {
            "finding": str(self.finding),
            "requested": self.requested,
            **kept,
            "published": self.published,
        }


def finding_acceptance(dataset: Dataset, selection: Selection) -> list[FindingAcceptance]:
    """Each of the 14 findings that settled samples were to show, in the findings' order."""
    try:
        entities = requested_entities(dataset)
    except ObjectMissing:  # locked, and not planned yet
        return []
    outcomes = {stage: _last_outcomes(dataset.ledger.settled(stage)) for stage in GATED_STAGES}
    shown = _indices_by_finding(entities)
    published = {index for indices in selection.published.values() for index in indices}
    return [
        FindingAcceptance(
            finding=finding,
            requested=len(settled),
            accepted={
                stage: sum(of_stage.get(index) is Outcome.ACCEPTED for index in settled)
                for stage, of_stage in outcomes.items()
                if of_stage
            },
            published=len(settled & published),
        )
        for finding, indices in shown.items()
        if (settled := indices & outcomes[Stage.WRITE].keys())
    ]


def _last_outcomes(records: Mapping[int, LedgerRecord]) -> dict[int, Outcome]:
    """Index to outcome; later rounds have higher numbers, and overwrite earlier ones."""
    return {
        one.index: one.outcome for _, record in sorted(records.items()) for one in record.outcomes
    }


def _indices_by_finding(entities: pa.Table) -> dict[Finding, set[int]]:
    """Samples that are to show each finding as present."""
    present = entities.filter(pc.field("status") == EntityStatus.PRESENT.value)
    texts, indices = present["text"].to_pylist(), present["index"].to_pylist()
    finding_of = {text: _finding(text) for text in set(texts)}
    shown: dict[Finding, set[int]] = {finding: set() for finding in Finding}
    for text, index in zip(texts, indices, strict=True):
        if (finding := finding_of[text]) is not None:
            shown[finding].add(index)
    return shown


def _finding(text: str) -> Finding | None:
    concept = load_vocabulary().lookup(text)
    return None if concept is None else concept.finding
