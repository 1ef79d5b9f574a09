"""What a dataset has and lacks: one answer for the command line, the UI and machines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flows.work import Work
from storage.errors import ObjectMissing
from storage.records import Stage
from storage.releases import Release, open_release
from storage.selection import Selection
from storage.settled import SettledRecords
from storage.throughput import Throughput, busy_seconds, throughput, throughput_by_worker
from tasks.acceptance import FindingAcceptance, finding_acceptance
from tasks.running import running_units
from tasks.waiting import IdlePool, idle_pools_of


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Units of one stage, each of their rounds being one.

    `failed` is a part of `missing`: attempted, and not settled yet.

    Attributes:
        done: Units with a record.
        failed: Units without one whose last attempt failed.
        missing: Units without one that the dataset still wants.
        running: Units being worked on now, as Prefect's server says; None without a server.
        eta_seconds: Until none is missing, at the pace so far; None while there is none.
        pace: What is done took so long.
        workers: The same of each place, a host and its device.
    """

    done: int
    failed: int
    missing: int
    running: int | None
    eta_seconds: float | None
    pace: Throughput
    workers: Mapping[str, Throughput]


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """State of a dataset, by plan, ledger and releases.

    Attributes:
        idle_pools: Work pools in which its shards wait and nothing is begun.
    """

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
    tokens_per_accepted: float | None
    idle_pools: Sequence[IdlePool]

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
                    "running": status.running,
                    "eta_seconds": _rounded(status.eta_seconds, 1),
                    **_figures(status.pace),
                    "workers": {name: _figures(one) for name, one in status.workers.items()},
                }
                for stage, status in self.stages.items()
            },
            "release": self.release.number if self.release else None,
            "complete": self.complete,
            "samples_per_second": round(self.samples_per_second, 3),
            "engine_seconds_per_accepted": _rounded(self.engine_seconds_per_accepted, 4),
            "tokens_per_accepted": _rounded(self.tokens_per_accepted, 1),
            "idle_pools": [asdict(pool) for pool in self.idle_pools],
        }


def _figures(pace: Throughput) -> dict[str, Any]:
    return {
        "units": pace.num_units,
        "samples": pace.num_samples,
        "samples_per_second": round(pace.samples_per_second, 3),
        "engine_seconds": round(pace.engine_seconds, 3),
        "tokens": pace.num_tokens,
    }


def _per_pair(spent: float, num_accepted: int) -> float | None:
    return spent / num_accepted if num_accepted else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def dataset_status(work: Work) -> DatasetStatus:
    """Read the ledger and the newest release of a dataset.

    `accepted` counts the pairs that are published once they are final: those of a complete
    dataset are its target.
    """
    records = {stage: work.dataset.ledger.settled(stage) for stage in work.stages}
    selection = work.selection()
    running = running_units(work.dataset.store.root, work.plan.name)
    paces = {stage: throughput(of_stage) for stage, of_stage in records.items()}
    num_accepted = selection.num_accepted
    busy = busy_seconds(records.values())
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
            stage: _stage_status(work, stage, of_stage, selection, running)
            for stage, of_stage in records.items()
        },
        release=_release(work),
        complete=selection.complete,
        exhausted=selection.exhausted,
        samples_per_second=paces[work.stages[-1]].num_samples / busy if busy else 0.0,
        engine_seconds_per_accepted=_per_pair(
            sum(pace.engine_seconds for pace in paces.values()), num_accepted
        ),
        tokens_per_accepted=_per_pair(
            sum(pace.num_tokens for pace in paces.values()), num_accepted
        ),
        idle_pools=idle_pools_of(work.dataset.store.root, work.plan.name),
    )


def _stage_status(
    work: Work,
    stage: Stage,
    records: SettledRecords,
    selection: Selection,
    running: Mapping[Stage, int] | None,
) -> StageStatus:
    missing = _owed(stage, selection) - records.keys()
    failures = work.dataset.ledger.num_failures(stage)
    pace = throughput(records)
    return StageStatus(
        done=len(records),
        failed=len(missing & failures.keys()),
        missing=len(missing),
        running=None if running is None else running.get(stage, 0),
        eta_seconds=pace.seconds_for(len(missing)),
        pace=pace,
        workers=throughput_by_worker(records),
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
