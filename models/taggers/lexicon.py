"""The tagger without weights: what a report says is present, absent or uncertain, and where.

Terms, synonyms and plurals of the vocabulary are matched longest first; `clauses` decides polarity,
`links` place and severity. Read in this order: matching, clauses, links, this.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import yaml

from models.engines import EngineInfo
from models.taggers.clauses import split_clauses, statuses
from models.taggers.configs import LexiconConfig
from models.taggers.links import Place, join_sides, place_of, severity_of
from models.taggers.matching import Item, PhraseMatcher, Role
from models.taggers.mentions import merge_mentions
from models.vocabulary.concepts import Concept, load_vocabulary
from models.vocabulary.modifiers import load_modifiers
from models.vocabulary.words import normalise, plural
from storage.records import Entity, EntityKind, EntityStatus

_GRAMMAR_WORDS = {
    Role.COMMA: (",", "(", ")"),
    Role.BREAK: (";", ":"),
    Role.JOIN: ("and", "or", "nor", "with"),
    Role.VERB: (
        *("is", "are", "was", "were", "has", "have", "appears", "appear", "shows", "show"),
        *("demonstrates", "demonstrate", "reveals", "reveal", "remains", "contains", "overlies"),
    ),
    Role.EXISTENCE: (
        *("seen", "noted", "identified", "present", "evident", "visualized", "demonstrated"),
        *("appreciated", "detected", "found", "observed"),
    ),
    Role.PREPOSITION: (
        *("in", "at", "of", "within", "over", "overlying", "along", "near", "involving", "on"),
        *("throughout", "to", "from", "projecting", "projects", "about", "adjacent"),
    ),
}


@dataclass(frozen=True, slots=True)
class Term:
    """What an item of role TERM stands for.

    Attributes:
        text: Canonical text to report; None when only a predicate ("elevated").
        kind: Abnormality or disease.
        concept: None for a term from outside the vocabulary.
        predicate: Anatomy family or term to the concept that the word states of it.
    """

    text: str | None
    kind: EntityKind
    concept: Concept | None
    predicate: Mapping[str, str]


class LexiconTagger:
    """Implements `EntityTagger`. Deterministic; each text is tagged by itself."""

    def __init__(self, config: LexiconConfig) -> None:
        self.info = EngineInfo(config.kind, config.revision(), deterministic=True)
        self._vocabulary = load_vocabulary()
        self._matcher = PhraseMatcher()
        rules = yaml.safe_load(
            files("models.taggers").joinpath("lexicon.yaml").read_text(encoding="utf-8")
        )
        self._matcher.add(rules["ignored"], Role.IGNORED)
        predicates = _predicates(rules["predicates"])
        self._add_extra_terms(config.extra_terms)
        self._add_terms(predicates)
        self._add_modifiers()

    def tag(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Entities of each text, one per (text, kind family), in order of first mention.

        Several mentions of one term are merged: present wins over uncertain, uncertain over absent;
        place and severity are those of the first mention with the winning status that has them.
        Every anatomy term said is reported too, whether or not a finding is placed in it.
        """
        return [merge_mentions(self._mentions(text)) for text in texts]

    def roles(self, text: str) -> list[Role]:
        """What each word or phrase of a text does, in order."""
        return [item.role for sentence in self._matcher.sentences(text) for item in sentence]

    def close(self) -> None:
        """Nothing to give back: it holds neither weights nor files."""

    def _mentions(self, text: str) -> Iterator[Entity]:
        for sentence in self._matcher.sentences(text):
            for clause in split_clauses(sentence):
                yield from self._mentions_in(join_sides(clause, self._vocabulary))

    def _mentions_in(self, clause: list[Item]) -> Iterator[Entity]:
        said = statuses(clause)
        for position, item in enumerate(clause):
            if item.role is Role.PLACE:
                yield Entity(item.value.text, EntityKind.ANATOMY, EntityStatus.PRESENT)
            elif item.role is Role.DENIAL and said[position] is EntityStatus.PRESENT:
                kind = item.value.kind.negated
                yield Entity(item.value.text, kind, EntityStatus.ABSENT)
            elif item.role is Role.TERM:
                yield from self._finding(clause, position, said[position])

    def _finding(self, clause: list[Item], position: int, status: EntityStatus) -> Iterator[Entity]:
        term: Term = clause[position].value
        concept = self._predicated(clause, position) or term.concept
        text = term.text if concept is None or concept is term.concept else concept.text
        if text is None:
            return
        kind = term.kind if concept is None else concept.kind
        absent = status is EntityStatus.ABSENT
        graded = not absent and (concept is None or concept.gradable)
        yield Entity(
            text=text,
            kind=kind.negated if absent else kind,
            status=status,
            anatomy=place_of(clause, position, concept, self._vocabulary),
            severity=severity_of(clause, position) if graded else None,
        )

    def _predicated(self, clause: list[Item], position: int) -> Concept | None:
        """The concept that a predicate states of the nearest place it can be said of."""
        predicate = clause[position].value.predicate
        if not predicate:
            return None
        nearest = sorted(
            (abs(index - position), name)
            for index, item in enumerate(clause)
            if item.role is Role.PLACE
            for name in (predicate.get(item.value.family) or predicate.get(item.value.text),)
            if name
        )
        return self._vocabulary.concepts[nearest[0][1]] if nearest else None

    def _add_extra_terms(self, terms: Iterable[tuple[str, EntityKind]]) -> None:
        for text, kind in terms:
            form = normalise(text)
            known = self._vocabulary.lookup(text)
            if kind is EntityKind.ANATOMY:
                place = Place(text, known.family, known.side) if known else Place(text, None, None)
                self._matcher.add([form], Role.PLACE, place)
                continue
            stated = kind.stated
            if kind.is_negated and load_modifiers().states_normality(text):
                self._matcher.add([form], Role.DENIAL, Concept(text, stated))
            else:
                forms = [form, *filter(None, [plural(form)])]
                self._matcher.add(forms, Role.TERM, Term(text, stated, known, {}))

    def _add_terms(self, predicates: Mapping[str, Mapping[str, str]]) -> None:
        for form, concept in self._vocabulary.forms().items():
            if concept.kind is EntityKind.ANATOMY:
                place = Place(concept.text, concept.family, concept.side)
                self._matcher.add([form], Role.PLACE, place)
            else:
                predicate = predicates.get(form, {})
                value = Term(concept.text, concept.kind, concept, predicate)
                self._matcher.add([form], Role.TERM, value)
        for word, predicate in predicates.items():
            value = Term(None, EntityKind.ABNORMALITY, None, predicate)
            self._matcher.add([word], Role.TERM, value)
        for phrase, name in self._vocabulary.denials.items():
            self._matcher.add([phrase], Role.DENIAL, self._vocabulary.concepts[name])

    def _add_modifiers(self) -> None:
        words, add = load_modifiers(), self._matcher.add
        add(words.pseudo_negation, Role.IGNORED)
        add(words.negation_after, Role.NEGATION_AFTER)
        add(words.negation_before, Role.NEGATION_BEFORE)
        add(words.negation_word, Role.NEGATION_WORD)
        add(words.uncertainty_after, Role.UNCERTAINTY_AFTER)
        add(words.uncertainty_before, Role.UNCERTAINTY_BEFORE)
        add(words.uncertainty_word, Role.UNCERTAINTY_WORD)
        add(words.uncertainty_between, Role.UNCERTAINTY_BETWEEN)
        add(words.scope_end, Role.BREAK)
        add(words.scope_restart, Role.RESTART)
        for word, severity in words.severity.items():
            add([word], Role.SEVERITY, severity)
        for word, side in words.sides.items():
            add([word], Role.SIDE, side)
        for role, plain in _GRAMMAR_WORDS.items():
            add(plain, role)


def _predicates(entries: Iterable[Mapping[str, object]]) -> dict[str, dict[str, str]]:
    """Word to {family or term: concept}, all entries of a word together."""
    table: dict[str, dict[str, str]] = {}
    for entry in entries:
        words, places = entry["words"], entry["of"]
        assert isinstance(words, list) and isinstance(places, dict), entry
        for word in words:
            table.setdefault(normalise(word), {}).update(places)
    return table
