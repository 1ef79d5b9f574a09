"""Labels of a token classifier: what kind of entity each one means, and words to entities.

IOB and its relatives (IOBES, BILOU), and labels without prefixes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.vocabulary.concepts import Vocabulary
from models.vocabulary.words import normalise
from storage.errors import EngineUnavailable
from storage.records import Entity, EntityKind, EntityStatus

_PREFIXED = re.compile(r"([BIELSU])[-_](.+)")
_BEGINNINGS = "BSU"  # the other prefixes go on with the entity before them
_OUTSIDE = "o"
_WORD = re.compile(r"\d+\.\d+|\w+(?:['’‐-]\w+)*|[^\w\s]")
_EDGES = " \t\r\n.,;:!?()[]\"'"


@dataclass(frozen=True, slots=True)
class Label:
    """What a label says of a word. `kind`: None outside entities."""

    kind: EntityKind | None
    begins: bool


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of a text."""

    start: int
    end: int


def read_labels(names: Sequence[str], given: Mapping[str, EntityKind | None]) -> tuple[Label, ...]:
    """The meaning of a checkpoint's labels, in their order.

    Args:
        names: As the checkpoint has them ("B-ABNORMALITY"); case, hyphens and underscores do not
            matter.
        given: Kinds of labels that RaTE-NER does not have, without prefix; None: no entity.

    Raises:
        EngineUnavailable: If a label's kind is unknown, or none names an entity.
    """
    kinds: dict[str, EntityKind | None] = {_OUTSIDE: None}
    kinds |= {kind.value: kind for kind in EntityKind}
    kinds |= {_form(name): kind for name, kind in given.items()}
    read = [(name, *_split(name, kinds)) for name in names]
    unknown = sorted({stem for _, stem, _ in read if stem not in kinds})
    if unknown:
        known = ", ".join(EntityKind)
        raise EngineUnavailable(
            f"labels must say what each label of the checkpoint means, got nothing for "
            f"{', '.join(unknown[:8])}; give each one of {known}, or null for none"
        )
    if all(kinds[stem] is None for _, stem, _ in read):
        raise EngineUnavailable(
            f"labels must name a kind of entity for some label of the checkpoint, got none for "
            f"{', '.join(names[:8]) or 'no label at all'}; name another checkpoint"
        )
    return tuple(Label(kinds[stem], begins) for _, stem, begins in read)


def words_of(text: str) -> list[Span]:
    """Words, numbers and punctuation marks of a text; a hyphenated word is one."""
    return [Span(*match.span()) for match in _WORD.finditer(text)]


def entity_spans(words: Iterable[tuple[Span, Label]]) -> Iterator[tuple[Span, EntityKind]]:
    """Runs of words of one kind; a label that begins an entity ends the one before it.

    A run that no label begins is an entity all the same: classifiers miss beginnings.
    """
    run: Span | None = None
    kind: EntityKind | None = None
    for word, label in words:
        if run is not None and kind is not None:
            if label.kind is kind and not label.begins:
                run = Span(run.start, word.end)
                continue
            yield run, kind
        run, kind = word, label.kind
    if run is not None and kind is not None:
        yield run, kind


def entity_of(text: str, kind: EntityKind, vocabulary: Vocabulary) -> Entity | None:
    """The entity of a tagged string, under its canonical term where the vocabulary knows it.

    Returns:
        None for a string without a word. Its status is what the kind says: a token classifier
        knows neither doubt nor place.
    """
    words = text.strip(_EDGES)
    if not any(letter.isalpha() for letter in words):
        return None
    concept = vocabulary.known(words, kind)
    if concept is not None:
        words, kind = concept.text, concept.kind.negated if kind.is_negated else concept.kind
    status = EntityStatus.ABSENT if kind.is_negated else EntityStatus.PRESENT
    return Entity(normalise(words) if concept is None else words, kind, status)


def _split(name: str, kinds: Mapping[str, EntityKind | None]) -> tuple[str, bool]:
    """A label without its prefix, and whether it begins an entity."""
    prefixed = None if _form(name) in kinds else _PREFIXED.fullmatch(name)
    if prefixed is None:
        return _form(name), False
    return _form(prefixed[2]), prefixed[1] in _BEGINNINGS


def _form(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")
