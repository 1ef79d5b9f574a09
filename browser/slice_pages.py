"""The routes of slices: save a page's filters under a name, and list what is saved."""

import shlex
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from browser.asking import Asked, library_of, open_asked
from browser.facets import ENTITY
from browser.filters import Filters, parse_filters
from browser.library import Library
from browser.open_tables import OpenTable
from browser.problems import Problem
from browser.rendering import number, plain, render
from browser.review_columns import STATUS
from browser.review_desk import Desk
from browser.review_forms import Dataset, Posted, desk_there, field, number_field
from browser.slice_filters import page_filters, slice_filter
from storage.errors import FactoryError, PlanMismatch
from storage.layout import DatasetLayout, Table
from storage.slices import Slice, SliceFilter, read_slice, save_slice, slice_names

router = APIRouter(prefix="/review", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SliceLine:
    """A slice as the list shows it.

    Attributes:
        num_pairs: That it means.
        address: Of the page that shows just these; empty where none can.
        content: Its filter in words; none for all pairs.
        problem: Why it cannot be read; empty where it can.
    """

    name: str
    release: int = 0
    num_pairs: int = 0
    num_all: int = 0
    address: str = ""
    content: tuple[str, ...] = ()
    export: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Saved:
    """A slice, and the table that it is of."""

    found: Slice
    opened: OpenTable


@router.get("/{dataset}/slices")
def slices(request: Request, dataset: Dataset, saved: str = "") -> Response:
    """What is saved, with how many pairs it means and how to use it."""
    library = library_of(request)
    saved_ones, unreadable = _read_all(library, dataset)
    _count(desk_there(request), saved_ones.values())
    readable = {name: _line(request, library, name, one) for name, one in saved_ones.items()}
    lines = [line for _, line in sorted((readable | unreadable).items())]
    return render(
        request,
        "slices.html",
        dataset=dataset,
        lines=lines,
        saved=saved if saved in [line.name for line in lines] else "",
        root=library.store.root,
    )


@router.post("/{dataset}/slices")
def save(request: Request, dataset: Dataset, form: Posted) -> Response:
    """Save a page's filters; the slice means just the pairs that the page shows."""
    library, name = library_of(request), field(form, "name")
    opened = open_asked(request, dataset, number_field(form, "release"), Table.PAIRS)
    opened = desk_there(request).with_decisions(opened)
    index = opened.index
    filters = parse_filters(parse_qsl(field(form, "query")), index.facets, index.bounds)
    asked = Asked(opened, filters)
    wanted = slice_filter(filters, index.facets[ENTITY].values)
    saved = Slice(release=opened.release.number, filter=wanted)
    _require_same(desk_there(request), asked, saved)
    try:
        save_slice(library.store, DatasetLayout(dataset), name, saved)
    except PlanMismatch as error:
        raise Problem(HTTPStatus.CONFLICT, str(error), "Go back, and name it otherwise.") from error
    address = f"/review/{dataset}/slices?saved={quote(name)}"
    return RedirectResponse(address, HTTPStatus.SEE_OTHER)


def _require_same(desk: Desk, asked: Asked, wanted: Slice) -> None:
    """Refuse a slice that would mean other pairs than the page shows."""
    opened, filters = asked.opened, asked.filters
    shown = opened.answers.rows(filters)
    meant = desk.slice_rows(opened.release, wanted, opened.index.num_rows)
    if not np.array_equal(shown, meant):
        raise Problem(
            HTTPStatus.CONFLICT,
            f"The page shows {np.count_nonzero(shown)} pairs, and a slice of its filters means "
            f"{np.count_nonzero(meant)}.",
            _why(filters, opened.release.dataset),
        )


def _why(filters: Filters, dataset: str) -> str:
    if STATUS.name in filters.by_facet:
        return (
            "A slice goes by the decisions that its release names; for those made since, run "
            f"cxr-factory release {dataset} and save it on that release."
        )
    if filters.text:
        return (
            "Words of a slice are whole words as they are written, where a page takes the forms "
            "of a word as one: search for another form."
        )
    return "Move the slider that ends beside a value: a page compares scores with 7 digits."


def _read_all(library: Library, dataset: str) -> tuple[dict[str, _Saved], dict[str, SliceLine]]:
    """Every slice by its name; and a line for each that cannot be read, which says why."""
    saved, unreadable = dict[str, _Saved](), dict[str, SliceLine]()
    for name in slice_names(library.store, library.layout(dataset)):
        try:
            found = read_slice(library.store, DatasetLayout(dataset), name)
            saved[name] = _Saved(found, library.open(dataset, found.release, Table.PAIRS))
        except (Problem, FactoryError) as error:
            if isinstance(error, Problem) and error.status is HTTPStatus.FORBIDDEN:
                raise
            unreadable[name] = SliceLine(name, problem=str(error))
    return saved, unreadable


def _count(desk: Desk, saved: Collection[_Saved]) -> None:
    """Count all of them, in one scan of each release."""
    for release in {one.found.release: one.opened.release for one in saved}.values():
        desk.count_slices(
            release, [one.found for one in saved if one.found.release == release.number]
        )


def _line(request: Request, library: Library, name: str, read: _Saved) -> SliceLine:
    found, opened = read.found, read.opened
    dataset = opened.release.dataset
    filters = page_filters(found.filter, opened.index)
    export = ["cxr-factory", "export", dataset, f"./{name}", "--format", "parquet"]
    return SliceLine(
        name=name,
        release=found.release,
        num_pairs=desk_there(request).slice_size(opened.release, found),
        num_all=opened.index.num_rows,
        address="" if filters is None else Asked(opened, filters).link(filters),
        content=_content(found.filter) if filters is None else _chosen(filters),
        export=shlex.join([*export, "--slice", name, "--root", library.store.root]),
    )


def _chosen(filters: Filters) -> tuple[str, ...]:
    """Filters of a page in its own words."""
    lines = [f"{one.facet}: {one.value}" for one in filters.choices]
    for one in filters.ranges:
        lines += [f"{one.measure} ≥ {number(one.low)}"] if one.low is not None else []
        lines += [f"{one.measure} ≤ {number(one.high)}"] if one.high is not None else []
    return tuple([*lines, f"words: {filters.text}"] if filters.text else lines)


def _content(wanted: SliceFilter) -> tuple[str, ...]:
    """A filter that no page has, field by field."""
    fields = wanted.model_dump(mode="json", exclude_defaults=True)
    return tuple(f"{plain(name)}: {_plain(value)}" for name, value in fields.items())


def _plain(value: Any) -> str:
    """A filter's field for people: names and numbers without the marks of JSON."""
    if isinstance(value, dict):
        return " ".join(f"{name} {_plain(one)}" for name, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return str(value)
