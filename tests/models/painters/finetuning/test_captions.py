import numpy as np
import pytest

from models.painters.finetuning.captions import Subject, draw_caption, full_caption
from models.taggers.configs import LexiconConfig
from models.vocabulary.findings import Finding
from storage.records import Entity, EntityKind


def drawn(subject: Subject, count: int = 60) -> list[str]:
    return [draw_caption(subject, np.random.default_rng([1, k])) for k in range(count)]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        (
            Subject(("Pneumonia", "Effusion", "Pleural_Thickening"), "AP", "F", 70),
            "Pneumonia, pleural effusion and pleural thickening. AP view. Elderly female patient.",
        ),
        (
            Subject(("No Finding",), "PA", "M", 30),
            "No acute cardiopulmonary abnormality. PA view. Young male patient.",
        ),
        (Subject(("Rib_notching",), None, None, None), "Rib notching."),
        (Subject((), "PA", None, 8), "PA view. Child patient."),
        (Subject(("Mass",), "PA", report="A mass."), "A mass. PA view."),
        (Subject(()), ""),
    ],
)
def test_full_caption_says_all_that_is_known(subject: Subject, expected: str) -> None:
    assert full_caption(subject) == expected


def test_draw_caption_states_and_denies_only_what_is_true() -> None:
    """Read back by the lexicon tagger: stated findings are the labels, denied ones are none."""
    subject = Subject(("Pneumonia", "Edema"), "AP", "F", 70, uncertain_labels=("Mass",))
    labelled = {Finding(label).term for label in subject.labels}
    denied: set[str] = set()
    for entities in LexiconConfig().open().tag(drawn(subject)):
        stated, absent = _findings(entities)
        assert stated <= labelled
        assert not absent & (labelled | {Finding.MASS.term})
        denied |= absent
    assert len(denied) > 5


def test_draw_caption_leaves_each_part_out_at_times() -> None:
    texts = drawn(Subject(("Mass",), "PA", "F", 70))
    for part in ("PA view", "female", "Elderly", "lung mass"):
        holding = sum(part.lower() in text.lower() for text in texts)
        assert 0 < holding < len(texts), part


def test_draw_caption_of_a_report_keeps_its_words() -> None:
    texts = drawn(Subject(("Mass",), "PA", "F", report="Stable 2 cm mass."))
    assert all(text.startswith("Stable 2 cm mass.") for text in texts)


def _findings(entities: tuple[Entity, ...]) -> tuple[set[str], set[str]]:
    terms = {finding.term for finding in Finding}
    clinical = [entity for entity in entities if entity.text in terms]
    assert all(entity.kind is not EntityKind.ANATOMY for entity in clinical)
    absent = {entity.text for entity in clinical if entity.kind.is_negated}
    return {entity.text for entity in clinical} - absent, absent
