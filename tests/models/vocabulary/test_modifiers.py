import pytest

from models.vocabulary.modifiers import load_modifiers
from storage.records import Severity

MODIFIERS = load_modifiers()


@pytest.mark.parametrize(
    "sentence",
    [
        "Increased opacity at the left base.",
        "The effusion is unchanged.",
        "There is a new nodule.",
        "No interval change.",
        "Compared to the prior radiograph, the lungs are clear.",
        "Stable cardiomegaly.",
        "The pneumothorax has resolved.",
        "Worsening edema.",
    ],
)
def test_comparison_word_of_comparing_sentence_is_found(sentence: str) -> None:
    assert MODIFIERS.comparison_word(sentence) is not None


@pytest.mark.parametrize(
    "sentence",
    [
        "There is a small left pleural effusion.",
        "Old granulomatous disease.",
        "Healed rib fracture. Prior granulomatous infection.",
        "No acute cardiopulmonary abnormality.",
    ],
)
def test_comparison_word_of_single_time_sentence_is_none(sentence: str) -> None:
    assert MODIFIERS.comparison_word(sentence) is None


def test_severity_words_map_sizes_too() -> None:
    assert MODIFIERS.severity["small"] is Severity.MILD
    assert MODIFIERS.severity["large"] is Severity.SEVERE


@pytest.mark.parametrize(
    ("term", "expected"),
    [("normal heart size", True), ("clear lungs", True), ("abnormal contour", False)],
)
def test_states_normality_needs_the_whole_word(term: str, expected: bool) -> None:
    assert MODIFIERS.states_normality(term) is expected
