"""What a dataset has and lacks: one answer for the command line, the UI and machines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.work import Work
from storage.errors import ObjectMissing
from storage.ledger import LedgerRecord
from storage.records import Stage
from storage.releases import Release, open_release
from storage.selection import Selection
from tasks.acceptance import FindingAcceptance, finding_acceptance


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Units of one stage, each of their rounds being one.

    `failed` is a part of `missing`: attempted, and not settled yet.

    Attributes:
        done: Units with a record.
        failed: Units without one whose last attempt failed.
        missing: Units without one that the dataset still wants.
        samples_per_second: Over the time in which some unit of the stage was being worked on.
        engine_seconds: Of the recorded attempts.
    """

    done: int
    failed: int
    missing: int
    samples_per_second: float
    engine_seconds: float


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """State of a dataset, by plan, ledger and releases."""

    dataset: str
    fingerprint: str
    target: int | None
    accepted: int
    rejected: Mapping[str, int]
    quarantined: int
    repainted: int
    findings: Sequence[FindingAcceptance]
    stages: Mapping[Stage, StageStatus]
    release: Release | None
    complete: bool
    exhausted: bool
    samples_per_second: float
    engine_seconds_per_accepted: float | None

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "target": "all" if self.target is None else self.target,
            "accepted": self.accepted,
            "rejected": dict(self.rejected),
            "quarantined": self.quarantined,
            "repainted": self.repainted,
            "per_finding": [finding.as_row() for finding in self.findings],
            "stages": {
                str(stage): {
                    "done": status.done,
                    "failed": status.failed,
                    "missing": status.missing,
                    "samples_per_second": round(status.samples_per_second, 3),
                    "engine_seconds": round(status.engine_seconds, 3),
                }
                for stage, status in self.stages.items()
            },
            "release": self.release.number if self.release else None,
            "complete": self.complete,
            "samples_per_second": round(self.samples_per_second, 3),
            "engine_seconds_per_accepted": (
                None
                if self.engine_seconds_per_accepted is None
                else round(self.engine_seconds_per_accepted, 4)
            ),
        }


def dataset_status(work: Work) -> DatasetStatus:
    """Read the ledger and the newest release of a dataset.

    `accepted` counts the pairs that are published once they are final: those of a complete
    dataset are its target.
    """
    records = {stage: work.dataset.ledger.settled(stage) for stage in work.stages}
    selection = work.selection()
    every = [record for of_stage in records.values() for record in of_stage.values()]
    engine_seconds = sum(record.engine_seconds for record in every)
    busy = busy_seconds(every)
    return DatasetStatus(
        dataset=work.plan.name,
        fingerprint=work.fingerprint,
        target=work.plan.target.num_accepted,
        accepted=selection.num_published if selection.complete else selection.num_accepted,
        rejected={str(reason): count for reason, count in sorted(selection.rejected.items())},
        quarantined=len(selection.quarantined),
        repainted=selection.num_repainted,
        findings=finding_acceptance(work.dataset, selection),
        stages={
            stage: _stage_status(work, stage, of_stage, selection)
            for stage, of_stage in records.items()
        },
        release=_release(work),
        complete=selection.complete,
        exhausted=selection.exhausted,
        samples_per_second=num_samples(records[work.stages[-1]].values()) / busy if busy else 0.0,
        engine_seconds_per_accepted=(
            engine_seconds / selection.num_accepted if selection.num_accepted else None
        ),
    )


def busy_seconds(records: Iterable[LedgerRecord]) -> float:
    """Time in which at least one of the attempts ran, in seconds; pauses between runs left out."""
    total, until = 0.0, 0.0
    for record in sorted(records, key=lambda one: one.started_at):
        total += max(0.0, record.settled_at - max(record.started_at, until))
        until = max(until, record.settled_at)
    return total


def num_samples(records: Iterable[LedgerRecord]) -> int:
    """Samples in the records."""
    return sum(len(record.outcomes) for record in records)


def _stage_status(
    work: Work, stage: Stage, records: Mapping[int, LedgerRecord], selection: Selection
) -> StageStatus:
    missing = _owed(stage, selection) - records.keys()
    failures = work.dataset.ledger.num_failures(stage)
    busy = busy_seconds(records.values())
    return StageStatus(
        done=len(records),
        failed=len(missing & failures.keys()),
        missing=len(missing),
        samples_per_second=num_samples(records.values()) / busy if busy else 0.0,
        engine_seconds=sum(record.engine_seconds for record in records.values()),
    )


def _owed(stage: Stage, selection: Selection) -> set[int]:
    """Numbers of the wanted units, each in the round it is in; reports are written in the first."""
    return {
        unit if stage is Stage.WRITE else selection.rounds.number(unit, round_number)
        for unit, round_number in selection.round_of_unit.items()
    }


def _release(work: Work) -> Release | None:
    try:
        return open_release(work.dataset.store, work.dataset.layout)
    except ObjectMissing:
        return None
