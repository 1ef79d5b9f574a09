"""What a study's figures cannot say, beyond what its plan names."""

from models.studies.analysis import Analysis
from models.studies.results import StudyResults
from models.studies.wording import count_words

_FEW_SEEDS = 3


def limits(results: StudyResults, analysis: Analysis) -> list[str]:
    """A line each: those of the plan, then those of the method."""
    lines = [*results.cannot_show]
    if len(results.seeds) == 1:
        lines.append(
            "One seed: every figure holds for these trainings alone. How much another seed would "
            "change it is not known, and no interval here includes it."
        )
    elif len(results.seeds) <= _FEW_SEEDS:
        lines.append(
            f"{len(results.seeds)} seeds tell little of how much trainings vary; intervals are "
            "widened for it, so that only large differences can be shown. More seeds narrow them."
        )
    lines.append(
        "Patients were drawn again from those of the test images: intervals speak of patients like "
        "them, not of another hospital, machine or way of labelling."
    )
    if analysis.num_comparisons > 1:
        lines.append(
            f"P-values are corrected for {count_words(analysis.num_comparisons, 'comparison')} of "
            "macro AUROC. Intervals of single findings and projections are not: of twenty, one "
            "misses its truth by chance."
        )
    lines.append("No difference shown does not mean that there is none.")
    return lines
