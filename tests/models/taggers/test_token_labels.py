import pytest

from models.taggers.token_labels import Label, Span, entity_of, entity_spans, read_labels, words_of
from models.vocabulary.concepts import load_vocabulary
from storage.errors import EngineUnavailable
from storage.records import EntityKind, EntityStatus

ABNORMAL, DISEASE, PLACE = EntityKind.ABNORMALITY, EntityKind.DISEASE, EntityKind.ANATOMY
VOCABULARY = load_vocabulary()


def test_read_labels_rate_ner_needs_no_mapping() -> None:
    names = ["O", "B-NON-ABNORMALITY", "I-NON-ABNORMALITY", "B-DISEASE"]
    assert read_labels(names, {}) == (
        Label(None, False),
        Label(EntityKind.NON_ABNORMALITY, True),
        Label(EntityKind.NON_ABNORMALITY, False),
        Label(DISEASE, True),
    )


def test_read_labels_other_names_are_mapped_and_may_mean_nothing() -> None:
    names = ["LABEL_0", "LABEL_1", "B-Body_Part", "S-test"]
    given = {"label-0": None, "LABEL_1": ABNORMAL, "body part": PLACE, "TEST": None}
    assert [label.kind for label in read_labels(names, given)] == [None, ABNORMAL, PLACE, None]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (["O", "B-PROBLEM", "I-PROBLEM"], r"got nothing for problem; give each one of abnormality"),
        (["LABEL_0", "LABEL_1"], r"got nothing for label-0, label-1"),
        (["O"], r"got none for O; name another checkpoint"),
    ],
)
def test_read_labels_without_meaning_raises(names: list[str], line: str) -> None:
    with pytest.raises(EngineUnavailable, match=line):
        read_labels(names, {})


def _spans(labels: list[Label]) -> list[tuple[int, int, EntityKind]]:
    words = [(Span(10 * n, 10 * n + 9), label) for n, label in enumerate(labels)]
    return [(span.start // 10, span.end // 10, kind) for span, kind in entity_spans(words)]


def test_entity_spans_beginning_splits_neighbours_and_missed_ones_are_forgiven() -> None:
    begin, inside, outside = Label(ABNORMAL, True), Label(ABNORMAL, False), Label(None, False)
    other = Label(PLACE, False)
    assert _spans([begin, inside, begin, outside, inside, inside, other]) == [
        (0, 1, ABNORMAL),
        (2, 2, ABNORMAL),
        (4, 5, ABNORMAL),
        (6, 6, PLACE),
    ]
    assert _spans([outside]) == []


def test_words_of_punctuation_is_apart_and_hyphens_are_not() -> None:
    text = "A 2.5 cm right-sided effusion, small."
    words = [text[span.start : span.end] for span in words_of(text)]
    assert words == ["A", "2.5", "cm", "right-sided", "effusion", ",", "small", "."]


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("Pleural Effusions.", ABNORMAL, ("pleural effusion", ABNORMAL)),
        ("pneumonia", EntityKind.NON_ABNORMALITY, ("pneumonia", EntityKind.NON_DISEASE)),
        ("Normal heart size", EntityKind.NON_ABNORMALITY, ("cardiomegaly",)),
        ("Thymic-cyst", DISEASE, ("thymic cyst", DISEASE)),
        ("left lung", ABNORMAL, ("left lung", ABNORMAL)),  # a place, tagged as a finding
    ],
)
def test_entity_of_takes_canonical_terms_and_keeps_foreign_ones(
    text: str, kind: EntityKind, found: tuple[object, ...]
) -> None:
    entity = entity_of(text, kind, VOCABULARY)
    assert entity is not None
    assert entity.key[: len(found)] == found
    assert (entity.status is EntityStatus.ABSENT) == kind.is_negated


def test_entity_of_a_string_without_a_word_is_none() -> None:
    assert entity_of(" 12.", ABNORMAL, VOCABULARY) is None
