"""Where a report says what was found: as one expression of all forms would have it."""

import re

from hypothesis import given
from hypothesis import strategies as st

from browser.marking import Span, mark
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.words import normalise, plural
from storage.records import Entity, EntityKind, EntityStatus

_TERMS = sorted(concept.text for concept in load_vocabulary().clinical())[:40]
_KINDS = (EntityKind.ABNORMALITY, EntityKind.DISEASE)
_entities = st.lists(
    st.builds(
        lambda term, kind: Entity(term, kind, EntityStatus.PRESENT),
        st.sampled_from(_TERMS),
        st.sampled_from(_KINDS),
    ),
    max_size=6,
)
_words = st.sampled_from(
    ["the", "no", "-", ".", "  ", *(word for one in _TERMS for word in one.split())]
)
_texts = st.lists(st.one_of(_words, st.sampled_from(_TERMS)), max_size=12).map(" ".join)


def _all_forms(entities: list[Entity]) -> list[str]:
    terms = {entity.text for entity in entities}
    own = {form for one in terms for form in (normalise(one), plural(normalise(one))) if form}
    synonyms = {
        form for form, concept in load_vocabulary().forms().items() if concept.text in terms
    }
    return sorted(own | synonyms, key=lambda form: (-len(form), form))


@given(text=_texts, entities=_entities)
def test_marks_are_the_longest_forms_from_left_to_right(text: str, entities: list[Entity]) -> None:
    forms = _all_forms(entities)
    words = "|".join(r"[\s\-/]+".join(map(re.escape, form.split())) for form in forms)
    wanted = re.findall(rf"(?<!\w)(?:{words})(?!\w)", text, re.IGNORECASE) if forms else []
    spans = mark(text, entities)
    assert [span.text for span in spans if span.kind] == wanted
    assert "".join(span.text for span in spans) == text


def test_term_within_a_longer_one_is_no_mark_of_its_own() -> None:
    nodule = Entity("nodule", EntityKind.ABNORMALITY, EntityStatus.PRESENT)
    lung = Entity("lung nodule", EntityKind.ABNORMALITY, EntityStatus.UNCERTAIN)
    assert mark("A lung\n nodule, nodular.", [nodule, lung]) == [
        Span("A "),
        Span("lung\n nodule", "abnormality", "uncertain", "lung nodule"),
        Span(", nodular."),
    ]
