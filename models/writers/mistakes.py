"""Reports that are wrong on purpose: one entity dropped, turned into its opposite, or added.

A gate that finds nothing cannot be judged. Here a known share of the grammar's reports does not
say what was asked, in prose as good as any other, so that a dataset can be made with and without
the report gate, and the gate be put to the test. What a sample was to say stays as it is: only its
report is wrong.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from models.engines import ReportWriter, WriteRequest, WrittenReport
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from models.writers.grammar import describe
from storage.records import Entity, EntityStatus

Entities = tuple[Entity, ...]


class MistakenWriter:
    """Implements `ReportWriter`: another writer, which is asked for the wrong thing at times.

    Deterministic if that writer is: whether and how a report is wrong comes from its request's
    seed, and one that is right is that writer's own, to the last byte.
    """

    def __init__(self, writer: ReportWriter, share: float) -> None:
        """Make a share of a writer's reports wrong, 0 < share <= 1."""
        self.info = writer.info
        self.max_batch_size = writer.max_batch_size
        self._writer = writer
        self._share = share
        concepts = map(load_vocabulary().of_finding, Finding)
        self._findings = [Entity(one.text, one.kind, EntityStatus.PRESENT) for one in concepts]

    def write(self, requests: Sequence[WriteRequest]) -> list[WrittenReport]:
        """Answer every request, in order; the prompt of a wrong report says what is wrong."""
        told = [self._told(request) for request in requests]
        written = self._writer.write(
            [replace(one, entities=said) for one, said in zip(requests, told, strict=True)]
        )
        return [
            answer
            if said == request.entities
            else replace(answer, prompt=in_words(request.entities, said))
            for request, said, answer in zip(requests, told, written, strict=True)
        ]

    def close(self) -> None:
        """Close that writer."""
        self._writer.close()

    def _told(self, request: WriteRequest) -> Entities:
        """What the writer is asked for: what was asked for, or that with one mistake."""
        random = Random(f"mistake {request.seed}")
        if random.random() >= self._share:
            return request.entities
        return mistaken(request.entities, self._findings, random)


def mistaken(entities: Entities, others: Sequence[Entity], random: Random) -> Entities:
    """One mistake, of those that these entities allow each as likely.

    Args:
        entities: What is to be said.
        others: What may be added; at least one where there are no entities.
        random: Chooses.
    """
    ways: list[Callable[[Entities, Random], Entities]] = []
    if entities:
        ways.append(drop)
    if any(entity.kind.is_clinical for entity in entities):
        ways.append(oppose)
    if unmentioned(entities, others):
        ways.append(partial(add, others=others))
    return random.choice(ways)(entities, random)


def in_words(asked: Entities, said: Entities) -> str:
    """What was asked for and what was said instead, for the prompt column."""
    without = [f"without {describe(entity)}" for entity in asked if entity not in said]
    instead = [f"with {describe(entity)}" for entity in said if entity not in asked]
    wanted = "; ".join(map(describe, asked)) or "nothing"
    return f"{wanted}; by mistake {', '.join([*without, *instead])}"


def drop(entities: Entities, random: Random) -> Entities:
    """All but one; never anatomy that a finding stays in, for it would still be named."""
    places = {entity.anatomy for entity in entities}
    gone = random.choice([i for i, entity in enumerate(entities) if entity.text not in places])
    return entities[:gone] + entities[gone + 1 :]


def oppose(entities: Entities, random: Random) -> Entities:
    """One finding turned into its opposite; where there is none, one anatomy term dropped."""
    clinical = [i for i, entity in enumerate(entities) if entity.kind.is_clinical]
    if not clinical:
        return drop(entities, random)
    index = random.choice(clinical)
    return (*entities[:index], opposite(entities[index]), *entities[index + 1 :])


def add(entities: Entities, random: Random, others: Sequence[Entity]) -> Entities:
    """One more, that is not spoken of; there must be one."""
    return (*entities, random.choice(unmentioned(entities, others)))


def unmentioned(entities: Entities, others: Sequence[Entity]) -> list[Entity]:
    """Those of the others that these neither are nor lie in."""
    mentioned = {entity.text for entity in entities} | {entity.anatomy for entity in entities}
    return [other for other in others if other.text not in mentioned]


def opposite(entity: Entity) -> Entity:
    """Absent if it was said to be there or perhaps there, else present."""
    if entity.status is not EntityStatus.ABSENT:
        return denied(entity)
    return Entity(entity.text, entity.kind.stated, EntityStatus.PRESENT)


def denied(entity: Entity) -> Entity:
    """The same finding, said to be absent."""
    return Entity(entity.text, entity.kind.negated, EntityStatus.ABSENT)
