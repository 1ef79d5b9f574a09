from random import Random

import pytest

from models.writers.noun_phrases import NounPhrase, Wording, Words, looks_plural
from models.writers.phrases import load_phrases
from storage.records import Entity, EntityKind, EntityStatus, Severity

WORDING = Wording(load_phrases(), varied=False)
ABNORMALITY, PRESENT = EntityKind.ABNORMALITY, EntityStatus.PRESENT


def phrase(
    text: str, anatomy: str | None = None, severity: str = "", name_place: bool = False
) -> NounPhrase:
    entity = Entity(text, ABNORMALITY, PRESENT, anatomy)
    return WORDING.noun_phrase(entity, Words(text, severity), Random(1), name_place)


@pytest.mark.parametrize(
    ("text", "anatomy", "severity", "expected"),
    [
        ("pleural effusion", None, "", "a pleural effusion"),
        ("pleural effusion", "left pleural space", "small ", "a small left pleural effusion"),
        ("pleural effusion", "pleural spaces", "large ", "large bilateral pleural effusions"),
        ("implanted device", None, "", "an implanted device"),
        ("cardiomegaly", None, "mild ", "mild cardiomegaly"),
        ("sternotomy wires", None, "", "sternotomy wires"),
        ("rib fracture", "right ribs", "", "a right rib fracture"),
        ("fissural thickening", "minor fissure", "", "thickening of the minor fissure"),
        ("unheard-of sign", None, "", "unheard-of sign"),
    ],
)
def test_noun_phrase_article_number_and_side_agree(
    text: str, anatomy: str | None, severity: str, expected: str
) -> None:
    assert phrase(text, anatomy, severity).a_thing == expected


def test_noun_phrase_place_is_named_when_it_must_be() -> None:
    named = phrase("pleural effusion", "left pleural space", name_place=True)
    assert named.at_place == "in the left pleural space"


def test_noun_phrase_place_of_takes_no_verb_between() -> None:
    spine = phrase("osteopenia", "thoracic spine")
    assert (spine.thing, spine.at_place) == ("osteopenia of the thoracic spine", "")
    assert not spine.stands_alone


@pytest.mark.parametrize(
    ("severity", "words"),
    [(Severity.MILD, {"small ", "tiny "}), (Severity.SEVERE, {"large "})],
)
def test_choose_severity_of_sized_term_is_a_size(severity: Severity, words: set[str]) -> None:
    entity = Entity("pleural effusion", ABNORMALITY, PRESENT, None, severity)
    assert {WORDING.choose(entity, Random(seed)).severity for seed in range(30)} == words


@pytest.mark.parametrize(
    ("text", "expected"), [("lungs", True), ("mass", False), ("pelvis", False), ("heart", False)]
)
def test_looks_plural_follows_the_ending(text: str, expected: bool) -> None:
    assert looks_plural(text) is expected
