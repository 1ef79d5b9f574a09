"""Figures and verdicts of a study in words."""

from collections.abc import Sequence

from models.downstream.metrics import Interval
from models.studies.analysis import Analysis, Difference
from models.studies.estimates import Place
from models.studies.figure_means import FigurePlace
from models.studies.judging import JudgedDifference
from models.studies.per_finding import LEAST_PATIENTS
from models.studies.results import Cell
from models.studies.significance import LEVEL, Compared, Verdict

_NONE = "–"
_MINUS = "−"


def figure_words(value: float | None, interval: Interval | None = None) -> str:
    """Such as "0.712 (0.690 to 0.734)"."""
    if value is None:
        return _NONE
    if interval is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def difference_words(value: float, interval: Interval | None) -> str:
    """Such as "+0.012 (−0.004 to +0.028)"."""
    if interval is None:
        return signed(value)
    return f"{signed(value)} ({signed(interval.low)} to {signed(interval.high)})"


def signed(value: float) -> str:
    """With its sign; a true minus, and no sign for what rounds to zero."""
    words = f"{abs(value):.3f}"
    if float(words) == 0:
        return words
    return f"{'+' if value > 0 else _MINUS}{words}"


def p_words(p_value: float | None) -> str:
    """A p-value, to three decimals."""
    if p_value is None:
        return _NONE
    return "below 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def count_words(num: int, one: str, several: str | None = None) -> str:
    """Such as "1 seed" or "3 seeds"."""
    return f"{num:,} {one if num == 1 else several or one + 's'}"


def seed_words(seeds: Sequence[int]) -> str:
    """Such as "seeds 0, 1, 2"."""
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def cell_words(cell: Cell) -> str:
    """Such as "real, convirt, seed 0"."""
    return f"{cell.arm}, {cell.algorithm}, seed {cell.seed}"


def place_words(place: Place) -> str:
    """Such as "zero_shot/nih, convirt"; the projection is said beside it."""
    return f"{place.task}, {place.algorithm}"


def figure_place_words(place: FigurePlace) -> str:
    """Such as "segmentation/siim: 100% of labels, dice, convirt"."""
    return f"{place.task}: {place.metric}, {place.algorithm}"


def finding_words(finding: str) -> str:
    """A finding's name for people: "Pleural Thickening"."""
    return finding.replace("_", " ")


def arm_summary(analysis: Analysis, arm: str) -> str:
    """What all comparisons of an arm come to, in one sentence."""
    judged: list[Difference | JudgedDifference] = [
        one for one in analysis.differences if one.arm == arm and one.judged
    ]
    judged += [one for one in analysis.judged if one.arm == arm]
    if not judged:
        return "Nothing was measured."
    verdicts = [one.verdict for one in judged]
    counts = [
        f"{verdict} in {verdicts.count(verdict)}" for verdict in Verdict if verdict in verdicts
    ]
    (*first, last) = counts
    said = f"{', '.join(first)} and {last}" if first else last
    said = f"{said[0].upper()}{said[1:]} of {count_words(len(verdicts), 'comparison')}."
    alone = any(len(one.seeds) == 1 for one in judged if one.found)
    return f"{said} With one seed a side, of those trainings alone." if alone else said


def verdict_words(analysis: Analysis, one: Difference) -> str:
    """One comparison in a sentence or more: what was found, how sure it is, what it rests on."""
    if one.found is None:
        return f"Not compared: {one.reason}."
    said = _comparison_words(analysis, one.found, one.verdict, analysis.margin)
    if one.verdict in (Verdict.BETTER, Verdict.WORSE):
        said += _view_words(analysis, one)
    return said + _common_words(one) + _seed_caution(one.seeds)


def judged_words(analysis: Analysis, one: JudgedDifference) -> str:
    """The same of a figure that is no AUROC."""
    if one.found is None:
        return f"Not compared: {one.reason}."
    said = _comparison_words(analysis, one.found, one.verdict, one.margin)
    return said + _seed_caution(one.seeds)


def _comparison_words(
    analysis: Analysis, found: Compared, verdict: Verdict, margin: float | None
) -> str:
    size = difference_words(found.value, found.interval)
    if verdict is Verdict.EQUIVALENT:
        wide = difference_words(found.value, found.corrected_interval)
        return (
            f"Equivalent within ±{margin}: the whole interval lies inside, at the level "
            f"that {count_words(analysis.num_comparisons, 'comparison')} leave: {wide}."
        )
    if verdict is Verdict.TOO_FEW_DRAWS:
        smallest = p_words(min(1.0, found.num_comparisons * found.smallest_p))
        return (
            f"Too few draws to tell: {size}, p {p_words(found.p_value)}. The smallest p-value of "
            f"{found.num_draws:,} draws is {found.smallest_p:.2g}, and {smallest} once corrected "
            f"for {count_words(found.num_comparisons, 'planned comparison')}."
        )
    if verdict is not Verdict.NOT_SHOWN:
        return f"{verdict.title()}: {size}, corrected p {p_words(found.corrected_p)}."
    said = (
        f"No difference shown: {size}, corrected p {p_words(found.corrected_p)}. A difference "
        f"smaller than about {found.smallest_shown:.3f} could not have been shown."
    )
    if found.p_value < LEVEL:
        said += (
            f" Compared alone it would count as shown (p {p_words(found.p_value)}); among "
            f"{count_words(analysis.num_comparisons, 'comparison')} it does not."
        )
    return said


def _common_words(one: Difference) -> str:
    """The same without the findings that a single patient can move."""
    if one.common is None:
        return ""
    findings = count_words(one.common.num_findings, "finding")
    size = difference_words(one.common.value, one.common.interval)
    return f" Over the {findings} of {LEAST_PATIENTS} patients or more alone: {size}."


def _view_words(analysis: Analysis, one: Difference) -> str:
    """Whether it is seen within a projection too: labels can go with projection."""
    within = {
        other.place.view: other.found.interval
        for other in analysis.differences
        if (other.arm, place_words(other.place)) == (one.arm, place_words(one.place))
        and other.found
        and not other.judged
    }
    better = one.verdict is Verdict.BETTER
    seen = [of.low > 0 if better else of.high < 0 for of in within.values()]
    if not within or any(seen):
        return ""
    return (
        f" Not so within {' or '.join(within)} alone, where 95 % intervals reach no difference: "
        "fewer images are in each, or what differs is how well projections are told apart."
    )


def _seed_caution(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return (
            " One seed a side: this holds for these two trainings alone, "
            "and another seed may say otherwise."
        )
    if len(seeds) == 2:
        return " Two seeds tell little of their own spread, which widens the interval."
    return ""
