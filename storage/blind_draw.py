"""The draw of a blind study: which images, by seed; their ids are by chance and say nothing."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import lance
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.blind_records import BlindItem, BlindStudy, BlindStudyPlan
from storage.corpora import read_corpus
from storage.layout import DatasetLayout, Table, corpus_table
from storage.objects import ObjectStore
from storage.releases import Release, open_release, open_table
from storage.tables import lance_errors, open_lance

Rows = NDArray[np.int64]  # positions in a table


def draw_study(
    store: ObjectStore, layout: DatasetLayout, name: str, plan: BlindStudyPlan
) -> BlindStudy:
    """Draw what a study shows; which images follows from the plan's seed, their ids from chance.

    Raises:
        ValueError: If there is no such corpus, or too few images of the size.
        ObjectMissing: If there is no such release.
    """
    release = open_release(store, layout, plan.release)
    corpus = read_corpus(store, plan.corpus)
    if not corpus.has_images:
        raise ValueError(f"corpus {plan.corpus!r} must have images to show, has none")
    items = [*_made(store, release, plan), *_real(store, corpus.version, plan)]
    return BlindStudy(
        name=name,
        dataset=layout.name,
        plan=plan,
        release=release.number,
        corpus_version=corpus.version,
        restricted=release.restricted or corpus.info.restricted,
        items=tuple(sorted(items, key=lambda item: item.item_id)),
    )


def _made(store: ObjectStore, release: Release, plan: BlindStudyPlan) -> Iterator[BlindItem]:
    columns = ["sample_id", "index", "width_px", "height_px"]
    table = _columns(open_table(store, release, Table.PAIRS), columns)
    rows = np.flatnonzero(_large_enough(table, plan))
    rows = rows[np.argsort(table["index"].to_numpy()[rows])]
    random = np.random.default_rng([plan.seed, *b"made images"])
    for row in _chosen(rows, "made images", plan, random):
        yield BlindItem(_new_id(), True, table["sample_id"][row].as_py(), row)


def _real(store: ObjectStore, version: int, plan: BlindStudyPlan) -> Iterator[BlindItem]:
    """One image a patient, so that no patient counts twice."""
    columns = ["image_id", "patient_id", "split", "width_px", "height_px"]
    table = _columns(open_lance(store, corpus_table(plan.corpus), version), columns)
    of_split = np.array(table["split"].to_pylist(), object) == plan.split
    rows = np.flatnonzero(of_split & _large_enough(table, plan))
    random = np.random.default_rng([plan.seed, *b"real images"])
    patients = np.array(table["patient_id"].to_pylist(), object)[rows]
    mixed = random.permutation(len(rows))
    _, first = np.unique(patients[mixed].astype(str), return_index=True)
    for row in _chosen(rows[mixed[first]], f"{plan.split} patients", plan, random):
        yield BlindItem(_new_id(), False, table["image_id"][row].as_py(), row)


def _chosen(
    rows: Rows, what: str, plan: BlindStudyPlan, random: np.random.Generator
) -> Sequence[int]:
    if len(rows) < plan.num_each:
        raise ValueError(
            f"a study of {plan.num_each} of each needs as many {what} of {plan.image_size_px} px "
            f"or more a side, got {len(rows)}; lower num_each or image_size_px"
        )
    chosen: list[int] = random.choice(rows, plan.num_each, replace=False).tolist()
    return chosen


def _large_enough(table: pa.Table, plan: BlindStudyPlan) -> NDArray[np.bool_]:
    """Images that are shown smaller or as they are: one made larger would give itself away."""
    smaller_side = np.minimum(table["width_px"].to_numpy(), table["height_px"].to_numpy())
    return np.asarray(smaller_side >= plan.image_size_px)


def _columns(dataset: lance.LanceDataset, names: list[str]) -> Any:
    with lance_errors(dataset.uri):
        return dataset.to_table(columns=names)


def _new_id() -> str:
    return secrets.token_hex(16)
