"""What a training may read: the seam that `release_pairs.py` and `corpus_pairs.py` fill.

Only pairs of the training split are trained on, and only those of the validation split decide when
to stop; of test patients nothing is read.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from models.sampling.patients import position
from models.vocabulary.findings import Finding
from storage.objects import ObjectStore
from storage.records import Entity, EntityStatus

if TYPE_CHECKING:
    from models.vlp.data import PairTexts  # imports torch
    from models.vlp.training_pairs import MixedSource

_TERMS = {finding.term: finding for finding in Finding}


@dataclass(frozen=True, slots=True)
class ReadSource:
    """A source whose reports are read.

    Attributes:
        source: For the trainer.
        restricted: Whether it derives from credentialed data.
        described: For the checkpoint: where from, which version, how many pairs; no report, no id
            of a sample or patient.
    """

    source: "MixedSource"
    restricted: bool
    described: Mapping[str, Any]


class TrainingSource(Protocol):
    """Names a source; equal ones are one source in several phases."""

    def release_number(self, store: ObjectStore, /) -> int | None:
        """Of the release it means now; None for a corpus, which is ingested once.

        Raises:
            ObjectMissing: If there is no such release.
        """
        ...

    def read(self, store: ObjectStore, /) -> ReadSource:
        """Its reports, and where its images lie.

        Raises:
            ObjectMissing: If there is no such release.
            ValueError: If there is no such corpus, or nothing of it is left to train on.
        """
        ...

    def findings(self, store: ObjectStore, read: ReadSource, /) -> Counter[Finding]:
        """How many of its training pairs speak of each finding as present."""
        ...


def drawn(ids: Sequence[str], groups: Sequence[str], max_pairs: int, seed: int) -> set[str]:
    """At most so many ids, whole groups in an order of the seed; one that is too large is passed.

    Args:
        ids: To draw from.
        groups: Of each id, such as its patient.
        max_pairs: At most so many.
        seed: Another gives another draw. A hash, so that no library version can move it.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for one, group in zip(ids, groups, strict=True):
        members[group].append(one)
    taken: set[str] = set()
    for group in sorted(members, key=lambda name: (position(name, f"training {seed}"), name)):
        if len(taken) + len(members[group]) <= max_pairs:
            taken.update(members[group])
    return taken


def count_findings(found: Iterable[Iterable[Entity]]) -> Counter[Finding]:
    """In how many of these reports each finding is present."""
    counts: Counter[Finding] = Counter()
    for entities in found:
        present = {one.text for one in entities if one.status is EntityStatus.PRESENT}
        counts.update(_TERMS[text] for text in present & _TERMS.keys())
    return counts


def no_texts() -> "PairTexts":
    """Of a split without pairs."""
    from models.vlp.data import PairTexts

    return PairTexts(np.zeros(0, np.int64), (), (), ())
