import pytest

from storage.readers.sections import remove_marks, report_sections

REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PORTABLE AP)

 INDICATION:  History: ___F with dyspnea  // eval for
 pneumonia

 FINDINGS:

 Lungs are clear: no effusion.
 Heart size: normal.

 NOTIFICATION:  Dr. ___ was told.
 IMPRESSION:  Normal chest.
"""


def test_report_sections_of_a_usual_report() -> None:
    assert report_sections(REPORT) == {
        "findings": "Lungs are clear: no effusion. Heart size: normal.",
        "impression": "Normal chest.",
        "indication": "History: ___F with dyspnea // eval for pneumonia",
        "comparison": None,
    }


@pytest.mark.parametrize(
    ("text", "findings", "impression"),
    [
        ("Findings: clear.\nImpression: normal.", "clear.", "normal."),
        ("FINDINGS AND IMPRESSION: Clear.", "Clear.", None),
        ("FINDINGS: Clear.\nCONCLUSION: Normal.", "Clear.", "Normal."),
        ("WET READ: ___ 3:10 AM\n Clear.\n\nFINDINGS: Clear lungs.", "Clear lungs.", None),
        (
            "IMPRESSION: Clear.\n ADDENDUM\nIMPRESSION: Also a nodule.",
            None,
            "Clear. Also a nodule.",
        ),
        ("AP CHEST\n\nHISTORY: Cough.\n\nThe lungs are clear.", "The lungs are clear.", None),
        ("CHEST, SINGLE AP FILM:\nClear.", "Clear.", None),
        ("The lungs are clear.", "The lungs are clear.", None),
        ("FINAL REPORT\n INDICATION: Cough.", None, None),
        ("FINDINGS:\n\nIMPRESSION:\n", None, None),
        ("  \n", None, None),
    ],
)
def test_report_sections_of_unusual_reports(
    text: str, findings: str | None, impression: str | None
) -> None:
    found = report_sections(text)
    assert (found["findings"], found["impression"]) == (findings, impression)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("XXXX.", None),
        (None, None),
        ("Heart XXXX, normal.", "Heart, normal."),
        ("Seen on (XXXX) today. XXXX. Clear.", "Seen on today. Clear."),
        ("pain ComparisXXXXXXXX", "pain"),
        ("cancer in XXXX-XXXX.", "cancer in."),
        ("Dr. ___ was told.", "Dr. was told."),
        ("No mark, T-spine intact.", "No mark, T-spine intact."),
    ],
)
def test_remove_marks_leaves_no_trace(text: str | None, expected: str | None) -> None:
    assert remove_marks(text) == expected
