"""Slices against a plain reference that looks at one row at a time."""

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.errors import DamagedObject, ObjectMissing, PlanMismatch
from storage.layout import Table
from storage.objects import LocalStore
from storage.records import EntityKind, EntityStatus, Sex, Split, View
from storage.review_records import Review, ReviewDecision
from storage.review_rules import ReviewRules, ReviewStatus
from storage.slice_scan import rows_meant
from storage.slices import (
    EntityFilter,
    ScoreFilter,
    Slice,
    SliceFilter,
    read_slice,
    save_slice,
    slice_names,
    words_of,
)
from storage.table_schemas import table_schema
from tests.storage.made import LAYOUT, LINEAGE, decided

_TERMS = ("pleural effusion", "cardiomegaly", "left lung base")
_TEXTS = ("No effusion.", "Small left effusion; heart normal", "Effusions", "Ärzte sagen: none")
_PAIRS = table_schema(Table.PAIRS, LINEAGE)
_SCHEMA = pa.schema(
    [
        *(_PAIRS.field(n) for n in ("sample_id", "entities_found", "view", "sex", "age_years")),
        *(_PAIRS.field(n) for n in ("split", "unit", "scores", "findings", "impression")),
        pa.field("writer", pa.string()),
        pa.field("painter", pa.string()),
    ]
)


def _one(values: Any) -> st.SearchStrategy[str]:
    return st.sampled_from([str(value) for value in values])


_entities = st.fixed_dictionaries(
    {
        "text": _one(_TERMS),
        "kind": _one(EntityKind),
        "status": _one(EntityStatus),
        "anatomy": st.none(),
        "severity": st.none(),
    }
)
_scores = st.fixed_dictionaries(
    {
        "gate": _one(("technical", "judge")),
        "measure": _one(("contrast", "border")),
        "value": st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]),
        "threshold": st.just(0.5),
        "passed": st.booleans(),
    }
)
_rows = st.fixed_dictionaries(
    {
        "sample_id": _one(range(6)),
        "entities_found": st.lists(_entities, max_size=3),
        "view": _one(View),
        "sex": st.none() | _one(Sex),
        "age_years": st.none() | st.integers(0, 100),
        "split": _one(Split),
        "unit": st.integers(0, 3),
        "scores": st.lists(_scores, max_size=3),
        "findings": _one(_TEXTS),
        "impression": _one(_TEXTS),
        "writer": _one(("grammar", "vllm")),
        "painter": _one(("phantom", "diffusers")),
    }
)
_bound = st.none() | st.sampled_from([0.0, 0.25, 0.5])


