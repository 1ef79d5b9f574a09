"""How a unit is settled: tries within an attempt, and the sample at fault found by bisection.

Plain functions over an engine queue's `submit`; nothing here knows where the queue's engine runs.
"""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, Protocol, TypeVar

from storage.errors import EngineFailed
from storage.records import Outcome, Provenance, Sample, Verdict

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")

Seeds = Callable[[str, int], int]  # (sample_id, try number) -> seed


class _Judged(Protocol):
    @property
    def verdict(self) -> Verdict: ...

    @property
    def engine_seconds(self) -> float: ...

    @property
    def num_tokens(self) -> int: ...


OutcomeT = TypeVar("OutcomeT", bound=_Judged)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One execution of a unit: goes into provenance, never into identity."""

    id: str
    engine: str
    engine_revision: str
    settings: str
    flow_run_id: str
    task_run_id: str
    code_version: str


@dataclass(frozen=True, slots=True)
class Tried(Generic[OutcomeT]):
    """The last outcome of an item: the first that was final, or that of the last try."""

    outcome: OutcomeT
    num_tries: int
    engine_seconds: float
    num_tokens: int


def run_tries(
    items: Sequence[ItemT],
    submit: "Callable[[ItemT, int], Future[OutcomeT]]",
    max_tries: int,
    timeout_seconds: float = math.inf,
    is_final: Callable[[OutcomeT], bool] = lambda outcome: outcome.verdict.passed,
) -> list[Tried[OutcomeT]]:
    """Try every item until its outcome is final or its tries are used up.

    All first tries are in flight at once; a refused item is tried again at once, so nobody waits
    for the slowest of a round.

    Args:
        items: What to try, in the order of the result.
        submit: (item, try number from 1) -> future outcome.
        max_tries: At least 1.
        timeout_seconds: Longest all of it may take.
        is_final: Whether an outcome stands without another try; by default, when its gate says yes.

    Raises:
        EngineFailed: As soon as one try fails, or in time-out; the others are cancelled or their
            results dropped.
    """
    deadline = time.monotonic() + timeout_seconds
    tried: list[Tried[OutcomeT] | None] = [None] * len(items)
    seconds, tokens = [0.0] * len(items), [0] * len(items)
    in_flight = {submit(item, 1): (position, 1) for position, item in enumerate(items)}
    try:
        while in_flight:
            left = deadline - time.monotonic()
            limit = max(left, 0.0) if math.isfinite(left) else None
            done, _ = wait(in_flight, timeout=limit, return_when=FIRST_COMPLETED)
            if not done:
                raise EngineFailed(
                    f"{len(in_flight)} of {len(items)} samples not done in {timeout_seconds:g} s"
                )
            for future in done:
                position, number = in_flight.pop(future)
                outcome = future.result()
                seconds[position] += outcome.engine_seconds
                tokens[position] += outcome.num_tokens
                if is_final(outcome) or number >= max_tries:
                    tried[position] = Tried(outcome, number, seconds[position], tokens[position])
                else:
                    again = submit(items[position], number + 1)
                    in_flight[again] = (position, number + 1)
    finally:
        for future in in_flight:
            future.cancel()
    return [result for result in tried if result is not None]


def settle_by_bisection(
    items: Sequence[ItemT],
    settle: Callable[[Sequence[ItemT]], list[RowT]],
    quarantine: Callable[[ItemT, EngineFailed], RowT],
) -> list[RowT]:
    """Settle what settles; find by halving the items that fail, and quarantine those.

    At most 2·log2(n) calls of `settle` beyond the first for a single item at fault.

    Raises:
        EngineFailed: If every item of several fails: then the engine is at fault, not an item.
    """
    faults: list[EngineFailed] = []

    def halve(part: Sequence[ItemT]) -> list[RowT]:
        try:
            return settle(part)
        except EngineFailed as error:
            if len(part) == 1:
                faults.append(error)
                return [quarantine(part[0], error)]
            middle = len(part) // 2
            return halve(part[:middle]) + halve(part[middle:])

    rows = halve(items)
    if len(items) > 1 and len(faults) == len(items):
        raise EngineFailed(f"the engine fails on every sample: {faults[0]}") from faults[0]
    return rows


def outcome_of(verdict: Verdict) -> Outcome:
    """Accepted when the gate kept it, else rejected."""
    return Outcome.ACCEPTED if verdict.passed else Outcome.REJECTED


def provenance(
    attempt: Attempt,
    sample: Sample,
    seeds: Seeds,
    result: Tried[OutcomeT],
    prompt: str,
    prompt_sha256: str = "",
) -> Provenance:
    """How the last try of a sample was made; without a hash of its own, that of the prompt."""
    return Provenance(
        engine=attempt.engine,
        engine_revision=attempt.engine_revision,
        attempt=attempt.id,
        seed=seeds(sample.sample_id, result.num_tries),
        tries=result.num_tries,
        prompt=prompt,
        prompt_sha256=prompt_sha256 or sha256(prompt.encode()).hexdigest(),
        flow_run_id=attempt.flow_run_id,
        task_run_id=attempt.task_run_id,
        code_version=attempt.code_version,
        engine_seconds=result.engine_seconds,
        settings=attempt.settings,
        num_tokens=result.num_tokens,
    )


def quarantine_provenance(
    sample: Sample, error: EngineFailed, seeds: Seeds, attempt: Attempt, try_number: int = 1
) -> Provenance:
    """As of a first try in this stage and round; the engine's words stand for the prompt."""
    return Provenance(
        engine=attempt.engine,
        engine_revision=attempt.engine_revision,
        attempt=attempt.id,
        seed=seeds(sample.sample_id, try_number),
        tries=try_number,
        prompt=str(error),
        prompt_sha256="",
        flow_run_id=attempt.flow_run_id,
        task_run_id=attempt.task_run_id,
        code_version=attempt.code_version,
        engine_seconds=0.0,
        settings=attempt.settings,
    )
