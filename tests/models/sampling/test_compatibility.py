import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sampling.compatibility import Compatibility
from models.sampling.entity_table import EntityTable, vocabulary_table
from models.vocabulary.concepts import load_vocabulary
from storage.records import EntityKind

ABNORMAL, DENIED, ANATOMY = (
    EntityKind.ABNORMALITY,
    EntityKind.NON_ABNORMALITY,
    EntityKind.ANATOMY,
)


def conflict(first: tuple[str, EntityKind], second: tuple[str, EntityKind]) -> bool:
    table = EntityTable(
        texts=(first[0], second[0]),
        kinds=np.array([list(EntityKind).index(kind) for _, kind in (first, second)], np.int8),
        counts=np.ones(2, np.int64),
        weights=np.ones(2),
    )
    compatibility = Compatibility(table, load_vocabulary())
    there = bool(compatibility.conflicts(np.array(0), np.array(1)))
    assert there == bool(compatibility.conflicts(np.array(1), np.array(0)))
    return there


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("pleural effusion", ABNORMAL), ("pleural effusion", DENIED)),
        (("small left pleural effusion", ABNORMAL), ("pleural effusion", DENIED)),
        (("bilateral pleural effusion", ABNORMAL), ("left pleural effusion", DENIED)),
        (("opacity in the lingula", ABNORMAL), ("opacity", DENIED)),
        (("calcified granuloma", ABNORMAL), ("granuloma", DENIED)),  # implied
        (("cardiomegaly", ABNORMAL), ("normal heart size", DENIED)),
        (("cardiomegaly", ABNORMAL), ("small heart", ABNORMAL)),  # excluded
        (("hyperinflation", ABNORMAL), ("low lung volumes", ABNORMAL)),
        (("enlarged thymus", ABNORMAL), ("small thymus", ABNORMAL)),
        (("enlarged thymus", ABNORMAL), ("normal thymus", DENIED)),
        (("enlarged thymus", ABNORMAL), ("normal thymus", ABNORMAL)),
        (("increased attenuation", ABNORMAL), ("decreased attenuation", ABNORMAL)),
        (("mild thymic cyst", ABNORMAL), ("severe thymic cyst", ABNORMAL)),
        (("pleural effusion", ABNORMAL), ("small pleural effusion", ABNORMAL)),  # said twice
        (("pleural effusion", ABNORMAL), ("pleural fluid", ABNORMAL)),
        (("heart", ANATOMY), ("cardiac silhouette", ANATOMY)),
    ],
)
def test_conflicts_contradiction_or_repetition_is_found(
    first: tuple[str, EntityKind], second: tuple[str, EntityKind]
) -> None:
    assert conflict(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("small left pleural effusion", ABNORMAL), ("large right pleural effusion", ABNORMAL)),
        (("left pleural effusion", ABNORMAL), ("right pleural effusion", DENIED)),
        (("left pleural effusion", ABNORMAL), ("bilateral pleural effusion", DENIED)),
        (("small pleural effusion", ABNORMAL), ("large pleural effusion", DENIED)),
        (("opacity in the lingula", ABNORMAL), ("opacity in the right lower lobe", DENIED)),
        (("granuloma", ABNORMAL), ("calcified granuloma", DENIED)),
        (("small heart", ABNORMAL), ("cardiomegaly", DENIED)),
        (("cardiomegaly", ABNORMAL), ("pleural effusion", ABNORMAL)),
        (("enlarged thymus", ABNORMAL), ("small spleen", ABNORMAL)),
        (("left lung", ANATOMY), ("right lung", ANATOMY)),
    ],
)
def test_conflicts_what_one_report_may_say_is_allowed(
    first: tuple[str, EntityKind], second: tuple[str, EntityKind]
) -> None:
    assert not conflict(first, second)


def test_conflicts_shapes_broadcast() -> None:
    table = vocabulary_table(load_vocabulary())
    compatibility = Compatibility(table, load_vocabulary())
    every = np.arange(len(table))
    matrix = compatibility.conflicts(every[:, None], every)
    assert matrix.shape == (len(table), len(table))
    assert (matrix == matrix.T).all()
    assert matrix.diagonal().all()


def test_may_be_placed_follows_the_vocabulary() -> None:
    vocabulary = load_vocabulary()
    table = vocabulary_table(vocabulary)
    compatibility = Compatibility(table, vocabulary)
    for finding in table.present:
        allowed = compatibility.may_be_placed(np.full(len(table.anatomy), finding), table.anatomy)
        named = {table.texts[place] for place in table.anatomy[allowed]}
        assert named == set(vocabulary.concepts[table.texts[finding]].anatomies)


QUALIFIERS = ("", "small", "large", "left", "right", "bilateral", "mild", "severe", "upper")
SUBJECTS = ("pleural effusion", "opacity", "thymic cyst", "cardiomegaly")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(QUALIFIERS), max_size=2),
    st.sampled_from(SUBJECTS),
)
def test_conflicts_denied_subject_beside_any_qualified_finding_is_found(
    qualifiers: list[str], subject: str
) -> None:
    text = " ".join([*filter(None, qualifiers), subject])
    assert conflict((text, ABNORMAL), (subject, DENIED))
