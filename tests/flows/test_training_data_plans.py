"""What a mixture may be, and the one line that says why another may not."""

from typing import Any

import pytest

from flows.plan_files import parse_plan
from flows.training_data_plans import CorpusSource, Mixture, ReleaseSource

MADE = {"kind": "release", "dataset": "made"}
REAL = {"kind": "corpus", "corpus": "nih", "text": "labels"}


def test_mixture_in_turn_and_mixed_are_read_with_their_defaults() -> None:
    in_turn = Mixture.model_validate(
        {"phases": [{"share": 0.7, "sources": [MADE]}, {"share": 0.3, "sources": [REAL]}]}
    )
    mixed = Mixture.model_validate({"phases": [{"sources": [MADE | {"weight": 3}, REAL]}]})
    assert [phase.share for phase in in_turn.phases] == [0.7, 0.3]
    assert mixed.phases[0].sources == (
        ReleaseSource(dataset="made", weight=3),
        CorpusSource(corpus="nih", text="labels"),
    )
    assert Mixture.model_validate_json(mixed.model_dump_json()) == mixed


def test_batches_of_one_source_are_said_and_mixed_ones_are_not() -> None:
    """So that plans and runs from before there was a choice keep their identity."""
    read = [
        Mixture.model_validate({"phases": [{"sources": [MADE, REAL], **batches}]})
        for batches in ({}, {"batches": "mixed"}, {"batches": "one_source"})
    ]
    default, mixed, in_turns = [one.model_dump(mode="json")["phases"][0] for one in read]
    assert default == mixed
    assert "batches" not in default
    assert in_turns == default | {"batches": "one_source"}
    assert [one.parts().phases[0].batches for one in read] == ["mixed", "mixed", "one_source"]
    assert Mixture.model_validate_json(read[2].model_dump_json()) == read[2]


@pytest.mark.parametrize(
    ("phases", "line"),
    [
        ([{"sources": [MADE], "batches": "sorted"}], "batches: .*'mixed' or 'one_source'"),
        ([{"sources": []}], "phases.0.sources: .*at least 1 item"),
        ([{"sources": [MADE | {"weight": 0}]}], "weight: .*greater than 0, got 0"),
        ([{"sources": [MADE, MADE | {"weight": 2}]}], "must differ, got 'made' twice"),
        ([{"share": 0.5, "sources": [MADE]}], "must sum to 1, got 0.5"),
        ([{"sources": [REAL | {"text": "tags"}]}], "text: .*'reports' or 'labels', got 'tags'"),
        ([{"sources": [REAL | {"audited_by": [{"kind": "eye"}]}]}], "kind must be one of .*'eye'"),
    ],
)
def test_mixture_that_is_none_is_one_line(phases: Any, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        parse_plan({"phases": phases}, Mixture, source="plan.yaml")
    assert "\n" not in str(caught.value)
