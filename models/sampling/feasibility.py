"""Can a table feed a plan? Answered before any GPU runs, over all candidates, reserves included."""

import math
from dataclasses import dataclass

from models.sampling.entity_table import EntityTable
from models.sampling.rules import SamplingRules, SamplingStrategy

# An entity in every single report would tell nothing and could not be dealt without repeats.
MOST_REPORTS_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Supply:
    """Distinct entities of a table, and how often each may be used."""

    num_present: int
    num_denied: int
    num_anatomy: int
    cap: int


@dataclass(frozen=True, slots=True)
class Demand:
    """What a number of candidates needs under some rules."""

    num_candidates: int
    num_normal: int
    clinical_per_report: int
    anatomy_per_report: int
    min_present: int
    max_present: int

    def present_bounds(self, supply: Supply) -> tuple[int, int]:
        """Fewest and most present findings in one report that is not normal."""
        fewest = max(self.min_present, self.clinical_per_report - supply.num_denied)
        return fewest, min(self.max_present, supply.num_present)

    def present_total(self, supply: Supply) -> tuple[int, int]:
        """Fewest and most present findings in all reports together, as pools and bounds allow."""
        num_others = self.num_candidates - self.num_normal
        fewest, most = self.present_bounds(supply)
        num_clinical = self.num_candidates * self.clinical_per_report
        return (
            max(num_others * fewest, num_clinical - supply.num_denied * supply.cap),
            min(num_others * most, supply.num_present * supply.cap),
        )

    def fits(self, supply: Supply) -> bool:
        """Whether the pools hold enough uses."""
        fewest, most = self.present_total(supply)
        num_anatomy = self.num_candidates * self.anatomy_per_report
        return fewest <= most and num_anatomy <= supply.num_anatomy * supply.cap


def demand_of(rules: SamplingRules, num_candidates: int) -> Demand:
    """What `num_candidates` reports need."""
    return Demand(
        num_candidates=num_candidates,
        num_normal=round(rules.normal_share * num_candidates),
        clinical_per_report=rules.clinical_per_report,
        anatomy_per_report=rules.anatomy_per_report,
        min_present=rules.min_present_per_report,
        max_present=rules.most_present,
    )


def supply_of(table: EntityTable, rules: SamplingRules, num_candidates: int) -> Supply:
    """What a table can give."""
    balanced = rules.strategy is SamplingStrategy.BALANCED
    cap = rules.max_uses if balanced else num_candidates
    return _supply(table, min(cap, _most_uses(num_candidates)))


def check_feasible(table: EntityTable, rules: SamplingRules, num_candidates: int) -> None:
    """Refuse what cannot be drawn.

    Args:
        table: To draw from.
        rules: How.
        num_candidates: All candidates of the plan, reserves included.

    Raises:
        ValueError: If it cannot; says what would make it possible.
    """
    if num_candidates < 1:
        raise ValueError(f"sampling: expected at least 1 candidate, got {num_candidates!r}")
    demand, supply = demand_of(rules, num_candidates), supply_of(table, rules, num_candidates)
    if problem := _too_few_entities(demand, supply):
        raise ValueError(f"sampling: {problem}")
    if demand.fits(supply):
        return
    needed = smallest_max_uses(table, rules, num_candidates)
    have = (
        f"the table's {supply.num_present} present, {supply.num_denied} denied and "
        f"{supply.num_anatomy} anatomy entities"
    )
    wanted = (
        f"{num_candidates} candidates of {rules.clinical_per_report} clinical and "
        f"{rules.anatomy_per_report} anatomy entities"
    )
    if needed is None:
        raise ValueError(
            f"sampling: {wanted} (normal_share {rules.normal_share}, {demand.min_present} to "
            f"{demand.max_present} present) cannot be drawn from {have} with any max_uses; "
            "draw fewer entities per report, widen the bounds or use a larger table"
        )
    raise ValueError(
        f"sampling: {wanted} need max_uses of at least {needed} with {have}, "
        f"got {rules.max_uses}; raise it to {needed} or draw fewer candidates"
    )


def smallest_max_uses(table: EntityTable, rules: SamplingRules, num_candidates: int) -> int | None:
    """The smallest cap under which everything can be drawn; None when none is enough."""
    demand = demand_of(rules, num_candidates)
    low, high = 1, _most_uses(num_candidates)
    if not demand.fits(_supply(table, high)):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if demand.fits(_supply(table, middle)) else (middle + 1, high)
    return low


def _too_few_entities(demand: Demand, supply: Supply) -> str | None:
    """What single report cannot be filled with distinct entities; None when all can."""
    fewest, most = demand.present_bounds(supply)
    clinical = demand.clinical_per_report
    if demand.num_normal and clinical > supply.num_denied:
        return (
            f"a normal report takes {clinical} denied entities, the table has "
            f"{supply.num_denied}; lower clinical_per_report or set normal_share to 0"
        )
    if demand.num_normal < demand.num_candidates and fewest > most:
        return (
            f"a report takes {clinical} clinical entities, {demand.min_present} to "
            f"{demand.max_present} of them present; the table has {supply.num_present} present "
            f"and {supply.num_denied} denied; lower clinical_per_report or widen the bounds"
        )
    if demand.anatomy_per_report > supply.num_anatomy:
        return (
            f"a report takes {demand.anatomy_per_report} anatomy entities, the table has "
            f"{supply.num_anatomy}; lower anatomy_per_report"
        )
    return None


def _supply(table: EntityTable, cap: int) -> Supply:
    return Supply(len(table.present), len(table.denied), len(table.anatomy), cap)


def _most_uses(num_candidates: int) -> int:
    return math.ceil(MOST_REPORTS_SHARE * num_candidates)
