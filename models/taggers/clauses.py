"""Clauses of a sentence, and what each says of its terms: present, absent or uncertain.

After NegEx (Chapman et al. 2001) and its successors: a cue reaches forward or backward to the
end of its clause. Lists keep one clause ("no effusion, edema or mass"); a comma or "and" begins
a new clause when a statement with a verb of its own follows ("no effusion, the heart is large").
"""

from collections.abc import Sequence

from models.taggers.matching import Item, Role
from storage.records import EntityStatus

_TERMS = (Role.TERM, Role.DENIAL)
_AFTER_CUES = (Role.NEGATION_AFTER, Role.UNCERTAINTY_AFTER)
_ALTERNATIVES = frozenset({"or", "nor"})
_OPENING_WORDS = frozenset(
    {"a", "an", "stable", "mild", "minimal", "small", "moderate", "borderline"}
)


def split_clauses(sentence: Sequence[Item]) -> list[list[Item]]:
    """Clauses of a sentence, in order; connectors at their edges are dropped."""
    clauses: list[list[Item]] = [[]]
    for position, item in enumerate(sentence):
        connects = item.role in (Role.COMMA, Role.JOIN)
        if item.role is Role.BREAK or (
            connects and _begins_clause(clauses[-1], item, sentence[position + 1 :])
        ):
            clauses.append([])
        else:
            clauses[-1].append(item)
    return [clause for clause in clauses if clause]


def _begins_clause(left: Sequence[Item], connector: Item, right: Sequence[Item]) -> bool:
    """Whether what follows a comma or joining word is a statement of its own."""
    segment = _until_next_comma(right)
    if not left or not segment or {connector.text, segment[0].text} & _ALTERNATIVES:
        return False
    roles = {item.role for item in segment}
    denying = any(item.role is Role.NEGATION_BEFORE for item in left)
    if connector.role is Role.COMMA and denying and segment[0].text in _OPENING_WORDS:
        return True
    if not roles & {Role.VERB, *_AFTER_CUES}:
        return False
    if any(item.role in (Role.VERB, Role.EXISTENCE) for item in left):
        return True
    if denying:
        return Role.EXISTENCE not in roles
    return connector.role is Role.COMMA and segment[0].role is not Role.JOIN


def _until_next_comma(items: Sequence[Item]) -> Sequence[Item]:
    for position, item in enumerate(items):
        if item.role in (Role.COMMA, Role.BREAK):
            return items[:position]
    return items


def statuses(clause: Sequence[Item]) -> list[EntityStatus]:
    """What the clause says of each of its items; meant for its terms.

    Denial wins over doubt ("no opacity to suggest pneumonia" denies both).
    """
    denied, doubted = _reach_forward(clause)
    for position, item in enumerate(clause):
        if item.role is Role.NEGATION_AFTER:
            denied.update(range(position))
        elif item.role is Role.UNCERTAINTY_AFTER:
            doubted.update(range(_start_of_backward_reach(clause, position), position))
        elif item.role is Role.UNCERTAINTY_BETWEEN:
            doubted.update(_neighbours(clause, position))
    return [_status(position in denied, position in doubted) for position in range(len(clause))]


def _status(denied: bool, doubted: bool) -> EntityStatus:
    if denied:
        return EntityStatus.ABSENT
    return EntityStatus.UNCERTAIN if doubted else EntityStatus.PRESENT


def _reach_forward(clause: Sequence[Item]) -> tuple[set[int], set[int]]:
    """Positions that cues before them deny, and that they make uncertain."""
    denied: set[int] = set()
    doubted: set[int] = set()
    denying = denying_to_comma = doubting = doubting_next = False
    for position, item in enumerate(clause):
        role = item.role
        if role is Role.NEGATION_BEFORE:
            denying = True
        elif role is Role.NEGATION_WORD:
            denying_to_comma = True
        elif role is Role.UNCERTAINTY_BEFORE:
            doubting = True
        elif role is Role.UNCERTAINTY_WORD:
            doubting_next = True
        elif role is Role.RESTART:
            denying = denying_to_comma = doubting = doubting_next = False
        elif role is Role.COMMA:
            denying_to_comma = False
        elif role in _TERMS:
            if denying or denying_to_comma:
                denied.add(position)
            if doubting or doubting_next:
                doubted.add(position)
            doubting_next = doubting_next and _joined_by_or(clause, position)
    return denied, doubted


def _joined_by_or(clause: Sequence[Item], position: int) -> bool:
    following = clause[position + 1] if position + 1 < len(clause) else None
    return following is not None and (
        following.text == "or" or following.role is Role.UNCERTAINTY_BETWEEN
    )


def _start_of_backward_reach(clause: Sequence[Item], cue: int) -> int:
    """A doubt said last reaches back to an earlier doubt or restart, else to the clause's start."""
    for position in range(cue - 1, -1, -1):
        if clause[position].role in (Role.RESTART, Role.UNCERTAINTY_BEFORE):
            return position
    return 0


def _neighbours(clause: Sequence[Item], position: int) -> list[int]:
    """The nearest term on either side of "versus"."""
    before = [i for i in range(position) if clause[i].role in _TERMS][-1:]
    after = [i for i in range(position + 1, len(clause)) if clause[i].role in _TERMS][:1]
    return before + after
