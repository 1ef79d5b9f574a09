"""Where a clause places a finding, and how severe it says it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.taggers.matching import Item, Role
from models.vocabulary.anatomy import Side
from models.vocabulary.concepts import Concept, Vocabulary
from storage.records import Severity

_STOPS_LEFT = frozenset(
    {Role.TERM, Role.COMMA, Role.JOIN, Role.VERB, Role.EXISTENCE, Role.PREPOSITION, Role.BREAK}
)
_BOTH_WORDS = ("both", "bilateral", "biapical", "bibasilar", "bibasal")


@dataclass(frozen=True, slots=True)
class Place:
    """What an item of role PLACE stands for: a canonical anatomy term, its family and side."""

    text: str
    family: str | None
    side: Side | None


def join_sides(clause: Sequence[Item], vocabulary: Vocabulary) -> list[Item]:
    """Give unsided places the side said beside them: "basilar opacity on the left"."""
    return [_with_side(clause, position, vocabulary) for position in range(len(clause))]


def _with_side(clause: Sequence[Item], position: int, vocabulary: Vocabulary) -> Item:
    item = clause[position]
    if item.role is not Role.PLACE or not _is_bare(item):
        return item
    for side in _sides_beside(clause, position):
        text = vocabulary.member(item.value.family, side)
        if text is not None:
            return Item(Role.PLACE, item.text, Place(text, item.value.family, side))
    return item


def _is_bare(item: Item) -> bool:
    place: Place = item.value
    return place.side is Side.BOTH and not item.text.startswith(_BOTH_WORDS)


def _sides_beside(clause: Sequence[Item], position: int) -> list[Side]:
    """Left or right said next to a place, or one term or plain word away."""
    near = [position + 1, position - 1]
    if position + 2 < len(clause) and clause[position + 1].role is Role.TERM:
        near.append(position + 2)
    if position > 1 and clause[position - 1].role is Role.WORD:
        near.append(position - 2)
    items = [clause[index] for index in near if 0 <= index < len(clause)]
    return [item.value for item in items if item.role is Role.SIDE and item.value is not Side.BOTH]


def severity_of(clause: Sequence[Item], position: int) -> Severity | None:
    """Severity said before a term in its noun phrase, or right after it ("is mild")."""
    for item in reversed(clause[:position]):
        if item.role is Role.SEVERITY:
            return Severity(item.value)
        if item.role in _STOPS_LEFT:
            break
    following = clause[position + 1 : position + 4]
    if following and following[0].role is Role.VERB:
        graded = (item.value for item in following if item.role is Role.SEVERITY)
        return next(graded, None)
    return None


def place_of(
    clause: Sequence[Item], position: int, concept: Concept | None, vocabulary: Vocabulary
) -> str | None:
    """Canonical anatomy term that the clause puts the term at `position` in; None if none fits.

    Tried in order: the modifier before it ("left basilar"), what follows it ("in the left base"),
    what follows its list, the clause's subject ("the left base shows"), the place of a sign that
    may be the term. A place the vocabulary does not list for the concept is passed over.

    Args:
        clause: Items, sides already joined.
        position: Where the term stands.
        concept: The term's concept; None for a term the vocabulary does not know.
        vocabulary: Resolves a bare "left" or "right".
    """
    if concept is not None and not concept.anatomies:
        return None
    for item in (_before(clause, position), _after(clause, position)):
        text = item and _resolve(item, concept, vocabulary)
        if text and (concept is None or text in concept.anatomies):
            return text
    if concept is None:
        return None
    far = (_shared(clause, position), _subject(clause, position))
    places = [item.value.text for item in far if item] + [_of_sign(clause, position, vocabulary)]
    return next((place for place in places if place in concept.anatomies), None)


def _resolve(item: Item, concept: Concept | None, vocabulary: Vocabulary) -> str | None:
    if item.role is Role.PLACE:
        return str(item.value.text)
    return vocabulary.default_place(concept, item.value) if concept else None


def _before(clause: Sequence[Item], position: int) -> Item | None:
    for item in reversed(clause[:position]):
        if item.role in (Role.PLACE, Role.SIDE):
            return item
        if item.role in _STOPS_LEFT:
            return None
    return None


def _after(clause: Sequence[Item], position: int) -> Item | None:
    """The first place after a term, before any other term or connector."""
    for item in clause[position + 1 :]:
        if item.role in (Role.PLACE, Role.SIDE):
            return item
        if item.role in (Role.TERM, Role.COMMA, Role.JOIN, Role.BREAK):
            return None
    return None


def _shared(clause: Sequence[Item], position: int) -> Item | None:
    """The place after a list the term is in: "atelectasis and scarring in the left base"."""
    joined = preposition = False
    for item in clause[position + 1 :]:
        if item.role is Role.PREPOSITION:
            preposition = True
        elif item.role in (Role.JOIN, Role.COMMA, Role.UNCERTAINTY_BETWEEN):
            joined, preposition = True, False
        elif item.role is Role.PLACE and preposition:
            return item
        elif item.role is Role.TERM and not joined:
            return None
    return None


def _of_sign(clause: Sequence[Item], position: int, vocabulary: Vocabulary) -> str | None:
    """The place of a sign that may be the term: "left basilar opacity may represent pneumonia"."""
    cues = [i for i in range(position) if clause[i].role is Role.UNCERTAINTY_BEFORE]
    signs = [i for i in range(cues[-1] if cues else 0) if clause[i].role is Role.TERM]
    if not signs:
        return None
    return place_of(clause, signs[-1], clause[signs[-1]].value.concept, vocabulary)


def _subject(clause: Sequence[Item], position: int) -> Item | None:
    """The last place before the term that no other term follows at once."""
    for index in range(position - 1, -1, -1):
        if clause[index].role is Role.TERM:
            return None
        if clause[index].role is Role.PLACE:
            return clause[index]
    return None
