import pytest
from pydantic import ValidationError

from models.gates.report import ReportRules, check_report
from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    RejectionReason,
    Report,
    Severity,
)

PRESENT, ABSENT, UNCERTAIN = EntityStatus.PRESENT, EntityStatus.ABSENT, EntityStatus.UNCERTAIN
ABNORMALITY, NON_ABNORMALITY = EntityKind.ABNORMALITY, EntityKind.NON_ABNORMALITY

EFFUSION = Entity("pleural effusion", ABNORMALITY, PRESENT, "left pleural space", Severity.MILD)
NO_EFFUSION = Entity("pleural effusion", NON_ABNORMALITY, ABSENT)
MAYBE_EFFUSION = Entity("pleural effusion", ABNORMALITY, UNCERTAIN)
RIGHT_EFFUSION = Entity("pleural effusion", ABNORMALITY, PRESENT, "right pleural space")
NO_PNEUMOTHORAX = Entity("pneumothorax", NON_ABNORMALITY, ABSENT)
HEART = Entity("heart", EntityKind.ANATOMY, PRESENT)
LEFT_SPACE = Entity("left pleural space", EntityKind.ANATOMY, PRESENT)
MASS = Entity("lung mass", ABNORMALITY, PRESENT)

REQUEST = (EFFUSION, NO_PNEUMOTHORAX, HEART)
REPORT = Report("Small left pleural effusion. No pneumothorax.", "Small left pleural effusion.")


def reason(
    findings: tuple[Entity, ...],
    impression: tuple[Entity, ...] = (),
    report: Report = REPORT,
    rules: ReportRules | None = None,
) -> RejectionReason | None:
    return check_report(REQUEST, report, findings, impression, rules or ReportRules()).reason


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ((EFFUSION, NO_PNEUMOTHORAX, HEART), None),
        ((HEART, NO_PNEUMOTHORAX, EFFUSION), None),
        ((EFFUSION, NO_PNEUMOTHORAX, HEART, LEFT_SPACE), None),
        ((RIGHT_EFFUSION, NO_PNEUMOTHORAX, HEART), None),
        ((EFFUSION, NO_PNEUMOTHORAX), RejectionReason.MISSING_ENTITY),
        ((EFFUSION, HEART), RejectionReason.MISSING_ENTITY),
        ((), RejectionReason.MISSING_ENTITY),
        ((EFFUSION, NO_PNEUMOTHORAX, HEART, MASS), RejectionReason.EXTRA_ENTITY),
        ((NO_EFFUSION, NO_PNEUMOTHORAX, HEART), RejectionReason.WRONG_STATUS),
        ((MAYBE_EFFUSION, NO_PNEUMOTHORAX, HEART), RejectionReason.WRONG_STATUS),
    ],
)
def test_check_findings_must_equal_the_request(
    findings: tuple[Entity, ...], expected: RejectionReason | None
) -> None:
    assert reason(findings) is expected


@pytest.mark.parametrize(
    ("impression", "expected"),
    [
        ((), None),
        ((EFFUSION,), None),
        ((EFFUSION, LEFT_SPACE), None),
        ((NO_EFFUSION,), RejectionReason.IMPRESSION_NOT_SUPPORTED),
        ((MAYBE_EFFUSION,), RejectionReason.IMPRESSION_NOT_SUPPORTED),
        ((MASS,), RejectionReason.IMPRESSION_NOT_SUPPORTED),
    ],
)
def test_check_impression_must_be_supported_by_findings(
    impression: tuple[Entity, ...], expected: RejectionReason | None
) -> None:
    assert reason(REQUEST, impression) is expected


@pytest.mark.parametrize(
    "report",
    [
        Report("", "Effusion."),
        Report("   ", "Effusion."),
        Report("Small effusion.", ""),
        Report("Effusion.", "Effusion."),
    ],
)
def test_check_missing_section_is_rejected(report: Report) -> None:
    assert reason(REQUEST, report=report) is RejectionReason.MISSING_SECTION


@pytest.mark.parametrize(
    "report",
    [
        Report("The left pleural effusion is unchanged.", "Effusion."),
        Report("Small left effusion.", "New effusion."),
    ],
)
def test_check_comparison_is_rejected_unless_allowed(report: Report) -> None:
    assert reason(REQUEST, report=report) is RejectionReason.COMPARISON_WORD
    assert reason(REQUEST, report=report, rules=ReportRules(comparison_words="allowed")) is None


def test_check_anatomy_counts_only_when_asked() -> None:
    moved = (RIGHT_EFFUSION, NO_PNEUMOTHORAX, HEART)
    strict = ReportRules(match="pairs and anatomy")
    assert reason(moved) is None
    assert reason(moved, rules=strict) is RejectionReason.WRONG_ANATOMY
    assert reason(REQUEST, rules=strict) is None


def test_check_that_compares_nothing_keeps_what_has_its_sections() -> None:
    off = ReportRules(match="nothing")
    assert reason((NO_EFFUSION, MASS), impression=(EFFUSION,), rules=off) is None
    assert (
        reason(REQUEST, report=Report("None.", "x"), rules=off) is RejectionReason.MISSING_SECTION
    )
    verdict = check_report(REQUEST, REPORT, (), (), off)
    assert [score.measure for score in verdict.scores] == [
        "findings_words",
        "impression_words",
        "num_comparison_sections",
    ]


def test_check_scores_hold_every_count_with_its_threshold() -> None:
    verdict = check_report(REQUEST, REPORT, (MASS, NO_EFFUSION), (MASS,), ReportRules())
    values = {
        score.measure: (score.value, score.threshold, score.passed) for score in verdict.scores
    }
    assert values == {
        "findings_words": (6, 2, True),
        "impression_words": (4, 1, True),
        "num_comparison_sections": (0, 0, True),
        "num_wrong_status": (1, 0, False),
        "num_missing": (2, 0, False),
        "num_extra": (1, 0, False),
        "num_unsupported": (0, 0, True),
    }
    assert not verdict.passed


@pytest.mark.parametrize("tries", [0, 11])
def test_rules_tries_out_of_bounds_are_refused(tries: int) -> None:
    with pytest.raises(ValidationError):
        ReportRules(max_tries=tries)


def test_rules_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        ReportRules.model_validate({"max_trys": 3})


def test_rules_fields_are_described_for_the_form() -> None:
    assert all(field.description for field in ReportRules.model_fields.values())
