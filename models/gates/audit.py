"""What gates say of a real corpus, counted: per gate and reason, of all, per view, per finding.

Study 1's first step: the real images are checked before anything is learnt from them.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from models.vocabulary.findings import Finding
from storage.records import GateScore, RejectionReason, Verdict

NUM_WORST = 8  # images shown of a gate and reason
ALL, OTHER, UNKNOWN = "all", "other", "unknown"
# What a table names: words of a source beyond these may be a report's, and stay under the root.
VIEWS = ("PA", "AP")
FINDINGS = frozenset(finding.value for finding in Finding)


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one gate says of one image."""

    gate: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A count of the table.

    Attributes:
        gate: Which gate.
        reason: Why it rejects.
        group: "all", "view" or "finding".
        name: Of the view or finding; "all" of all.
        num_rejected: Images of the group that this gate rejects for this reason.
        num_images: Images of the group.
    """

    gate: str
    reason: RejectionReason
    group: str
    name: str
    num_rejected: int
    num_images: int

    @property
    def share(self) -> float:
        """Of the group's images, 0..1."""
        return self.num_rejected / self.num_images


@dataclass(frozen=True, order=True, slots=True)
class WorstImage:
    """A rejected image; the farther from its threshold, the worse.

    Attributes:
        margin: Distance of the score from its threshold.
        image_id: In its corpus.
        score: That the image fails.
        image: As it is stored, PNG or JPEG.
    """

    margin: float
    image_id: str
    score: GateScore = field(compare=False)
    image: bytes = field(compare=False)


class Audit:
    """Counts images as they pass; holds the worst of each gate and reason alone."""

    def __init__(self) -> None:
        self.num_rejected = 0
        self._images: Counter[tuple[str, str]] = Counter()
        self._rejected: Counter[tuple[str, RejectionReason, str, str]] = Counter()
        self._worst: dict[tuple[str, RejectionReason], list[WorstImage]] = defaultdict(list)

    @property
    def num_images(self) -> int:
        """Images seen."""
        return self._images[ALL, ALL]

    def add(
        self,
        image_id: str,
        image: bytes,
        view: str | None,
        labels: Sequence[str],
        verdicts: Sequence[GateVerdict],
    ) -> None:
        """Count one image.

        Args:
            image_id: In its corpus.
            image: As it is stored.
            view: Of the source; any but PA and AP counts as unknown.
            labels: Of the source; those of no known finding count as other.
            verdicts: Of every gate.
        """
        groups = list(_groups(view, labels))
        self._images.update(groups)
        self.num_rejected += any(not one.verdict.passed for one in verdicts)
        for gate, reason, verdict in _rejections(verdicts):
            self._rejected.update((gate, reason, *group) for group in groups)
            self._keep(gate, reason, image_id, image, verdict)

    def rows(self) -> list[AuditRow]:
        """The table: gates and reasons by count, of all first, then per view and per finding."""
        rows = [
            AuditRow(gate, reason, group, name, count, self._images[group, name])
            for (gate, reason, group, name), count in self._rejected.items()
        ]
        order = (ALL, "view", "finding")
        return sorted(
            rows,
            key=lambda row: (
                -self._rejected[row.gate, row.reason, ALL, ALL],
                row.gate,
                row.reason,
                order.index(row.group),
                -row.num_rejected,
                row.name,
            ),
        )

    def worst(self) -> dict[tuple[str, RejectionReason], list[WorstImage]]:
        """The worst images of every gate and reason, the worst first."""
        return {key: sorted(images, reverse=True) for key, images in self._worst.items()}

    def _keep(
        self, gate: str, reason: RejectionReason, image_id: str, image: bytes, verdict: Verdict
    ) -> None:
        score = next(score for score in verdict.scores if not score.passed)
        one = WorstImage(abs(score.value - score.threshold), image_id, score, image)
        kept = self._worst[gate, reason]
        heapq.heappush(kept, one)
        if len(kept) > NUM_WORST:
            heapq.heappop(kept)


def _rejections(
    verdicts: Sequence[GateVerdict],
) -> Iterator[tuple[str, RejectionReason, Verdict]]:
    for one in verdicts:
        if one.verdict.reason is not None:
            yield one.gate, one.verdict.reason, one.verdict


def _groups(view: str | None, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The groups an image counts in, each once."""
    yield ALL, ALL
    yield "view", view if view in VIEWS else UNKNOWN
    known = [label if label in FINDINGS else OTHER for label in labels]
    for name in dict.fromkeys(known or ["No Finding"]):
        yield "finding", name
