"""The report gate: a report says all that was asked of it and nothing else.

Study 1, step 4: the entity set that a tagger finds in FINDINGS must equal the request, and the
IMPRESSION may only summarise FINDINGS. Trying again is the caller's business.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.vocabulary.modifiers import load_modifiers
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    GateScore,
    RejectionReason,
    Report,
    Verdict,
)

GATE = "report"


class ReportRules(BaseModel):
    """When a written report is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tries: int = Field(
        default=3, ge=1, le=10, description="How often one report is written before it is rejected."
    )
    match: Literal["pairs", "pairs and anatomy", "nothing"] = Field(
        default="pairs",
        description=(
            "What of each entity must be found as requested: its text and kind (study 1), or also "
            "the anatomy it is placed in. nothing: a report is kept whatever it says (an ablation)."
        ),
    )
    min_findings_words: int = Field(
        default=2, ge=1, le=200, description="Words that the FINDINGS section has at least."
    )
    min_impression_words: int = Field(
        default=1, ge=1, le=200, description="Words that the IMPRESSION section has at least."
    )
    comparison_words: Literal["forbidden", "allowed"] = Field(
        default="forbidden",
        description=(
            "Whether a report may compare with another examination (increased, unchanged, new): a "
            "written report is of a single time; a real one may."
        ),
    )


def check_report(
    requested: Sequence[Entity],
    report: Report,
    found_in_findings: Sequence[Entity],
    found_in_impression: Sequence[Entity],
    rules: ReportRules,
) -> Verdict:
    """Keep or reject one report.

    An anatomy term in which a requested finding is placed may be named, and need not be requested
    for itself. The IMPRESSION may say less than FINDINGS, never other than FINDINGS.

    Args:
        requested: What the report was asked to say.
        report: The report.
        found_in_findings: What a tagger found in its FINDINGS.
        found_in_impression: What a tagger found in its IMPRESSION.
        rules: Thresholds.

    Returns:
        The first reason to reject in the order of the checks, and every count with its threshold.
    """
    scores, reasons = zip(
        *_checks(requested, report, found_in_findings, found_in_impression, rules), strict=True
    )
    failed = (r for s, r in zip(scores, reasons, strict=True) if not s.passed)
    return Verdict(next(failed, None), scores)


def check_real_report(report: Report, rules: ReportRules) -> Verdict:
    """Keep or reject a real report: each section that it has must be long enough.

    Nothing was asked of it, so what it says is compared with nothing; and being real it may speak
    of earlier examinations, and conclude in its IMPRESSION more than its FINDINGS say.
    """
    scores, reasons = zip(*_section_checks(report, rules), strict=True)
    failed = (r for s, r in zip(scores, reasons, strict=True) if not s.passed)
    return Verdict(next(failed, None), scores)


def _section_checks(
    report: Report, rules: ReportRules
) -> Iterator[tuple[GateScore, RejectionReason]]:
    assert report.findings or report.impression, "a real report is taken only if it says something"
    if report.findings:
        yield _words("findings_words", report.findings, rules.min_findings_words)
    if report.impression:
        yield _words("impression_words", report.impression, rules.min_impression_words)


def _checks(
    requested: Sequence[Entity],
    report: Report,
    in_findings: Sequence[Entity],
    in_impression: Sequence[Entity],
    rules: ReportRules,
) -> Iterator[tuple[GateScore, RejectionReason]]:
    yield _words("findings_words", report.findings, rules.min_findings_words)
    yield _words("impression_words", report.impression, rules.min_impression_words)
    if rules.comparison_words == "forbidden":
        compared = _comparison_count(report)
        yield _none("num_comparison_sections", compared, RejectionReason.COMPARISON_WORD)
    if rules.match == "nothing":
        return
    missing, extra, wrong = _differences(requested, in_findings)
    yield _none("num_wrong_status", wrong, RejectionReason.WRONG_STATUS)
    yield _none("num_missing", missing, RejectionReason.MISSING_ENTITY)
    yield _none("num_extra", extra, RejectionReason.EXTRA_ENTITY)
    if rules.match == "pairs and anatomy":
        moved = _num_moved(requested, in_findings)
        yield _none("num_wrong_anatomy", moved, RejectionReason.WRONG_ANATOMY)
    unsupported = _num_unsupported(in_findings, in_impression)
    yield _none("num_unsupported", unsupported, RejectionReason.IMPRESSION_NOT_SUPPORTED)


def _words(measure: str, section: str, least: int) -> tuple[GateScore, RejectionReason]:
    words = len(section.split())
    score = GateScore(GATE, measure, words, least, words >= least)
    return score, RejectionReason.MISSING_SECTION


def _none(measure: str, count: int, reason: RejectionReason) -> tuple[GateScore, RejectionReason]:
    """A count that must be zero."""
    return GateScore(GATE, measure, count, 0, count == 0), reason


def _comparison_count(report: Report) -> int:
    """Sections, of two, that compare with another time."""
    find = load_modifiers().comparison_word
    return sum(find(section) is not None for section in (report.findings, report.impression))


def _family(entity: Entity) -> tuple[str, EntityKind]:
    """Text and kind with negation taken off: what two opposite claims have in common."""
    return entity.text, entity.kind.stated


def _by_family(entities: Sequence[Entity]) -> dict[tuple[str | None, EntityKind], EntityStatus]:
    return {_family(entity): entity.status for entity in entities}


def _differences(requested: Sequence[Entity], found: Sequence[Entity]) -> tuple[int, int, int]:
    """How many requested entities are missing, found ones extra, common ones of another status."""
    wanted, said = _by_family(requested), _by_family(found)
    implied = {(e.anatomy, EntityKind.ANATOMY) for e in requested if e.anatomy is not None}
    missing = len(wanted.keys() - said.keys())
    extra = len(said.keys() - wanted.keys() - implied)
    wrong = sum(wanted[key] is not said[key] for key in wanted.keys() & said.keys())
    return missing, extra, wrong


def _num_moved(requested: Sequence[Entity], found: Sequence[Entity]) -> int:
    """Requested entities, placed somewhere, that were found elsewhere or nowhere."""
    places = {_family(entity): entity.anatomy for entity in found}
    placed = (e for e in requested if e.anatomy is not None and _family(e) in places)
    return sum(places[_family(entity)] != entity.anatomy for entity in placed)


def _num_unsupported(in_findings: Sequence[Entity], in_impression: Sequence[Entity]) -> int:
    """Entities of the IMPRESSION that FINDINGS lacks or says otherwise.

    Anatomy in which FINDINGS places something is supported, by whatever words it was said there.
    """
    said = {(e.anatomy, EntityKind.ANATOMY): EntityStatus.PRESENT for e in in_findings}
    said |= _by_family(in_findings)
    return sum(said.get(_family(entity)) is not entity.status for entity in in_impression)
