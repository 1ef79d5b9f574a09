from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.records import (
    Entity,
    EntityKind,
    EntityStatus,
    ImageRow,
    Report,
    ReportRow,
)
from storage.schemas import arrow_schema, from_arrow, to_arrow
from tests.storage.made import image_row, quarantined_row, report_row


class _Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class _Inner:
    name: str
    maybe: float | None


@dataclass(frozen=True, slots=True)
class _Everything:
    text: str
    number: int
    real: float
    flag: bool
    data: bytes
    colour: _Colour
    maybe_colour: _Colour | None
    inner: _Inner
    maybe_inner: _Inner | None
    many: tuple[_Inner, ...]
    names: tuple[str, ...]


_RECORDS = st.builds(_Everything, number=st.integers(-(2**63), 2**63 - 1))


def test_arrow_schema_follows_the_types() -> None:
    inner = pa.struct([pa.field("name", pa.string(), False), pa.field("maybe", pa.float64())])
    expected = pa.schema(
        [
            pa.field("text", pa.string(), False),
            pa.field("number", pa.int64(), False),
            pa.field("real", pa.float64(), False),
            pa.field("flag", pa.bool_(), False),
            pa.field("data", pa.binary(), False),
            pa.field("colour", pa.string(), False),
            pa.field("maybe_colour", pa.string(), True),
            pa.field("inner", inner, False),
            pa.field("maybe_inner", inner, True),
            pa.field("many", pa.list_(pa.field("item", inner, False)), False),
            pa.field("names", pa.list_(pa.field("item", pa.string(), False)), False),
        ]
    )
    assert arrow_schema(_Everything).equals(expected)


@given(st.lists(_RECORDS, max_size=4))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_any_record_round_trips_exactly(records: list[_Everything]) -> None:
    again = from_arrow(to_arrow(records, _Everything), _Everything)
    assert repr(again) == repr(records)  # repr, since nan is not equal to itself


def test_rows_of_the_stages_round_trip_exactly() -> None:
    reports = [report_row(0), report_row(1)]
    images = [image_row(0), quarantined_row(1)]
    assert from_arrow(to_arrow(reports, ReportRow), ReportRow) == reports
    assert from_arrow(to_arrow(images, ImageRow), ImageRow) == images
    assert from_arrow(to_arrow([], ImageRow), ImageRow) == []


def test_from_arrow_gives_enums_not_strings() -> None:
    entity = Entity("edema", EntityKind.NON_DISEASE, EntityStatus.ABSENT)
    (again,) = from_arrow(to_arrow([entity], Entity), Entity)
    assert again.kind is EntityKind.NON_DISEASE
    assert again.severity is None


def test_from_arrow_other_fields_are_refused() -> None:
    table = pa.table({"findings": ["a"]})
    with pytest.raises(ValueError, match=r"expected a table of Report .*got \['findings'\]"):
        from_arrow(table, Report)
