"""What a study's figures cannot say, beyond what its plan names."""

from models.studies.analysis import Analysis
from models.studies.per_finding import LEAST_PATIENTS
from models.studies.results import StudyResults
from models.studies.scored_tasks import ALL_VIEWS
from models.studies.wording import count_words, finding_words, place_words

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
    lines += [
        f"{place_words(one.place)}: fewer than {LEAST_PATIENTS} patients show, or lack, "
        f"{', '.join(map(finding_words, one.rare))}. They weigh as much as others in macro AUROC, "
        "where a single patient moves them; alone, they have no interval."
        for one in analysis.groups
        if one.rare and one.place.view == ALL_VIEWS
    ]
    if analysis.num_comparisons > 1:
        judged, alone = "macro AUROC", "single findings and projections"
        if analysis.judged:
            judged += " and of the figures that the plan judges"
            alone = "single findings, projections and other figures"
        lines.append(
            f"P-values are corrected for {count_words(analysis.num_comparisons, 'comparison')} of "
            f"{judged}. Intervals of {alone} are not: of twenty, one misses its truth by chance."
        )
    lines.append("No difference shown does not mean that there is none.")
    return lines
