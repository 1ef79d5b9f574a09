"""Slices: what a page saves means the pairs that it shows, and nothing else."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from browser.filters import Filters, parse_filters
from browser.library import Library
from browser.open_tables import OpenTable
from browser.settings import Reviewing, Settings
from browser.slice_filters import page_filters, slice_filter
from storage.layout import DatasetLayout, Table
from storage.objects import LocalStore, ObjectStore
from storage.records import EntityKind, EntityStatus, View
from storage.releases import Release, release_reviews
from storage.review_rules import ReviewStatus
from storage.slice_scan import matching_ids, matching_rows
from storage.slices import (
    EntityFilter,
    ScoreFilter,
    Slice,
    SliceFilter,
    read_slice,
    save_slice,
    slice_names,
)
from tests.browser.released import NAME, client_of, make_release, reference

PAIRS = f"/datasets/{NAME}/1/pairs"
SLICES = f"/review/{NAME}/slices"
LAYOUT = DatasetLayout(NAME)
OWN = {"origin": "http://127.0.0.1:4300"}


@pytest.fixture(scope="module")
def pairs(settings: Settings) -> OpenTable:
    return Library(settings).open(NAME, 1, Table.PAIRS)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=24, num_rejects=1)
    return store


@pytest.fixture
def ann(store: LocalStore) -> Iterator[TestClient]:
    with client_of(Settings(root=store.root, reviewing=Reviewing("ann"))) as client:
        yield client


def _entities(opened: OpenTable) -> Sequence[str]:
    return opened.index.facets["entity"].values


def _parse(opened: OpenTable, query: Sequence[tuple[str, str]]) -> Filters:
    return parse_filters(query, opened.index.facets, opened.index.bounds)


_CHOICES = {
    "view": ["AP", "PA"],
    "sex": ["F", "M"],
    "split": ["train", "validation"],
    "finding": ["Effusion", "Nodule"],
    "entity": ["abnormality:lung nodule", "anatomy:left lung", "non-abnormality:pleural effusion"],
    "writer": ["grammar"],
}
_queries = st.builds(
    lambda choices, ages, units, low, high, text: [
        *choices,
        *(("age", f"{first}0-{first}9") for first in ages),
        *(("unit", str(unit)) for unit in units),
        *([("min:technical/contrast", str(low))] if low is not None else []),
        *([("max:technical/contrast", str(high))] if high is not None else []),
        *([("q", text)] if text else []),
    ],
    st.lists(
        st.sampled_from([(name, value) for name, values in _CHOICES.items() for value in values]),
        max_size=4,
        unique=True,
    ),
    st.builds(range, st.integers(2, 5), st.integers(2, 8)),
    st.builds(range, st.integers(0, 9), st.integers(0, 14)),
    st.none() | st.sampled_from([1, 2.5, 8]),
    st.none() | st.sampled_from([9, 12.25, 15]),
    st.sampled_from(["", "nodule", "EFFUSION pleural", "no", "nowhere"]),
)


@given(query=_queries)
def test_page_and_slice_of_the_same_filters_mean_the_same_pairs(
    pairs: OpenTable, settings: Settings, query: list[tuple[str, str]]
) -> None:
    filters = _parse(pairs, query)
    wanted = slice_filter(filters, _entities(pairs))
    rows = pairs.answers.rows(filters)
    shown = {pairs.index.sample_id(row) for row in np.flatnonzero(rows).tolist()}
    store = LocalStore(settings.root)
    assert matching_ids(store, pairs.release, wanted) == shown
    found, everything = matching_rows(store, pairs.release, [wanted, SliceFilter()])
    assert (found.tolist(), everything.all()) == (rows.tolist(), True)
    back = page_filters(wanted, pairs.index)
    assert back is not None
    assert slice_filter(_parse(pairs, parse_qsl(back.query())), _entities(pairs)) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        SliceFilter(entities=(EntityFilter(text="lung nodule", kind=None, status=None),)),
        SliceFilter(
            entities=(
                EntityFilter(
                    text="lung nodule", kind=EntityKind.ABNORMALITY, status=EntityStatus.PRESENT
                ),
            )
        ),
        SliceFilter(findings=("lung nodule",)),
        SliceFilter(min_age_years=40),
        SliceFilter(min_age_years=41, max_age_years=49),
        SliceFilter(max_unit=3),
        SliceFilter(
            scores=(
                ScoreFilter(gate="a", measure="b", at_least=1, at_most=None),
                ScoreFilter(gate="a", measure="b", at_least=None, at_most=None),
            )
        ),
        SliceFilter(
            entity_groups=((EntityFilter(text="left lung", kind=EntityKind.ANATOMY, status=None),),)
        ),
    ],
)
def test_slices_that_say_more_than_a_page_have_none(pairs: OpenTable, wanted: SliceFilter) -> None:
    assert page_filters(wanted, pairs.index) is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("tries=2", "cannot hold the facet 'tries'"),
        ("sex=not+stated", "cannot ask for sex: not stated"),
        ("age=20-29&age=40-49", "one range of age, got 20-29, 40-49"),
        ("unit=1&unit=3", "one range of unit"),
        ("q=%22no+pleural%22", "no phrase"),
        ("finding=Hernia", "no pair of this release states 'Hernia'"),
    ],
)
def test_filters_that_no_slice_can_hold_are_refused_by_name(
    ann: TestClient, store: LocalStore, query: str, words: str
) -> None:
    form = {"release": "1", "query": query, "name": "x"}
    answer = ann.post(SLICES, data=form, headers=OWN)
    assert (answer.status_code, words in answer.text.replace("&#39;", "'")) == (400, True)
    assert slice_names(store, LAYOUT) == []


def test_slice_is_saved_from_the_grid_listed_and_looked_at(
    ann: TestClient, store: LocalStore
) -> None:
    query = "finding=Effusion&amp;view=AP"
    page = ann.get(f"{PAIRS}?view=AP&finding=Effusion").text
    assert f'name="query" value="{query}"' in page
    num_found = sum(
        reference(index).view == "AP"
        and "abnormality:pleural effusion" in reference(index).entities
        for index in range(24)
    )
    assert f"Save {num_found} pairs" in page
    form = {"release": "1", "query": query.replace("&amp;", "&"), "name": "ap-effusion"}
    for _ in range(2):  # the same again changes nothing
        listed = ann.post(SLICES, data=form, headers=OWN).text
        assert "Saved as ap-effusion" in listed
    assert f"<strong>{num_found}</strong> of 24 pairs of release 1" in listed
    assert f'href="{PAIRS}?{query}"' in listed
    assert "<li>finding: Effusion</li><li>view: AP</li>" in listed
    assert "--slice ap-effusion" in listed and "slice: ap-effusion" in listed
    other = ann.post(SLICES, data=form | {"query": "view=PA"}, headers=OWN)
    assert other.status_code == 409
    assert "must keep its meaning" in other.text and "filter.views" in other.text
    bad = ann.post(SLICES, data=form | {"name": "../x"}, headers=OWN)
    assert (bad.status_code, "slice name must be" in bad.text) == (400, True)
    assert read_slice(store, LAYOUT, "ap-effusion").filter.views == (View.AP,)
    assert slice_names(store, LAYOUT) == ["ap-effusion"]


def test_slice_of_decisions_waits_for_their_release(ann: TestClient, store: LocalStore) -> None:
    ids = [reference(index).sample_id for index in range(3)]
    keep = {"post": f"{1:032x}", "release": "1", "table": "pairs", "decision": "keep"}
    ann.post(f"/review/{NAME}/decisions", data=keep | {"sample": ids}, headers=OWN)
    form = {"release": "1", "query": "review=kept", "name": "kept"}
    early = ann.post(SLICES, data=form, headers=OWN)
    assert (early.status_code, "run cxr-factory release chest" in early.text) == (409, True)
    assert release_reviews(store, LAYOUT).number == 2
    late = ann.post(SLICES, data=form | {"release": "2"}, headers=OWN)
    assert "<strong>3</strong> of 24 pairs of release 2" in late.text
    assert read_slice(store, LAYOUT, "kept").filter.reviews == (ReviewStatus.KEPT,)


def test_word_forms_that_a_slice_takes_otherwise_are_refused(
    ann: TestClient, store: LocalStore
) -> None:
    form = {"release": "1", "query": "q=effusions", "name": "x"}
    answer = ann.post(SLICES, data=form, headers=OWN)
    assert answer.status_code == 409
    assert "The page shows 24 pairs, and a slice of its filters means 0" in answer.text
    assert slice_names(store, LAYOUT) == []


def test_slices_that_cannot_be_read_or_shown_say_so(ann: TestClient, store: LocalStore) -> None:
    assert "None yet" in ann.get(SLICES).text
    save_slice(store, LAYOUT, "far", Slice(release=9, filter=SliceFilter()))
    save_slice(store, LAYOUT, "old", Slice(release=1, filter=SliceFilter(min_age_years=30)))
    store.put(LAYOUT.slice("broken"), b"{}")
    listed = ann.get(SLICES).text
    assert "has no release 9" in listed and "expected a slice" in listed
    assert "No page can show just these" in listed
    assert ann.get("/review/nowhere/slices").status_code == 404


def test_slices_of_a_release_are_counted_in_one_scan(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = {"ap": View.AP, "pa": View.PA}
    for name, view in views.items():
        save_slice(store, LAYOUT, name, Slice(release=1, filter=SliceFilter(views=(view,))))
    scanned: list[int] = []

    def scanning(
        store: ObjectStore, release: Release, wanted: Sequence[SliceFilter]
    ) -> list[NDArray[np.bool_]]:
        scanned.append(len(wanted))
        return matching_rows(store, release, wanted)

    monkeypatch.setattr("browser.review_desk.matching_rows", scanning)
    with client_of(Settings(root=store.root, reviewing=Reviewing("ann"))) as client:
        page, again = (client.get(SLICES).text for _ in range(2))
    for name, view in views.items():
        num = sum(reference(index).view == view for index in range(24))
        tile = page[page.index(f"<h2>{name}</h2>") :]
        assert f"<strong>{num}</strong> of 24 pairs" in tile[:400]
    assert (again, scanned) == (page, [2])
