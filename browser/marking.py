"""Where a report says what was found in it: its text cut into plain and marked parts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.words import normalise, plural
from storage.records import Entity

_GAP = r"[\s\-/]+"  # between the words of a term


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a report.

    Attributes:
        kind: Of the entity that it says; empty for the text between entities.
        status: Present, absent or uncertain; empty likewise.
        term: The entity's canonical text; empty likewise.
    """

    text: str
    kind: str = ""
    status: str = ""
    term: str = ""


def mark(text: str, entities: Sequence[Entity]) -> list[Span]:
    """The text with every word marked that stands for one of its entities.

    Terms, their synonyms and plurals are looked for, the longest first. A tagger may know more
    words than these: what it found and this does not see stays in the list of entities.
    """
    by_form = _entity_of_form(entities)
    if not by_form:
        return [Span(text)] if text else []
    return list(_cut(text, _patterns(by_form), by_form))


def _cut(
    text: str, patterns: Sequence[re.Pattern[str]], by_form: Mapping[str, Entity]
) -> Iterator[Span]:
    end = 0
    while found := [match for one in patterns if (match := one.search(text, end))]:
        match = min(found, key=lambda one: (one.start(), -len(normalise(one.group()))))
        if match.start() > end:
            yield Span(text[end : match.start()])
        entity = by_form[normalise(match.group())]
        yield Span(match.group(), str(entity.kind), str(entity.status), entity.text)
        end = match.end()
    if end < len(text):
        yield Span(text[end:])


def _patterns(by_form: Mapping[str, Entity]) -> list[re.Pattern[str]]:
    """One for each entity, which other reports speak of too: to compile one of all took longest."""
    forms: dict[Entity, list[str]] = {}
    for form, entity in by_form.items():
        forms.setdefault(entity, []).append(form)
    return [
        _pattern(tuple(sorted(of, key=lambda form: (-len(form), form)))) for of in forms.values()
    ]


@lru_cache(maxsize=4096)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    """Any of these forms, the first that is there."""
    words = "|".join(_GAP.join(map(re.escape, form.split())) for form in forms)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)


def _entity_of_form(entities: Sequence[Entity]) -> dict[str, Entity]:
    """Every way to say an entity; a form of two belongs to the first."""
    found: dict[str, Entity] = {}
    for entity in entities:
        for form in _own_forms(entity.text):
            found.setdefault(form, entity)
    for entity in entities:
        for form in _forms_by_term(denied=entity.kind.is_negated).get(entity.text, ()):
            found.setdefault(form, entity)
    return found


def _own_forms(term: str) -> list[str]:
    form = normalise(term)
    return [one for one in (form, plural(form)) if one]


@cache
def _forms_by_term(*, denied: bool) -> Mapping[str, tuple[str, ...]]:
    """Canonical term to its synonyms and plurals; for denied ones, phrases such as "clear"."""
    vocabulary = load_vocabulary()
    forms: dict[str, tuple[str, ...]] = {}
    for form, concept in vocabulary.forms().items():
        forms[concept.text] = (*forms.get(concept.text, ()), form)
    for phrase, term in vocabulary.denials.items() if denied else ():
        forms[term] = (*forms.get(term, ()), phrase)
    return forms
