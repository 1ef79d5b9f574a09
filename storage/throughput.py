"""How fast units were settled and what engines spent on them, in all and per worker."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from storage.settled import SettledRecords


@dataclass(frozen=True, slots=True)
class Throughput:
    """What some ledger records of one stage amount to.

    Attributes:
        busy_seconds: Time in which at least one of the attempts ran; pauses between runs left out.
        engine_seconds: Engine time of the attempts; more than busy time where several run at once.
        num_tokens: What language models read and wrote for them.
        last_settled_at: Seconds since the epoch; 0 without records.
    """

    num_units: int
    num_samples: int
    busy_seconds: float
    engine_seconds: float
    num_tokens: int
    last_settled_at: float

    @property
    def samples_per_second(self) -> float:
        """While busy; 0 before anything is settled."""
        return self.num_samples / self.busy_seconds if self.busy_seconds else 0.0

    def seconds_for(self, num_units: int) -> float | None:
        """What so many further units will take at this pace; None while there is no pace."""
        if num_units and not self.busy_seconds:
            return None
        return num_units * self.busy_seconds / self.num_units if num_units else 0.0


def throughput(records: SettledRecords) -> Throughput:
    """All of a stage's records together."""
    table = records.table
    return Throughput(
        num_units=len(records),
        num_samples=pc.sum(pc.list_value_length(table["outcomes"])).as_py() or 0,
        busy_seconds=busy_seconds([records]),
        engine_seconds=pc.sum(table["engine_seconds"]).as_py() or 0.0,
        num_tokens=pc.sum(table["num_tokens"]).as_py() or 0,
        last_settled_at=float(table["settled_at"].to_numpy().max(initial=0.0)),
    )


def throughput_by_worker(records: SettledRecords) -> dict[str, Throughput]:
    """A stage's records by the place that settled them, in order of name.

    A place is a host and its device; the processes that came and went there are one.
    """
    places = np.array([name.rpartition(":")[0] for name in records.table["worker"].to_pylist()])
    by_place: dict[str, Throughput] = {}
    for place in sorted(set(places.tolist())):
        units = records.units[places == place].tolist()
        by_place[place] = throughput(records.among(units))
    return by_place


def busy_seconds(stages: Iterable[SettledRecords]) -> float:
    """Time in which any attempt of any of these records ran."""
    tables = [records.table for records in stages]
    started_N = np.concatenate([table["started_at"].to_numpy() for table in tables])
    settled_N = np.concatenate([table["settled_at"].to_numpy() for table in tables])
    order = np.argsort(started_N, kind="stable")
    started_N, settled_N = started_N[order], settled_N[order]
    until_N = np.maximum.accumulate(np.concatenate([[0.0], settled_N]))[:-1]
    return float(np.maximum(settled_N - np.maximum(started_N, until_N), 0.0).sum())
