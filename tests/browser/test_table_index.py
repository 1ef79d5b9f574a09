"""Facets, ranges, words, orders and pages against a plain reference."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser.filters import Filters, parse_filters
from browser.library import Library
from browser.open_tables import OpenTable
from browser.settings import Settings
from browser.table_index import ALL_VALUES
from storage.layout import Table
from tests.browser.released import FIRST_REJECT, NAME, NUM_PAIRS, Made, made_row, reference

MADE = [reference(index) for index in range(NUM_PAIRS)]
ENTITIES = sorted({entity for one in MADE for entity in one.entities})
_SINGLE = {"view": ["PA", "AP"], "sex": ["F", "M", "not stated"], "age": ["30-39", "not stated"]}
_TERMS = ["", "nodule", "Nodules", '"no pleural effusion"', "no nodule", "nowhere", "script"]


@pytest.fixture(scope="module")
def pairs(settings: Settings) -> OpenTable:
    return Library(settings).open(NAME, 1, Table.PAIRS)


def _passes(one: Made, pairs: Sequence[tuple[str, str]]) -> bool:
    chosen: dict[str, list[str]] = {}
    for name, value in pairs:
        chosen.setdefault(name, []).append(value)
    singles = {"view": one.view, "sex": one.sex, "age": one.age}
    low, high = chosen.get("min:technical/contrast"), chosen.get("max:technical/contrast")
    return (
        all(singles[name] in chosen[name] for name in singles if name in chosen)
        and all(entity in one.entities for entity in chosen.get("entity", ()))
        and (low is None or one.contrast >= float(low[0]))
        and (high is None or one.contrast <= float(high[0]))
        and _says(one, chosen.get("q", [""])[0])
    )


def _says(one: Made, text: str) -> bool:
    phrase = text.strip('"')
    if phrase != text:
        return phrase in one.findings.lower()
    words = one.findings.lower().replace("<", " ").replace(">", " ").replace(".", " ").split()
    return all(word.lower().removesuffix("s") in words for word in text.split())


_pairs = st.builds(
    lambda singles, entities, low, high, text: [
        *singles,
        *(("entity", one) for one in entities),
        *([("min:technical/contrast", str(low))] if low is not None else []),
        *([("max:technical/contrast", str(high))] if high is not None else []),
        *([("q", text)] if text else []),
    ],
    st.lists(
        st.sampled_from([(name, value) for name, values in _SINGLE.items() for value in values]),
        max_size=3,
        unique=True,
    ),
    st.lists(st.sampled_from([*ENTITIES, "disease:unheard of"]), max_size=2, unique=True),
    st.none() | st.integers(1, 15),
    st.none() | st.integers(1, 15),
    st.sampled_from(_TERMS),
)


def _parse(opened: OpenTable, pairs: Sequence[tuple[str, str]]) -> Filters:
    return parse_filters(pairs, opened.index.facets, opened.index.bounds)


@given(asked=_pairs)
def test_filters_leave_the_rows_and_counts_of_a_plain_reference(
    pairs: OpenTable, asked: list[tuple[str, str]]
) -> None:
    filters = _parse(pairs, asked)
    rows = pairs.answers.rows(filters)
    left = [one for one in MADE if _passes(one, asked)]
    assert pairs.index.index_N[rows].tolist() == [one.index for one in left]
    assert pairs.answers.num_found(filters) == len(left)
    counts = {name: pairs.answers.counts(name, filters, ALL_VALUES) for name in ("entity", "view")}
    entities = Counter(entity for one in left for entity in one.entities)
    assert {one.value: one.num_rows for one in counts["entity"].counts if one.num_rows} == entities
    without_view = [one for one in MADE if _passes(one, [ask for ask in asked if ask[0] != "view"])]
    views = Counter(one.view for one in without_view)
    assert {one.value: one.num_rows for one in counts["view"].counts if one.num_rows} == views


@given(asked=_pairs, size=st.integers(1, 60), descending=st.booleans(), by_score=st.booleans())
def test_pages_give_every_row_once_in_order(
    pairs: OpenTable, asked: list[tuple[str, str]], size: int, descending: bool, by_score: bool
) -> None:
    sort = ("-" if descending else "") + ("technical/contrast" if by_score else "index")
    filters = _parse(pairs, [*asked, ("sort", sort)])
    rows = pairs.answers.rows(filters)
    seen: list[int] = []
    after: int | None = None
    while True:
        page = pairs.index.page(rows, filters.sort, after, size)
        seen += [int(pairs.index.index_N[row]) for row in page.rows]
        after = page.after
        if after is None:
            break
        assert len(page.rows) == size
    sign = -1 if descending else 1
    left = [one for one in MADE if _passes(one, asked)]
    expected = sorted(left, key=lambda one: _key(one, sign, by_score))
    assert seen == [one.index for one in expected]


def _key(one: Made, sign: int, by_score: bool) -> tuple[bool, float, int]:
    if not by_score:
        return False, 0.0, sign * one.index
    return bool(np.isnan(one.contrast)), sign * float(np.nan_to_num(one.contrast)), one.index


@given(asked=_pairs)
def test_filters_survive_their_own_address(pairs: OpenTable, asked: list[tuple[str, str]]) -> None:
    from urllib.parse import parse_qsl

    filters = _parse(pairs, asked)
    assert _parse(pairs, parse_qsl(filters.query())) == filters


def test_bounds_of_the_measure_itself_are_no_filter(pairs: OpenTable) -> None:
    low, high = pairs.index.bounds["technical/contrast"]
    rounded = str(high * (1 - 1e-9))  # as a page's slider gives its end back
    ends = [("min:technical/contrast", str(low)), ("max:technical/contrast", rounded)]
    assert not _parse(pairs, ends).any_set


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("colour", "red", "expected a facet .* got 'colour'"),
        ("min:technical/contrast", "high", "expected a number"),
        ("min:technical/contrast", "nan", "expected a number"),
        ("max:none/such", "1", "expected a measure"),
        ("sort", "colour", "expected a measure"),
        ("q", "x" * 300, "at most 200 characters"),
    ],
)
def test_filters_that_can_be_none_are_refused(
    pairs: OpenTable, name: str, value: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        _parse(pairs, [(name, value)])


def test_findings_count_what_reports_state_as_present_or_possible(pairs: OpenTable) -> None:
    found = pairs.answers.counts("finding", Filters(), ALL_VALUES)
    counts = {one.value: one.num_rows for one in found.counts}
    stated = Counter(
        {"pleural effusion": "Effusion", "lung nodule": "Nodule"}[entity.partition(":")[2]]
        for one in MADE
        for entity in one.entities
        if entity.startswith("abnormality")
    )
    assert counts == stated


def test_counts_of_many_values_are_the_most_frequent_and_the_chosen(pairs: OpenTable) -> None:
    filters = _parse(pairs, [("unit", "16"), ("unit", "none")])
    unit = pairs.answers.counts("unit", filters, 3)
    assert [(one.value, one.num_rows, one.chosen) for one in unit.counts] == [
        *((str(number), 8, False) for number in range(3)),
        ("16", 2, True),
        ("none", 0, True),
    ]
    assert unit.num_values == 17


def test_alike_are_other_samples_with_most_entities_shared(pairs: OpenTable) -> None:
    row = 3  # effusion and nodule
    alike = pairs.index.alike(row, 5)
    assert row not in alike
    assert all(set(MADE[one].entities) == set(MADE[row].entities) for one in alike)


def test_look_alike_are_the_nearest_hashes_in_order(pairs: OpenTable) -> None:
    hashes = [int(made_row(index).signature, 16) for index in range(NUM_PAIRS)]
    apart = {row: (hashes[row] ^ hashes[7]).bit_count() for row in range(NUM_PAIRS) if row != 7}
    found = pairs.index.look_alike(7, 9)
    assert [apart[row] for row in found] == sorted(apart.values())[:9]
    assert len(pairs.index.look_alike(7, 1000)) == NUM_PAIRS - 1


def test_look_alike_without_an_image_are_none(settings: Settings) -> None:
    rejects = Library(settings).open(NAME, 1, Table.REJECTS).index
    painted = np.flatnonzero(rejects.has_image_N).tolist()
    assert rejects.index_N[painted].tolist() == [
        FIRST_REJECT + 1,
        FIRST_REJECT + 3,
        FIRST_REJECT + 5,
    ]
    assert rejects.look_alike(0, 5) == []
    assert sorted(rejects.look_alike(painted[0], 5)) == painted[1:]


def test_row_of_sample_is_found_by_a_whole_id_alone(pairs: OpenTable) -> None:
    assert pairs.index.row_of_sample(MADE[5].sample_id) == 5
    assert pairs.index.sample_id(5) == MADE[5].sample_id
    for wrong in ("", "5", "../" + MADE[5].sample_id, MADE[5].sample_id.upper(), "0" * 32):
        assert pairs.index.row_of_sample(wrong) is None
