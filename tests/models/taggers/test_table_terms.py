import pytest

from models.taggers.configs import LexiconConfig
from models.taggers.table_terms import Term, readable_terms
from storage.records import EntityKind

ABNORMAL, DENIED = EntityKind.ABNORMALITY, EntityKind.NON_ABNORMALITY
PLACE = EntityKind.ANATOMY


def test_readable_terms_known_table_leaves_the_lexicon_as_it_is() -> None:
    terms = [("pleural effusion", ABNORMAL), ("left lung", PLACE), ("cardiomegaly", DENIED)]
    found = readable_terms(LexiconConfig(), terms)
    assert found.config == LexiconConfig()
    assert not found.unreadable


def test_readable_terms_foreign_strings_are_read_back_in_their_own_words() -> None:
    terms = [
        ("thymic cyst", ABNORMAL),
        ("thymic cyst", DENIED),
        ("clear thymus", DENIED),
        ("thymus", PLACE),
        ("small left pleural effusion", ABNORMAL),
    ]
    found = readable_terms(LexiconConfig(), terms)
    assert found.config.extra_terms == tuple(terms)
    (entities,) = found.config.open().tag(
        ["Small left pleural effusion. No thymic cyst in the thymus. Pneumonia."]
    )
    assert [entity.key for entity in entities] == [
        ("small left pleural effusion", ABNORMAL),
        ("thymic cyst", DENIED),
        ("thymus", PLACE),
        ("pneumonia", EntityKind.DISEASE),
    ]


@pytest.mark.parametrize(
    "term",
    [("effusion", PLACE), ("clear", DENIED), ("left", PLACE), ("no", ABNORMAL)],
    ids=lambda term: term[0],
)
def test_readable_terms_words_the_lexicon_needs_are_left_to_it(term: Term) -> None:
    found = readable_terms(LexiconConfig(), [("thymic cyst", ABNORMAL), term])
    assert found.unreadable == {term}
    assert found.config.extra_terms == (("thymic cyst", ABNORMAL),)
    text = "No effusion on the left. The lungs are clear."
    assert found.config.open().tag([text]) == LexiconConfig().open().tag([text])


def test_readable_terms_of_one_string_as_finding_and_place_the_first_stays() -> None:
    found = readable_terms(LexiconConfig(), [("thymus", PLACE), ("thymus", ABNORMAL)])
    assert found.config.extra_terms == (("thymus", PLACE),)
    assert found.unreadable == {("thymus", ABNORMAL)}
