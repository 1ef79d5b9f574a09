"""From what the cells found to what the study says: every figure of its report, in order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from models.downstream.metrics import Interval
from models.studies.estimates import Group, Place, group
from models.studies.judging import JudgedDifference, judged_differences
from models.studies.per_finding import (
    FindingDifference,
    Trend,
    finding_differences,
    is_rare,
    trends,
)
from models.studies.resampling import resamples_for
from models.studies.results import Cell, StudyResults
from models.studies.scored_tasks import ALL_VIEWS, by_task, measure_task
from models.studies.significance import Compared, Verdict, compare, corrected, verdict


@dataclass(frozen=True, slots=True)
class CellScore:
    """Macro AUROC of one training, over the findings that all of its group have."""

    cell: Cell
    place: Place
    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class ArmScore:
    """Macro AUROC of an arm, over its seeds; `value` is None where nothing was measured."""

    arm: str
    place: Place
    seeds: tuple[int, ...]
    value: float | None
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class CommonDifference:
    """A difference over the findings that not too few patients show, or lack.

    Attributes:
        num_findings: Of them.
        interval: 95 %; of this reading alone, no comparison of its own.
    """

    num_findings: int
    value: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Difference:
    """Macro AUROC of an arm less the reference's.

    Attributes:
        seeds: Those that both sides have.
        found: None where the sides share no figure; `reason` then says why.
        judged: Whether its p-value is one of the study's comparisons. Projections are parts of
            what is judged already: they have intervals and no verdict.
        common: Of what is judged, the same without rare findings; None where none is rare, or all.
    """

    arm: str
    place: Place
    seeds: tuple[int, ...]
    found: Compared | None
    judged: bool
    verdict: Verdict
    reason: str | None = None
    common: CommonDifference | None = None


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """What the figures of a place are of."""

    place: Place
    num_images: int
    num_patients: int
    findings: tuple[str, ...]
    left_out: Mapping[str, str]
    rare: tuple[str, ...]  # of the findings, those that have no interval of their own


@dataclass(frozen=True, slots=True)
class Analysis:
    """All that the report states; see the types for what each part is.

    Attributes:
        margin: Of AUROC; a judged figure has its own.
        num_resamples: Of AUROC; of a judged figure its cells kept their own.
        num_comparisons: With a p-value, of AUROC and of judged figures.
    """

    reference: str
    margin: float | None
    num_resamples: int
    num_comparisons: int
    groups: tuple[GroupFacts, ...]
    cells: tuple[CellScore, ...]
    arms: tuple[ArmScore, ...]
    differences: tuple[Difference, ...]
    judged: tuple[JudgedDifference, ...]
    findings: tuple[FindingDifference, ...]
    trends: tuple[Trend, ...]


def analyse(results: StudyResults, margin: float | None = None) -> Analysis:
    """Means, differences and verdicts of a study; the same results give the same figures.

    Args:
        results: Of all cells; the first arm is the reference.
        margin: A difference in AUROC that does not matter, fixed before the study; None: nothing
            is said of equivalence.

    Raises:
        ValueError: If cells of one task were measured on different images, or a cell is none of
            the study's.
    """
    _check_cells(results)
    tasks = by_task(results.scored)
    num_figures = len(tasks) + len(results.judged)
    planned = (len(results.arms) - 1) * len(results.algorithms) * num_figures
    num_resamples = resamples_for(planned)
    groups = [
        group(view, algorithm, results.arms)
        for sets in tasks.values()
        for view in measure_task(sets, num_resamples)
        for algorithm in results.algorithms
    ]
    reference, others = results.arms[0], results.arms[1:]
    main = [one for one in groups if one.of.view == ALL_VIEWS]
    compared = [_difference(one, arm, reference, planned) for one in groups for arm in others]
    judged = list(judged_differences(results, planned))
    family = [one.found if one.judged else None for one in compared]
    found = list(corrected([*family, *(one.found for one in judged)]))
    return Analysis(
        reference=reference,
        margin=margin,
        num_resamples=num_resamples,
        num_comparisons=sum(one is not None for one in found),
        groups=tuple(_facts(one) for one in groups),
        cells=tuple(score for one in groups for score in _cell_scores(one)),
        arms=tuple(_arm_score(one, arm) for one in groups for arm in results.arms),
        differences=tuple(
            _judged(one, of, margin)
            for one, of in zip(compared, found[: len(compared)], strict=True)
        ),
        judged=tuple(
            one.judged_by(of) for one, of in zip(judged, found[len(compared) :], strict=True)
        ),
        findings=tuple(
            of for one in main for arm in others for of in finding_differences(one, arm, reference)
        ),
        trends=tuple(trend for one in main for trend in trends(one, results, num_resamples)),
    )


def _check_cells(results: StudyResults) -> None:
    """Nothing that was measured may be left out unsaid."""
    arms, algorithms, seeds = results.arms, results.algorithms, results.seeds
    known = {Cell(*of) for of in product(arms, algorithms, seeds)}
    cells = (
        *(one.cell for one in results.scored),
        *(one.cell for one in results.figures),
        *(one.cell for one in results.curves),
        *(one.cell for one in results.failed),
    )
    for cell in cells:
        if cell not in known:
            raise ValueError(
                f"every cell must be of the study's arms {list(arms)}, algorithms "
                f"{list(algorithms)} and seeds {list(seeds)}, got {cell.name}; leave it out or "
                "name its parts"
            )


def _facts(of: Group) -> GroupFacts:
    view = of.of
    rare = tuple(name for name in of.findings if is_rare(of, name))
    return GroupFacts(of.place, view.num_images, view.num_patients, of.findings, of.left_out, rare)


def _cell_scores(of: Group) -> Iterator[CellScore]:
    if of.findings:
        for arm, seeds in of.seeds.items():
            for seed in seeds:
                alone = replace(of, seeds={arm: (seed,)}).mean(arm, of.findings)
                cell = Cell(arm, of.algorithm, seed)
                yield CellScore(cell, of.place, alone.value, alone.share_interval)


def _arm_score(of: Group, arm: str) -> ArmScore:
    if arm not in of.seeds or not of.findings:
        return ArmScore(arm, of.place, (), None, None)
    mean = of.mean(arm, of.findings)
    return ArmScore(arm, of.place, of.seeds[arm], mean.value, mean.share_interval)


def _difference(of: Group, arm: str, reference: str, num_comparisons: int) -> Difference:
    seeds, place = of.shared_seeds(arm, reference), of.place
    judged = place.view == ALL_VIEWS
    if not seeds or not of.findings:
        reason = _lacking(of, arm, reference)
        return Difference(arm, place, seeds, None, judged, Verdict.NOT_COMPARED, reason)
    estimate = of.difference(arm, reference, of.findings)
    found = compare(estimate.value, estimate.draws_R, num_comparisons)
    if found is None:
        reason = "no draw of patients holds both classes of a finding"
        return Difference(arm, place, seeds, None, judged, Verdict.NOT_COMPARED, reason)
    common = _common(of, arm, reference) if judged else None
    return Difference(arm, place, seeds, found, judged, Verdict.NOT_SHOWN, common=common)


def _common(of: Group, arm: str, reference: str) -> CommonDifference | None:
    common = [name for name in of.findings if not is_rare(of, name)]
    if not common or len(common) == len(of.findings):
        return None
    estimate = of.difference(arm, reference, common)
    interval = estimate.interval
    return CommonDifference(len(common), estimate.value, interval) if interval else None


def _lacking(of: Group, arm: str, reference: str) -> str:
    """Why two arms cannot be compared."""
    for side in (arm, reference):
        if side not in of.seeds:
            return f"nothing of {side} was measured"
    return "no finding has an AUROC" if of.shared_seeds(arm, reference) else "they share no seed"


def _judged(one: Difference, found: Compared | None, margin: float | None) -> Difference:
    """The same with its corrected p-value and verdict, where it is among the comparisons."""
    return replace(one, found=found, verdict=verdict(found, margin)) if found else one
