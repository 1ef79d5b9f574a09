"""Text to items: words, and the longest phrases that mean something, in reading order."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

_TOKEN = re.compile(r"\d+\.\d+|[a-z0-9]+(?:'[a-z]+)?|[.,;:?!()]")
_SENTENCE_ENDS = frozenset(".?!")
_SIDE_WORDS = frozenset({"left", "right", "bilateral", "both"})


class Role(Enum):
    """What an item does in its sentence."""

    WORD = auto()  # means nothing by itself
    COMMA = auto()
    BREAK = auto()  # a word or mark after which a new clause begins
    JOIN = auto()  # and, or, nor
    VERB = auto()
    EXISTENCE = auto()  # "seen", "noted": says that the subject is there
    PREPOSITION = auto()
    TERM = auto()
    PLACE = auto()
    DENIAL = auto()
    SIDE = auto()
    SEVERITY = auto()
    IGNORED = auto()
    NEGATION_BEFORE = auto()
    NEGATION_WORD = auto()
    NEGATION_AFTER = auto()
    UNCERTAINTY_BEFORE = auto()
    UNCERTAINTY_WORD = auto()
    UNCERTAINTY_BETWEEN = auto()
    UNCERTAINTY_AFTER = auto()
    RESTART = auto()  # ends a cue's reach within a clause


@dataclass(slots=True)
class Item:
    """One word or phrase. `value` depends on the role; `text` is normalised."""

    role: Role
    text: str
    value: Any = None


class PhraseMatcher:
    """Longest-match over token sequences, a trie of dictionaries; linear in practice."""

    def __init__(self) -> None:
        self._root: dict[str | None, Any] = {}

    def add(self, phrases: Iterable[str], role: Role, value: Any = None) -> None:
        """Make every phrase mean (role, value); a phrase added before keeps its meaning."""
        for phrase in phrases:
            node = self._root
            for token in _TOKEN.findall(phrase):
                node = node.setdefault(token, {})
            node.setdefault(None, (role, value))

    def sentences(self, text: str) -> Iterator[list[Item]]:
        """Items of each sentence. Hyphens and slashes count as spaces, case does not matter."""
        items: list[Item] = []
        tokens = _TOKEN.findall(text.lower())
        position, end = 0, len(tokens)
        while position < end:
            token = tokens[position]
            if token in _SENTENCE_ENDS:
                if items:
                    yield items
                    items = []
                position += 1
                continue
            length, meaning = self._longest(tokens, position)
            if token in _SIDE_WORDS and length > 1:
                length, meaning = self._side_or_place(tokens, position, length, meaning)
            if meaning is None:
                items.append(Item(Role.WORD, token))
            else:
                phrase = token if length == 1 else " ".join(tokens[position : position + length])
                items.append(Item(meaning[0], phrase, meaning[1]))
            position += length
        if items:
            yield items

    def _side_or_place(
        self, tokens: list[str], start: int, length: int, meaning: tuple[Role, Any] | None
    ) -> tuple[int, tuple[Role, Any] | None]:
        """Read "left hilar mass" as a side and a term, not as a place and a rest."""
        beyond, rest = self._longest(tokens, start + 1)
        place = meaning is not None and meaning[0] is Role.PLACE
        if place and rest is not None and rest[0] is Role.TERM and 1 + beyond > length:
            return 1, self._root[tokens[start]].get(None)
        return length, meaning

    def _longest(self, tokens: list[str], start: int) -> tuple[int, tuple[Role, Any] | None]:
        """Length and meaning of the longest phrase that begins at `start`; (1, None) if none."""
        node = self._root.get(tokens[start]) if start < len(tokens) else None
        length, meaning, position = 1, None, start
        while node is not None:
            position += 1
            if None in node:
                length, meaning = position - start, node[None]
            node = node.get(tokens[position]) if position < len(tokens) else None
        return length, meaning