def _bounds(
    low: str, high: str, values: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.tuples(values, values).filter(
        lambda both: None in both or both[0] <= both[1]  # type: ignore[operator]
    )
    return pairs.map(lambda both: {low: both[0], high: both[1]})


_score_filters = st.builds(
    lambda gate, measure, bounds: ScoreFilter(gate=gate, measure=measure, **bounds),
    _one(("technical", "judge")),
    _one(("contrast", "border")),
    _bounds("at_least", "at_most", _bound),
)
_entity_filters = st.builds(
    EntityFilter,
    text=_one(_TERMS),
    kind=st.none() | st.sampled_from(EntityKind),
    status=st.none() | st.sampled_from(EntityStatus),
)
_filters = st.builds(
    lambda fields, ages, units: SliceFilter(**fields, **ages, **units),
    st.fixed_dictionaries(
        {},
        optional={
            "entities": st.lists(_entity_filters, max_size=2),
            "entity_groups": st.lists(
                st.lists(_entity_filters, min_size=1, max_size=3), max_size=2
            ),
            "findings": st.lists(_one(_TERMS), max_size=1),
            "views": st.lists(st.sampled_from(View), max_size=2),
            "sexes": st.lists(st.sampled_from(Sex), max_size=1),
            "splits": st.lists(st.sampled_from(Split), max_size=2),
            "writers": st.lists(_one(("grammar", "vllm")), max_size=1),
            "painters": st.lists(_one(("phantom",)), max_size=1),
            "scores": st.lists(_score_filters, max_size=2),
            "words": _one(("", "effusion", "EFFUSION no", "ärzte", "heart small")),
            "reviews": st.lists(st.sampled_from(ReviewStatus), max_size=2),
        },
    ),
    _bounds("min_age_years", "max_age_years", st.none() | st.integers(0, 100)),
    _bounds("min_unit", "max_unit", st.none() | st.integers(0, 3)),
)
_STANDING = {
    "0": {"ann": decided("0", "ann", ReviewDecision.KEEP)},
    "1": {
        "ann": decided("1", "ann", ReviewDecision.KEEP),
        "bob": decided("1", "bob", ReviewDecision.REJECT),
    },
    "2": {"ann": decided("2", "ann", ReviewDecision.FLAG)},
}


def _meant(
    row: dict[str, Any], wanted: SliceFilter, standing: dict[str, dict[str, Review]]
) -> bool:
    """The meaning of a filter, one row and one field at a time."""

    def stated(entity: EntityFilter) -> bool:
        return any(
            found["text"] == entity.text
            and entity.kind in (None, found["kind"])
            and entity.status in (None, found["status"])
            for found in row["entities_found"]
        )

    def scored(score: ScoreFilter) -> bool:
        return any(
            (found["gate"], found["measure"]) == (score.gate, score.measure)
            and not math.isnan(found["value"])
            and (score.at_least is None or found["value"] >= score.at_least)
            and (score.at_most is None or found["value"] <= score.at_most)
            for found in row["scores"]
        )

    def between(value: int | None, low: int | None, high: int | None) -> bool:
        if low is None and high is None:
            return True
        return value is not None and (low or 0) <= value <= (1000 if high is None else high)

    text = f"{row['findings']} {row['impression']}".lower()
    for mark in ".;:":
        text = text.replace(mark, " ")
    return (
        all(stated(entity) for entity in wanted.entities)
        and all(any(stated(entity) for entity in group) for group in wanted.entity_groups)
        and all(stated(EntityFilter(text=t, status="present")) for t in wanted.findings)  # type: ignore[arg-type]
        and all(scored(score) for score in wanted.scores)
        and (not wanted.views or row["view"] in wanted.views)
        and (not wanted.sexes or row["sex"] in wanted.sexes)
        and (not wanted.splits or row["split"] in wanted.splits)
        and (not wanted.writers or row["writer"] in wanted.writers)
        and (not wanted.painters or row["painter"] in wanted.painters)
        and between(row["age_years"], wanted.min_age_years, wanted.max_age_years)
        and between(row["unit"], wanted.min_unit, wanted.max_unit)
        and all(word in text.split() for word in wanted.words.lower().split())
        and (
            not wanted.reviews
            or ReviewRules().status(standing.get(row["sample_id"], {})) in wanted.reviews
        )
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=st.lists(_rows, max_size=8), wanted=_filters, start=st.integers(0, 3))
def test_rows_meant_are_those_of_the_plain_reference(
    rows: list[dict[str, Any]], wanted: SliceFilter, start: int
) -> None:
    """A batch cut out of a longer one, as Lance hands them over, is read the same."""
    batch = pa.RecordBatch.from_pylist(rows, schema=_SCHEMA).slice(start)
    expected = [_meant(row, wanted, _STANDING) for row in rows[start:]]
    assert rows_meant(batch, wanted, _STANDING).tolist() == expected


@given(wanted=_filters)
@settings(max_examples=50, deadline=None)
def test_slice_is_read_back_as_it_was_saved(wanted: SliceFilter) -> None:
    saved = Slice(release=1, filter=wanted)
    content = saved.model_dump_json(exclude_defaults=True)
    assert Slice.model_validate_json(content) == saved


def test_save_slice_is_immutable_and_says_what_differs(store: LocalStore) -> None:
    wanted = Slice(release=1, filter=SliceFilter(views=(View.AP,), words="effusion"))
    save_slice(store, LAYOUT, "ap-effusion", wanted)
    save_slice(store, LAYOUT, "ap-effusion", wanted)
    assert read_slice(store, LAYOUT, "ap-effusion") == wanted
    other = Slice(release=2, filter=SliceFilter(views=(View.AP,), words="no effusion"))
    with pytest.raises(PlanMismatch, match=r"filter\.words: was \"effusion\" .*release: was 1"):
        save_slice(store, LAYOUT, "ap-effusion", other)
    save_slice(store, LAYOUT, "all", Slice(release=1, filter=SliceFilter()))
    assert slice_names(store, LAYOUT) == ["all", "ap-effusion"]


def test_read_slice_absent_or_damaged_says_so(store: LocalStore) -> None:
    with pytest.raises(ObjectMissing, match=r"no slice 'x' .* it has: none yet"):
        read_slice(store, LAYOUT, "x")
    store.put(LAYOUT.slice("x"), b'{"release": 1, "filter": {"colour": "grey"}}')
    with pytest.raises(DamagedObject, match="expected a slice"):
        read_slice(store, LAYOUT, "x")
    with pytest.raises(ValueError, match="slice name must be"):
        read_slice(store, LAYOUT, "../plan.lock")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_age_years": 60, "max_age_years": 30}, "must go from low to high, got 60 to 30"),
        ({"scores": [{"gate": "g", "measure": "m", "at_least": 2, "at_most": 1}]}, "score g/m"),
        ({"words": "—"}, "words must have a letter or digit"),
        ({"entity_groups": [[]]}, "a group of entities must name one"),
        ({"view": "AP"}, "Extra inputs are not permitted"),
        ({"scores": [{"gate": "g", "measure": "m", "at_least": math.inf}]}, "finite number"),
    ],
)
def test_slice_filter_that_can_mean_nothing_is_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        SliceFilter.model_validate(fields)


def test_words_of_are_runs_of_letters_and_digits() -> None:
    assert words_of("No left-sided effusion, 2 cm. Äußerst") == {
        "no", "left", "sided", "effusion", "2", "cm", "äußerst",
    }  # fmt: skip
