"""An entity as words: name, article, severity, place."""

from dataclasses import dataclass, replace
from random import Random

from models.vocabulary.anatomy import Side
from models.vocabulary.concepts import Concept, load_vocabulary
from models.vocabulary.words import plural
from models.writers.phrases import Phrases
from storage.records import Entity

_VOWEL_SOUND = tuple("aeiou")
_SINGULAR_ENDINGS = ("ss", "us", "is", "as")


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """One entity in words.

    Attributes:
        thing: Adjectives and name, without article ("small left pleural effusion").
        countable: Takes "a" when singular.
        is_plural: Takes "are".
        at_place: Place said after it ("in the left lower lobe"); empty when there is none.
    """

    thing: str
    countable: bool
    is_plural: bool
    at_place: str = ""

    @property
    def a_thing(self) -> str:
        """With its article where it takes one."""
        if self.is_plural or not self.countable:
            return self.thing
        return f"{'an' if self.thing[0].lower() in _VOWEL_SOUND else 'a'} {self.thing}"

    @property
    def stands_alone(self) -> bool:
        """Whether another may be joined to it without sharing its place."""
        return not self.at_place and " of " not in self.thing

    @property
    def verb(self) -> str:
        """The form of "to be" that agrees."""
        return "are" if self.is_plural else "is"


@dataclass(frozen=True, slots=True)
class Words:
    """How one report calls one finding: the name, and the severity word with a space after it."""

    name: str
    severity: str


def capitalised(text: str) -> str:
    """With a capital first letter; the rest stays ("COPD")."""
    return text[:1].upper() + text[1:]


def concept_of(entity: Entity) -> Concept | None:
    """The vocabulary's concept of exactly this text; None for a term it does not know."""
    return load_vocabulary().concepts.get(entity.text)


def looks_plural(text: str) -> bool:
    """Whether a term that the grammar does not know is written like an English plural."""
    return text.endswith("s") and not text.endswith(_SINGULAR_ENDINGS)


@dataclass(frozen=True, slots=True)
class Wording:
    """Chooses the words of entities.

    Attributes:
        phrases: The grammar's words.
        varied: Whether terms may be written as synonyms.
    """

    phrases: Phrases
    varied: bool

    def choose(self, entity: Entity, random: Random) -> Words:
        """Name and severity word of a finding, to be kept within one report."""
        return Words(random.choice(self._names(entity.text)), self._severity(entity, random))

    def noun_phrase(
        self, entity: Entity, words: Words, random: Random, name_place: bool
    ) -> NounPhrase:
        """Words for a finding.

        Args:
            entity: Any clinical entity, known to the vocabulary or not.
            words: What `choose` chose for it.
            random: Chooses how its place is said.
            name_place: Whether its place must be named, a bare side is not enough.
        """
        concept = concept_of(entity)
        name, graded = words.name, words.severity
        if concept is None:
            return self._unknown(entity, graded)
        if entity.anatomy is None:
            return self._phrase(concept, graded, name)
        side = self._side(concept, entity.anatomy)
        if side is not None and not name_place and concept.text in self.phrases.side_alone:
            return self._with_side(concept, graded, name, side)
        return self._with_place(concept, graded, name, entity.anatomy, random)

    def denied_name(self, entity: Entity) -> NounPhrase:
        """The name alone, as a denial says it ("focal consolidation")."""
        concept = concept_of(entity)
        if concept is None:
            return NounPhrase(entity.text, countable=False, is_plural=looks_plural(entity.text))
        names = self._names(concept.text)
        return self._phrase(concept, "", self._denied_name(concept.text) or names[0])

    def _denied_name(self, term: str) -> str | None:
        return self.phrases.denied_names.get(term) if self.varied else None

    def place(self, anatomy: str) -> NounPhrase:
        """An anatomy term with "the"."""
        known = anatomy in load_vocabulary().concepts
        is_plural = anatomy in self.phrases.plural_places if known else looks_plural(anatomy)
        return NounPhrase(f"the {anatomy}", countable=False, is_plural=is_plural)

    def at_place(self, term: str, anatomy: str) -> str:
        """Preposition and place ("at the left lung base")."""
        preposition = self.phrases.prepositions.get(anatomy, "in")
        preposition = self.phrases.preposition_of_term.get(term, preposition)
        return f"{preposition} {self._the_place(anatomy)}"

    def _the_place(self, anatomy: str) -> str:
        return self.phrases.place_names.get(anatomy, f"the {anatomy}")

    def _names(self, term: str) -> tuple[str, ...]:
        return tuple(self.phrases.names.get(term, (term,))) if self.varied else (term,)

    def _severity(self, entity: Entity, random: Random) -> str:
        if entity.severity is None:
            return ""
        words = self.phrases.sizes if entity.text in self.phrases.sized else self.phrases.grades
        words = self.phrases.adverbs if entity.text in self.phrases.adverb_terms else words
        return f"{random.choice(words[entity.severity])} "

    def _phrase(self, concept: Concept, before: str, name: str, many: bool = False) -> NounPhrase:
        """A phrase with the number its term has; `many` makes a countable one plural."""
        countable = concept.text in self.phrases.countable
        is_plural = concept.text in self.phrases.plural
        more = plural(name) if many and countable else None
        return NounPhrase(before + (more or name), countable, is_plural or more is not None)

    def _unknown(self, entity: Entity, graded: str) -> NounPhrase:
        """A term in exactly the words it was requested in."""
        at_place = "" if entity.anatomy is None else self.at_place(entity.text, entity.anatomy)
        return NounPhrase(graded + entity.text, False, looks_plural(entity.text), at_place)

    def _side(self, concept: Concept, anatomy: str) -> Side | None:
        """The side that alone tells this place of this concept; None when it does not."""
        vocabulary = load_vocabulary()
        place = vocabulary.concepts.get(anatomy)
        side = place.side if place else None
        return side if vocabulary.default_place(concept, side) == anatomy else None

    def _with_side(self, concept: Concept, graded: str, name: str, side: Side) -> NounPhrase:
        word = "bilateral" if side is Side.BOTH else str(side)
        return self._phrase(concept, f"{graded}{word} ", name, many=side is Side.BOTH)

    def _with_place(
        self, concept: Concept, graded: str, name: str, anatomy: str, random: Random
    ) -> NounPhrase:
        """A place as an adjective, within the name, or after it."""
        placed = self.phrases.placed_names.get(concept.text)
        if placed:
            text = random.choice(placed).format(place=self._the_place(anatomy))
            return self._phrase(concept, graded, text)
        many = anatomy in self.phrases.plural_places
        adjective = self.phrases.adjectives.get(anatomy)
        if adjective is not None and random.random() < 0.5:
            return self._phrase(concept, f"{graded}{adjective} ", name, many=many)
        at_place = self.at_place(concept.text, anatomy)
        phrase = self._phrase(concept, graded, name, many=many)
        if at_place.startswith("of "):  # belongs to the noun: no verb may stand between
            return replace(phrase, thing=f"{phrase.thing} {at_place}")
        return replace(phrase, at_place=at_place)
