"""What a term claims, as numbers: of which subject, with which qualifiers, in which place.

A vocabulary term is its own subject. Any other string ("small left pleural effusion", "opacity in
the lingula") is taken apart, so that 150,000 of them can be compared with array operations.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.sampling.entity_table import EntityTable
from models.vocabulary.concepts import Vocabulary
from models.vocabulary.words import normalise

# Words of one tuple mean the same. A word outside these lists belongs to the subject.
_SIDES = {"left": ("left", "left sided"), "right": ("right", "right sided")}
_BOTH_SIDES = ("bilateral", "bilaterally", "both")
_POLES = {
    "more": (
        "increased",
        "enlarged",
        "large",
        "larger",
        "elevated",
        "high",
        "prominent",
        "widened",
    ),
    "normal": ("normal", "unremarkable", "preserved"),
    "less": ("decreased", "reduced", "small", "smaller", "low", "diminished", "narrowed"),
    "mild": ("mild", "mildly", "minimal", "minimally", "slight", "slightly", "trace", "tiny"),
    "moderate": ("moderate", "moderately"),
    "severe": ("severe", "severely", "marked", "markedly", "extensive", "massive"),
}
_AXES = (("more", "normal", "less"), ("mild", "moderate", "severe"))
_PLAIN = {
    "upper": ("upper",),
    "middle": ("mid", "middle"),
    "lower": ("lower",),
    "base": ("basilar", "basal", "bibasilar", "bibasal"),
    "apex": ("apical", "biapical"),
    "perihilar": ("perihilar", "parahilar"),
    "retrocardiac": ("retrocardiac",),
    "peripheral": ("peripheral", "peripherally"),
    "central": ("central", "centrally"),
    "anterior": ("anterior",),
    "posterior": ("posterior",),
    "medial": ("medial",),
    "lateral": ("lateral",),
    "acute": ("acute",),
    "chronic": ("chronic",),
    "focal": ("focal",),
    "diffuse": ("diffuse", "diffusely"),
    "patchy": ("patchy",),
    "multiple": ("multiple", "several", "multifocal", "scattered"),
    "single": ("single", "solitary"),
    "definite": ("definite", "obvious", "overt", "significant"),
}
_ARTICLES = {"a", "an", "the", "of"}
_REGION_NOUNS = {"lobe", "lobes", "zone", "zones", "lung", "lungs", "field", "fields", "region"}
_PREPOSITIONS = {"in", "at", "within", "overlying", "along"}

_NAMES = [*_SIDES, *_POLES, *_PLAIN]
_BIT = {name: np.uint64(1 << position) for position, name in enumerate(_NAMES)}
_BITS_OF_WORD = {
    word: _BIT[name]
    for words_of in (_SIDES, _POLES, _PLAIN)
    for name, words in words_of.items()
    for word in words
} | dict.fromkeys(_BOTH_SIDES, _BIT["left"] | _BIT["right"])

SIDE_BITS = _BIT["left"] | _BIT["right"]
AXIS_BITS = tuple(np.bitwise_or.reduce([_BIT[pole] for pole in axis]) for axis in _AXES)
NORMAL_BIT = _BIT["normal"]


@dataclass(frozen=True, eq=False)
class Claims:
    """Claims of every entity of a table, as columns of its length.

    Attributes:
        subject: int32; below `num_concepts` the position of a concept in the vocabulary.
        bits: uint64, one per qualifier (left, small, acute ...); "bilateral" is left and right.
        place: int32, 0 for none; the anatomy that a string itself names ("... in the lingula").
        concept: int32, position of the concept that the whole text is; `num_concepts` for none.
        num_concepts: Concepts in the vocabulary.
    """

    subject: NDArray[np.int32]
    bits: NDArray[np.uint64]
    place: NDArray[np.int32]
    concept: NDArray[np.int32]
    num_concepts: int


class _Parser:
    """Takes terms apart; equal subjects and places get equal numbers."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._numbers = {text: number for number, text in enumerate(vocabulary.concepts)}
        self._places = {"": 0}
        self.subject_of = lru_cache(maxsize=None)(self._subject_of)

    def parse(self, text: str, negated: bool) -> tuple[int, int, int, int]:
        """(subject, bits, place, concept) of one term."""
        known = self._known(text, negated)
        if known is not None:
            return known, 0, 0, known
        head, place = _split_place(normalise(text).split())
        words = tuple(word for word in head if word not in _ARTICLES)
        bits = np.bitwise_or.reduce(
            [_BITS_OF_WORD.get(w, np.uint64(0)) for w in words] or [np.uint64(0)]
        )
        if negated:  # "normal mediastinum" denies whatever would be wrong with it
            bits = np.uint64(bits) & ~NORMAL_BIT
        rest = tuple(word for word in words if word not in _BITS_OF_WORD)
        number = self._places.setdefault(self._place_name(place), len(self._places))
        return self.subject_of(rest), int(bits), number, len(self._vocabulary.concepts)

    def _known(self, text: str, negated: bool) -> int | None:
        """The concept that a whole text is, or whose absence it states."""
        concept = self._vocabulary.lookup(text)
        if concept is not None:
            return self._numbers[concept.text]
        denied = self._vocabulary.denials.get(normalise(text)) if negated else None
        return None if denied is None else self._numbers[denied]

    def _subject_of(self, words: tuple[str, ...]) -> int:
        """Number of what is left of a term without its qualifiers, as a concept if it is one."""
        core = " ".join(words)
        bare = " ".join(word for word in words if word not in _REGION_NOUNS)
        for form in (core, bare):
            concept = self._vocabulary.lookup(form) if form else None
            if concept is not None:
                return self._numbers[concept.text]
        return self._numbers.setdefault(f"\0{bare or core}", len(self._numbers))

    def _place_name(self, words: list[str]) -> str:
        text = " ".join(word for word in words if word not in _ARTICLES)
        concept = self._vocabulary.lookup(text) if text else None
        return text if concept is None else concept.text


def read_claims(table: EntityTable, vocabulary: Vocabulary) -> Claims:
    """What every entity of a table claims."""
    parser = _Parser(vocabulary)
    parsed = [
        parser.parse(text, bool(negated))
        for text, negated in zip(table.texts, table.is_negated, strict=True)
    ]
    subject, bits, place, concept = zip(*parsed, strict=True) if parsed else ((), (), (), ())
    return Claims(
        subject=np.array(subject, np.int32),
        bits=np.array(bits, np.uint64),
        place=np.array(place, np.int32),
        concept=np.array(concept, np.int32),
        num_concepts=len(vocabulary.concepts),
    )


def place_named_in(text: str) -> str | None:
    """The words behind the first preposition of a term ("rib" in "pneumothorax in the rib")."""
    _, place = _split_place(normalise(text).split())
    return " ".join(word for word in place if word not in _ARTICLES) or None


def head_of(text: str) -> str:
    """A term without the place it names and without qualifiers."""
    head, _ = _split_place(normalise(text).split())
    return " ".join(word for word in head if word not in _ARTICLES and word not in _BITS_OF_WORD)


def _split_place(words: list[str]) -> tuple[list[str], list[str]]:
    at = next((i for i, word in enumerate(words) if i and word in _PREPOSITIONS), len(words))
    return words[:at], words[at + 1 :]
