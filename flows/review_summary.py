"""What people decided on a dataset, how well they agree, and what its blind studies found."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from storage.agreement import Agreement, agreements
from storage.blind_results import BlindResult, Share, StudyResults, study_results
from storage.blind_study import read_study, study_names
from storage.layout import DatasetLayout
from storage.objects import open_store
from storage.releases import open_release
from storage.review_rules import ReviewRules
from storage.reviews import latest_reviews, standing_reviews

_RULES = ReviewRules()  # one rejection rejects


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """Of one dataset, up to now.

    Attributes:
        num_decisions: All that were ever made, those withdrawn or made anew included.
        statuses: Samples by what their reviewers say together, where one rejection rejects.
        agreements: Of every two reviewers.
        studies: Blind studies by name.
    """

    dataset: str
    num_decisions: int
    statuses: Mapping[str, int]
    agreements: tuple[Agreement, ...]
    studies: Mapping[str, StudyResults]


def review_summary(root: str, dataset: str) -> ReviewSummary:
    """Read a dataset's decisions and studies.

    Raises:
        ObjectMissing: If the dataset has no release.
    """
    store, layout = open_store(root), DatasetLayout(dataset)
    open_release(store, layout)
    reviews = latest_reviews(store, layout)
    standing = standing_reviews(reviews)
    statuses = Counter(str(_RULES.status(of_sample)) for of_sample in standing.values())
    studies = {name: read_study(store, layout, name) for name in study_names(store, layout)}
    return ReviewSummary(
        dataset=dataset,
        num_decisions=len(reviews),
        statuses=dict(statuses.most_common()),
        agreements=tuple(agreements(standing)),
        studies={name: study_results(study, reviews) for name, study in studies.items()},
    )


def review_text(summary: ReviewSummary) -> str:
    """A summary in a few lines."""
    counts = ", ".join(f"{count} {status}" for status, count in summary.statuses.items())
    lines = [f"{summary.dataset}: {summary.num_decisions} decisions; {counts or 'none stands'}"]
    lines += [_agreement_line(one) for one in summary.agreements]
    for name, results in summary.studies.items():
        lines += _study_lines(name, results)
    return "\n".join(lines)


def _agreement_line(one: Agreement) -> str:
    who = f"  {' and '.join(one.reviewers)}, {one.question}: {one.num_samples} samples"
    share = "" if one.share is None else f", {one.share:.1%} alike"
    if one.kappa is None or one.ci95 is None:
        return f"{who}{share}, kappa undefined: {one.undefined}"
    low, high = one.ci95
    return f"{who}{share}, kappa {one.kappa:.2f} (95 % {low:.2f} to {high:.2f})"


def _study_lines(name: str, results: StudyResults) -> Iterator[str]:
    began, finished = len(results.num_answered), len(results.readers)
    yield f"blind study {name}: {finished} of {began} readers have finished"
    for reader, result in results.readers.items():
        yield f"  {reader}: {_result(result)}"
    if results.pooled is not None and finished > 1:
        yield f"  together: {_result(results.pooled)}"


def _result(result: BlindResult) -> str:
    return (
        f"accuracy {_share(result.accuracy)}, sensitivity {_share(result.sensitivity)}, "
        f"specificity {_share(result.specificity)}; p {result.p_value:.3g} against chance"
    )


def _share(share: Share) -> str:
    low, high = share.ci95
    return f"{share.value:.1%} ({low:.1%} to {high:.1%})"
