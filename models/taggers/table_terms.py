"""The lexicon for a corpus's entity table: which foreign strings of it can be read back.

A string outside the vocabulary is drawn only if the report gate can find it in a report: one that
reads as something else there would reject every report that was asked to say it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from models.taggers.configs import LexiconConfig
from models.taggers.lexicon import LexiconTagger
from models.taggers.matching import Role
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.modifiers import load_modifiers
from storage.records import Entity, EntityKind

Term = tuple[str, EntityKind]
_MEANINGFUL = (Role.WORD, Role.TERM, Role.PLACE, Role.DENIAL)


@dataclass(frozen=True, slots=True)
class ReadableTerms:
    """What the lexicon makes of a table.

    Attributes:
        config: The lexicon, with the foreign strings that it can read.
        unreadable: Strings that it cannot read back, and that must not be drawn.
    """

    config: LexiconConfig
    unreadable: frozenset[Term]


def readable_terms(config: LexiconConfig, entities: Iterable[Term]) -> ReadableTerms:
    """Teach the lexicon the foreign strings of a table, as far as it can tell them from others.

    Left out is a string that is the vocabulary's for something else ("effusion" as a place), that
    is made of words the lexicon needs for itself ("clear", "left"), or that is read differently
    once all are known (of the same words as a finding and as a place, the more frequent stays).

    Args:
        config: As a plan has it.
        entities: (text, kind) of the table, the most frequent first.
    """
    vocabulary = load_vocabulary()
    foreign = [term for term in entities if vocabulary.known(*term) is None]
    if not foreign:
        return ReadableTerms(config, frozenset())
    plain = config.open()
    fit = [term for term in foreign if _is_free(term[0], plain)]
    tagger = _with(config, fit).open()
    said = tagger.tag([_sentence(text, kind) for text, kind in fit])
    read = [term for term, found in zip(fit, said, strict=True) if _says_only(term, found)]
    return ReadableTerms(_with(config, read), frozenset(foreign) - frozenset(read))


def _with(config: LexiconConfig, terms: Sequence[Term]) -> LexiconConfig:
    return config.model_copy(update={"extra_terms": (*config.extra_terms, *terms)})


def _is_free(text: str, plain: LexiconTagger) -> bool:
    """Whether a string means nothing yet, and holds a word that is not the lexicon's own tool."""
    if load_vocabulary().lookup(text) is not None or text in load_modifiers().normality:
        return False
    return any(role in _MEANINGFUL for role in plain.roles(text))


def _sentence(text: str, kind: EntityKind) -> str:
    if kind.is_negated and not load_modifiers().states_normality(text):
        return f"There is no {text}."
    return f"{text}."


def _says_only(term: Term, found: Sequence[Entity]) -> bool:
    return [entity.key for entity in found] == [term]
