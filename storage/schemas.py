"""Arrow schemas derived from the dataclasses of `storage/records.py`, in this one place.

str → string, int → int64, float → float64, bool → bool, bytes → binary, StrEnum → string,
tuple[X, ...] → list of X, dataclass → struct, X | None → nullable. Values round-trip exactly.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa

Record = TypeVar("Record")
_Convert = Callable[[Any], Any]

_SCALARS: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
}


def arrow_schema(record_type: type) -> pa.Schema:
    """The schema of a table whose rows are `record_type`."""
    return _cached_schema(record_type)


@cache
def _cached_schema(record_type: type) -> pa.Schema:
    return pa.schema([arrow_field(name, hint) for name, hint in _hints(record_type).items()])


def arrow_field(name: str, hint: Any) -> pa.Field:
    """The field of a type hint; nullable exactly when the hint allows None."""
    inner, nullable = _strip_none(hint)
    return pa.field(name, _arrow_type(inner), nullable=nullable)


def to_arrow(records: Iterable[Record], record_type: type[Record]) -> pa.Table:
    """Rows of dataclass records as an Arrow table of `arrow_schema(record_type)`."""
    encode = _encoder(record_type)
    rows = [encode(record) for record in records]
    return pa.Table.from_pylist(rows, schema=arrow_schema(record_type))


def from_arrow(table: pa.Table, record_type: type[Record]) -> list[Record]:
    """The records of a table written by `to_arrow`.

    Raises:
        ValueError: If the table's fields are not those of `record_type`.
    """
    expected = arrow_schema(record_type)
    if not table.schema.equals(expected, check_metadata=False):
        raise ValueError(
            f"expected a table of {record_type.__name__} with {expected.names}, "
            f"got {table.schema.names}; it was written by another version"
        )
    decode = _decoder(record_type)
    return [decode(row) for row in table.to_pylist()]


def encode_rows(records: Sequence[Any], record_type: type) -> list[dict[str, Any]]:
    """Records as plain rows, for a table that carries them as structs."""
    encode = _encoder(record_type)
    return [encode(record) for record in records]


def decode_rows(rows: Iterable[dict[str, Any]], record_type: type[Record]) -> list[Record]:
    """The inverse of `encode_rows`."""
    decode = _decoder(record_type)
    return [decode(row) for row in rows]


@cache
def _hints(record_type: type) -> dict[str, Any]:
    hints = get_type_hints(record_type)
    return {field.name: hints[field.name] for field in dataclasses.fields(record_type)}


def _strip_none(hint: Any) -> tuple[Any, bool]:
    """(X, True) for X | None, else (hint, False)."""
    if get_origin(hint) not in (types.UnionType, typing.Union):
        return hint, False
    rest = [part for part in get_args(hint) if part is not types.NoneType]
    assert len(rest) == 1, f"a field may be X or X | None, got {hint}"
    return rest[0], True


def _arrow_type(hint: Any) -> pa.DataType:
    if get_origin(hint) is tuple:
        return pa.list_(arrow_field("item", _item_hint(hint)))
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return pa.struct([arrow_field(name, inner) for name, inner in _hints(hint).items()])
    if issubclass(hint, StrEnum):
        return pa.string()
    return _SCALARS[hint]


def _item_hint(hint: Any) -> Any:
    item, *rest = get_args(hint)
    assert rest == [Ellipsis], f"tuples are of one type and any length, got {hint}"
    return item


def _encoder(hint: Any) -> _Convert:
    """A function from a value of this type to what pyarrow takes."""
    return _cached_encoder(hint)


@cache
def _cached_encoder(hint: Any) -> _Convert:
    inner, nullable = _strip_none(hint)
    if nullable:
        encode = _encoder(inner)
        return lambda value: None if value is None else encode(value)
    if get_origin(hint) is tuple:
        encode = _encoder(_item_hint(hint))
        return lambda value: [encode(item) for item in value]
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        fields = [(name, _encoder(part)) for name, part in _hints(hint).items()]
        return lambda value: {name: encode(getattr(value, name)) for name, encode in fields}
    return lambda value: value


def _decoder(hint: Any) -> _Convert:
    """The inverse of `_encoder`."""
    return _cached_decoder(hint)


@cache
def _cached_decoder(hint: Any) -> _Convert:
    inner, nullable = _strip_none(hint)
    if nullable:
        decode = _decoder(inner)
        return lambda value: None if value is None else decode(value)
    if get_origin(hint) is tuple:
        decode = _decoder(_item_hint(hint))
        return lambda value: tuple(decode(item) for item in value)
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        fields = [(name, _decoder(part)) for name, part in _hints(hint).items()]
        return lambda value: hint(**{name: decode(value[name]) for name, decode in fields})
    return hint if issubclass(hint, StrEnum) else lambda value: value
