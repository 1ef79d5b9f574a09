"""What became of every finding, stage by stage: a gate that rebuilds the long tail is seen here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from storage.dataset import Dataset
from storage.errors import ObjectMissing
from storage.records import EntityStatus, Outcome, Stage
from storage.samples import requested_entities
from storage.selection import Selection
from storage.settled import OUTCOMES, OutcomeColumns

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
        shown = _indices_by_finding(requested_entities(dataset))
    except ObjectMissing:  # locked, and not planned yet
        return []
    settled = {stage: dataset.ledger.settled(stage).outcomes for stage in GATED_STAGES}
    num_samples = 1 + max((int(indices.max()) for indices in shown.values()), default=-1)
    is_written = _marked(settled[Stage.WRITE].index_N, num_samples)
    is_kept = {
        stage: _marked(_kept(outcomes), num_samples)
        for stage, outcomes in settled.items()
        if len(outcomes.index_N)
    }
    published = np.fromiter(chain.from_iterable(selection.published.values()), np.int64)
    is_published = _marked(published, num_samples)
    return [
        FindingAcceptance(
            finding=finding,
            requested=len(requested),
            accepted={stage: int(kept[requested].sum()) for stage, kept in is_kept.items()},
            published=int(is_published[requested].sum()),
        )
        for finding, indices in shown.items()
        if len(requested := indices[is_written[indices]])
    ]


def _marked(indices: NDArray[np.int64], num_samples: int) -> NDArray[np.bool_]:
    """Which samples are among the indices; those beyond show no finding."""
    marked = np.zeros(num_samples, bool)
    marked[indices[indices < num_samples]] = True
    return marked


def _kept(outcomes: OutcomeColumns) -> NDArray[np.int64]:
    """Indices whose last outcome is a yes; later rounds have higher numbers, and come later."""
    last = np.full(int(outcomes.index_N.max()) + 1, -1, np.int8)
    last[outcomes.index_N] = outcomes.outcome_N
    return np.flatnonzero(last == OUTCOMES.index(Outcome.ACCEPTED))


def _indices_by_finding(parts: Iterable[pa.Table]) -> dict[Finding, NDArray[np.int64]]:
    """Samples that are to show each finding as present."""
    shown: dict[Finding, list[NDArray[np.int64]]] = {finding: [] for finding in Finding}
    for entities in parts:
        present = entities.filter(pc.field("status") == EntityStatus.PRESENT.value)
        texts = present["text"].combine_chunks().dictionary_encode()
        text_of, indices = texts.indices.to_numpy(), present["index"].to_numpy()
        for code, text in enumerate(texts.dictionary.to_pylist()):
            if (finding := _finding(text)) is not None:
                shown[finding].append(indices[text_of == code])
    return {finding: np.unique(np.concatenate(of)) for finding, of in shown.items() if of}


@cache
def _finding(text: str) -> Finding | None:
    concept = load_vocabulary().lookup(text)
    return None if concept is None else concept.finding
