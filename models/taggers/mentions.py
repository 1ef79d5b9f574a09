"""Mentions to entities: many of one term in a text become one."""

from collections.abc import Iterable
from dataclasses import replace

from storage.records import Entity, EntityKind, EntityStatus

_STRENGTH = {EntityStatus.ABSENT: 0, EntityStatus.UNCERTAIN: 1, EntityStatus.PRESENT: 2}


def merge_mentions(mentions: Iterable[Entity]) -> tuple[Entity, ...]:
    """One entity per term and kind, negation taken off, in order of first mention.

    Present wins over uncertain, uncertain over absent; place and severity are those of the first
    mention with the winning status that has them.
    """
    merged: dict[tuple[str, EntityKind], Entity] = {}
    for entity in mentions:
        family = entity.text, entity.kind.stated
        known = merged.get(family)
        merged[family] = entity if known is None else _stronger(known, entity)
    return tuple(merged.values())


def _stronger(known: Entity, entity: Entity) -> Entity:
    if _STRENGTH[entity.status] > _STRENGTH[known.status]:
        return entity
    if entity.status is not known.status:
        return known
    return replace(
        known,
        anatomy=known.anatomy or entity.anatomy,
        severity=known.severity or entity.severity,
    )
