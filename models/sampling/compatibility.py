"""May two entities stand in one report? Answered for millions of pairs at once.

Reviewers of study 1 found contradictory entities drawn together ("decreased" with "increased",
"pneumothorax" in "rib"); this is what keeps them apart.
"""

import numpy as np
from numpy.typing import NDArray

from models.sampling.claims import AXIS_BITS, SIDE_BITS, read_claims
from models.sampling.entity_table import EntityTable
from models.vocabulary.concepts import Vocabulary

_EXCLUDES, _IMPLIES, _IMPLIED = np.uint8(1), np.uint8(2), np.uint8(4)
Indices = NDArray[np.integer]


class Compatibility:
    """Contradictions and places among the entities of one table.

    Two entities contradict each other when
    - one is denied and the other, which is the same or narrower or implies it, is present;
    - both are present and the vocabulary excludes one beside the other;
    - both are present, of one subject and place, at opposite poles (enlarged, normal, small);
    - one repeats the other ("pleural effusion" beside "small pleural effusion").
    "Left" and "right" of one finding are two places, not two poles.
    """

    def __init__(self, table: EntityTable, vocabulary: Vocabulary) -> None:
        self.num_entities = len(table)
        self._claims = read_claims(table, vocabulary)
        self._denied = table.is_negated
        self._relations = _relations(vocabulary)
        self._places = _places(vocabulary)
        gradable = [concept.gradable for concept in vocabulary.concepts.values()]
        self._gradable = np.array([*gradable, False])[self._claims.concept]

    def conflicts(self, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """Whether pairs of entities contradict or repeat each other; an entity repeats itself.

        Args:
            first: Table indices, any shape.
            second: Table indices; broadcast against `first`.

        Returns:
            Bool of the broadcast shape, symmetric in its arguments.
        """
        first, second = np.broadcast_arrays(first, second)
        shape = first.shape
        first, second = np.atleast_1d(first), np.atleast_1d(second)
        subject, none = self._claims.subject, self._claims.num_concepts
        one, two = subject[first], subject[second]
        relation = self._relations[np.minimum(one, none), np.minimum(two, none)]
        same = one == two
        near = same | (relation != 0)
        result: NDArray[np.bool_] = np.zeros_like(near)
        result[near] = self._contradict(first[near], second[near], same[near], relation[near])
        return result.reshape(shape)

    def may_be_placed(self, finding: Indices, anatomy: Indices) -> NDArray[np.bool_]:
        """Whether a finding occurs in an anatomy; False for what the vocabulary does not know."""
        concept = self._claims.concept
        return self._places[concept[finding], concept[anatomy]]

    def is_gradable(self, finding: Indices) -> NDArray[np.bool_]:
        """Whether "mild", "moderate", "severe" make sense of a finding."""
        return self._gradable[finding]

    def _contradict(
        self,
        first: Indices,
        second: Indices,
        same: NDArray[np.bool_],
        relation: NDArray[np.uint8],
    ) -> NDArray[np.bool_]:
        """`conflicts` of pairs, 1-D, of one subject or of concepts with a relation."""
        denied_1, denied_2 = self._denied[first], self._denied[second]
        within_1, within_2 = self._within(first, second), self._within(second, first)
        implies_12 = (relation & _IMPLIES) != 0
        implies_21 = (relation & _IMPLIED) != 0
        excluded = (relation & _EXCLUDES) != 0
        opposite = self._opposite(first, second)
        alike = same & (within_1 | within_2)
        both_present = excluded | alike | (same & opposite)
        first_denied = (same | implies_21) & within_2
        second_denied = (same | implies_12) & within_1
        return np.select(
            [denied_1 & denied_2, denied_1, denied_2],
            [alike, first_denied, second_denied],
            both_present,
        )

    def _within(self, narrow: Indices, broad: Indices) -> NDArray[np.bool_]:
        """Whether a claim is covered by a broader one: fewer qualifiers, the same place or none."""
        bits, place = self._claims.bits, self._claims.place
        fewer = (bits[broad] & ~bits[narrow]) == 0
        covered: NDArray[np.bool_] = (place[broad] == 0) | (place[broad] == place[narrow])
        covered &= fewer
        return covered

    def _opposite(self, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """Whether two claims of one place are at different poles of an axis."""
        bits, place = self._claims.bits, self._claims.place
        one, two = bits[first], bits[second]
        sides = (one & SIDE_BITS, two & SIDE_BITS)
        one_side = (sides[0] == 0) | (sides[1] == 0) | ((sides[0] & sides[1]) != 0)
        places = (place[first], place[second])
        one_place = (places[0] == 0) | (places[1] == 0) | (places[0] == places[1])
        apart = np.zeros(one.shape, bool)
        for axis in AXIS_BITS:
            apart |= ((one & axis) != 0) & ((two & axis) != 0) & ((one & two & axis) == 0)
        together: NDArray[np.bool_] = one_side & one_place
        return apart & together


def _relations(vocabulary: Vocabulary) -> NDArray[np.uint8]:
    """uint8 (concepts + 1, concepts + 1): excludes, row implies column, row is implied.

    The last row and column, of terms outside the vocabulary, are empty.
    """
    numbers = {text: number for number, text in enumerate(vocabulary.concepts)}
    excludes = np.zeros((len(numbers) + 1,) * 2, bool)
    implies = np.zeros_like(excludes)
    for text, concept in vocabulary.concepts.items():
        excludes[numbers[text], [numbers[other] for other in concept.excludes]] = True
        implies[numbers[text], [numbers[other] for other in _broader(vocabulary, text)]] = True
    symmetric = excludes | excludes.T
    relations: NDArray[np.uint8] = (
        symmetric * _EXCLUDES + implies * _IMPLIES + implies.T * _IMPLIED
    ).astype(np.uint8)
    return relations


def _broader(vocabulary: Vocabulary, text: str) -> set[str]:
    """Everything that a concept implies, directly or through another."""
    found: set[str] = set()
    waiting = list(vocabulary.concepts[text].implies)
    while waiting:
        broader = waiting.pop()
        if broader not in found:
            found.add(broader)
            waiting.extend(vocabulary.concepts[broader].implies)
    return found


def _places(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """Bool (concepts + 1, concepts + 1): the finding of a row occurs in the anatomy of a column."""
    numbers = {text: number for number, text in enumerate(vocabulary.concepts)}
    places = np.zeros((len(numbers) + 1,) * 2, bool)
    for text, concept in vocabulary.concepts.items():
        places[numbers[text], [numbers[place] for place in concept.anatomies]] = True
    return places
