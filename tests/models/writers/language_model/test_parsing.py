import json

import pytest

from models.writers.language_model.parsing import findings_of, impression_of, report_of
from storage.records import Report


@pytest.mark.parametrize(
    "answer",
    [
        "The heart is enlarged. No effusion.",
        "FINDINGS: The heart is enlarged. No effusion.",
        "**Findings:**\n\nThe heart is enlarged.\nNo effusion.\n",
        "## Findings:\n- The heart is enlarged.\n- No effusion.",
        "The heart is enlarged. No effusion.\n\nIMPRESSION: Cardiomegaly.",
        "Findings: The heart is enlarged. No effusion. Impression: Cardiomegaly.",
        "<think>The user wants\n findings: many.</think>\nThe heart is enlarged. No effusion.",
        '"The heart is enlarged. No effusion."',
    ],
)
def test_findings_are_one_plain_paragraph_however_they_are_dressed(answer: str) -> None:
    assert findings_of(answer) == "The heart is enlarged. No effusion."


def test_findings_that_speak_of_findings_stay_whole() -> None:
    text = "There are no acute findings: the lungs are clear."
    assert findings_of(text) == text


@pytest.mark.parametrize("answer", ["", "  \n", "<think>It never ends", "Findings:", "```\n```"])
def test_findings_of_an_answer_without_prose_are_empty(answer: str) -> None:
    assert findings_of(answer) == ""


def test_impression_after_findings_said_again_is_cut_out() -> None:
    assert impression_of("FINDINGS: Big heart.\nIMPRESSION: Cardiomegaly.") == "Cardiomegaly."


def test_structured_answer_is_read() -> None:
    answer = json.dumps({"findings": "Big  heart.\n", "impression": "Cardiomegaly."})
    assert report_of(answer) == Report("Big heart.", "Cardiomegaly.")


def test_structured_answer_with_half_a_character_can_be_stored() -> None:
    report = report_of('{"findings": "Big heart \\ud83d.", "impression": "Big."}')
    assert report.findings.encode() == b"Big heart ?."


@pytest.mark.parametrize(
    "answer", ["", '{"findings": "Big he', "[]", '{"findings": "a"}', '{"findings": 1}', "null"]
)
def test_structured_answer_that_is_no_report_is_empty(answer: str) -> None:
    assert report_of(answer) == Report("", "")
