"""The facets of a table: what each counts, and the words a page has for it."""

from dataclasses import dataclass

from storage.layout import Table

NOT_STATED = "not stated"  # the value of rows whose column is null
ENTITY_SEPARATOR = ":"  # of kind and text: "disease:pleural effusion"
_DECADES = 10
_MAX_TRIES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Facet:
    """One way to choose rows.

    Attributes:
        name: In URLs.
        title: On pages.
    """

    name: str
    title: str


ENTITY, FINDING, GATE = "entity", "finding", "gate"
IN_ORDER = ("age", "tries")  # by value; the others by how frequent they are
WITH_ONE_VALUE = (ENTITY, FINDING, GATE, "reason", "stage", "reviewer")  # tell something even so
_COMMON = (
    Facet(FINDING, "Finding"),
    Facet(ENTITY, "Entity in the report"),
    Facet("view", "View"),
    Facet("sex", "Sex"),
    Facet("age", "Age"),
    Facet("writer", "Writer"),
    Facet("painter", "Painter"),
    Facet("split", "Split"),
    Facet("corpus", "Source corpus"),
    Facet("tries", "Tries"),
    Facet("unit", "Unit"),
    Facet(GATE, "Gate that said no"),
)
_OF_REJECTS = (Facet("reason", "Reason"), Facet("stage", "Stage"), Facet("outcome", "Outcome"))


def facets_of(table: Table) -> tuple[Facet, ...]:
    """The facets of pairs or of rejects, in the order of the page."""
    return (*_OF_REJECTS, *_COMMON) if table is Table.REJECTS else _COMMON


def age_band(age_years: int | None) -> str:
    """The decade of an age: "60-69"."""
    if age_years is None:
        return NOT_STATED
    first = age_years // _DECADES * _DECADES
    return f"{first:02d}-{first + _DECADES - 1:02d}"


def tries_band(tries: int | None) -> str:
    """A number of tries, the many together."""
    if tries is None:
        return NOT_STATED
    return str(tries) if tries < _MAX_TRIES_SHOWN else f"{_MAX_TRIES_SHOWN} or more"


def entity_value(kind: str, text: str) -> str:
    """The facet value of an entity."""
    return f"{kind}{ENTITY_SEPARATOR}{text}"
