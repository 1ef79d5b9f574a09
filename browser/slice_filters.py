"""Filters of a page as a slice, and a slice as filters of a page.

A slice has fewer words than a page has facets; what it cannot say is refused by name.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

from browser.entity_columns import finding_of
from browser.facets import ENTITY, ENTITY_SEPARATOR, FINDING, NOT_STATED
from browser.filters import Choice, Filters, Range, parse_filters
from browser.review_columns import STATUS
from browser.table_index import TableIndex
from storage.slices import EntityFilter, ScoreFilter, SliceFilter

_ONE_OF = {  # facet -> field of a slice
    "view": "views",
    "sex": "sexes",
    "split": "splits",
    "writer": "writers",
    "painter": "painters",
    STATUS.name: "reviews",
}
_RANGES = {"age": ("min_age_years", "max_age_years"), "unit": ("min_unit", "max_unit")}
_DECADE = 10
_MAX_UNITS = 50


def slice_filter(filters: Filters, entities: Iterable[str]) -> SliceFilter:
    """What filters mean, in the words of a slice; the order of the page is no part of it.

    Args:
        filters: Of a page.
        entities: Values of the table's entity facet, which say what a finding is called.

    Raises:
        ValueError: If a slice has no word for one of them; says which to take away.
    """
    fields: dict[str, Any] = {"words": _words(filters.text)}
    for facet, values in filters.by_facet.items():
        if NOT_STATED in values:
            raise ValueError(f"a slice cannot ask for {facet}: {NOT_STATED}; take it away")
        if facet in _ONE_OF:
            fields[_ONE_OF[facet]] = values
        elif facet in _RANGES:
            fields |= zip(_RANGES[facet], _bounds(facet, values), strict=True)
        elif facet == ENTITY:
            fields["entities"] = [_entity(value) for value in values]
        elif facet == FINDING:
            fields["entity_groups"] = [_group(value, entities) for value in values]
        else:
            raise ValueError(f"a slice cannot hold the facet {facet!r}; take it away")
    fields["scores"] = [_score(one) for one in filters.ranges]
    return SliceFilter.model_validate(fields)


def page_filters(wanted: SliceFilter, index: TableIndex) -> Filters | None:
    """Filters of a page that mean a slice; None where no page can show just that."""
    choices = {
        Choice(facet, str(value))
        for facet, field in _ONE_OF.items()
        for value in getattr(wanted, field)
    }
    choices |= {Choice(ENTITY, f"{one.kind}:{one.text}") for one in wanted.entities}
    findings = (_finding(group[0]) for group in wanted.entity_groups)
    choices |= {Choice(FINDING, finding) for finding in findings if finding}
    choices |= {Choice("age", value) for value in _decades(wanted)}
    choices |= {Choice("unit", value) for value in _units(wanted)}
    ranges = [
        Range(f"{one.gate}/{one.measure}", one.at_least, one.at_most) for one in wanted.scores
    ]
    query = Filters(tuple(choices), tuple(ranges), wanted.words).query()
    try:
        found = parse_filters(parse_qsl(query), index.facets, index.bounds)
        same = slice_filter(found, index.facets[ENTITY].values)
    except ValueError:
        return None
    return found if _content(same) == _content(wanted) else None


def _content(wanted: SliceFilter) -> dict[str, Any]:
    """A filter as what it means: in lists, order says nothing."""
    fields = wanted.model_dump(mode="json")
    return {
        name: sorted(map(str, value)) if isinstance(value, list) else value
        for name, value in fields.items()
    }


def _words(text: str) -> str:
    if '"' in text:
        raise ValueError(f"a slice has single words and no phrase, got {text!r}; take it away")
    return text


def _entity(value: str) -> EntityFilter:
    kind, _, text = value.partition(ENTITY_SEPARATOR)
    return EntityFilter.model_validate({"text": text, "kind": kind})


def _group(finding: str, entities: Iterable[str]) -> list[EntityFilter]:
    """Every entity that states a finding."""
    stated = map(_entity, sorted(entities))
    group = [entity for entity in stated if _finding(entity) == finding]
    if not group:
        raise ValueError(f"no pair of this release states {finding!r}; take it away")
    return group


def _finding(entity: EntityFilter) -> str | None:
    return None if entity.kind is None else finding_of(entity.kind, entity.text)


def _score(asked: Range) -> ScoreFilter:
    gate, _, measure = asked.measure.partition("/")
    return ScoreFilter(gate=gate, measure=measure, at_least=asked.low, at_most=asked.high)


def _bounds(facet: str, values: Sequence[str]) -> tuple[int, int]:
    """First and last of values that follow each other without a gap."""
    spans = sorted(tuple(map(int, value.split("-"))) for value in values)
    gaps = [one for one, next_one in pairwise(spans) if one[-1] + 1 != next_one[0]]
    if gaps:
        raise ValueError(
            f"a slice has one range of {facet}, got {', '.join(values)}; "
            "take values away until the rest follow each other"
        )
    return spans[0][0], spans[-1][-1]


def _decades(wanted: SliceFilter) -> list[str]:
    if wanted.min_age_years is None or wanted.max_age_years is None:
        return []
    firsts = range(wanted.min_age_years, wanted.max_age_years + 1, _DECADE)
    return [f"{first:02d}-{first + _DECADE - 1:02d}" for first in firsts]


def _units(wanted: SliceFilter) -> list[str]:
    if wanted.min_unit is None or wanted.max_unit is None:
        return []
    units = range(wanted.min_unit, wanted.max_unit + 1)
    return [str(unit) for unit in units] if len(units) <= _MAX_UNITS else []
