"""The scores of single images: kept beside a run's metrics, read by studies.

One Arrow file a task, `models/<run>/scores/<kind>/<name>.arrow`: a row an image and figure.

Shape suffixes: N images, F findings.
"""

import json
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa

from models.downstream.scored_images import ScoredImages
from models.vocabulary.label_lists import Label, find_label
from storage.errors import DamagedObject
from storage.layout import model_folder
from storage.objects import ObjectStore

SCHEMA = pa.schema(
    [
        pa.field("at", pa.string(), nullable=False),
        pa.field("patient", pa.string(), nullable=False),
        pa.field("view", pa.string()),
        pa.field("labels", pa.list_(pa.int8()), nullable=False),
        pa.field("scores", pa.list_(pa.float64()), nullable=False),
    ]
)
_FINDINGS = b"findings"  # in the file's metadata: columns of labels and scores, as JSON


def scores_key(run: str, kind: str, name: str) -> str:
    """Where the scores of a run's task lie."""
    return f"{model_folder(run)}/scores/{kind}/{name}.arrow"


def put_scores(
    store: ObjectStore, run: str, kind: str, name: str, scored: Sequence[ScoredImages]
) -> None:
    """Keep what the images of a task were given; measured again, it takes the old one's place."""
    store.put(scores_key(run, kind, name), encode_scores(scored))


def read_scores(store: ObjectStore, run: str, kind: str, name: str) -> list[ScoredImages]:
    """What the images of a task were given.

    Raises:
        ObjectMissing: If the run was not measured so.
        DamagedObject: If the file is none.
    """
    key = scores_key(run, kind, name)
    return decode_scores(store.get(key), store.uri(key))


def encode_scores(scored: Sequence[ScoredImages]) -> bytes:
    """As an Arrow file. All of `scored` have the same findings."""
    (findings,) = {one.findings for one in scored}
    rows = {
        "at": [one.at for one in scored for _ in one.patients],
        "patient": [patient for one in scored for patient in one.patients],
        "view": [view for one in scored for view in one.views or [None] * len(one.patients)],
        "labels": [labels_F for one in scored for labels_F in one.labels_NF.tolist()],
        "scores": [scores_F for one in scored for scores_F in one.scores_NF.tolist()],
    }
    schema = SCHEMA.with_metadata({_FINDINGS: json.dumps([one.value for one in findings])})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, schema, options=options) as writer:
        writer.write_table(pa.table(rows, schema=schema))
    return bytes(sink.getvalue())


def decode_scores(data: bytes, where: str) -> list[ScoredImages]:
    """The scores in an Arrow file; raises DamagedObject naming `where` when it holds none."""
    try:
        table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        findings = tuple(find_label(one) for one in json.loads(table.schema.metadata[_FINDINGS]))
        rows = table.to_pylist()
    except (pa.ArrowInvalid, KeyError, ValueError, TypeError) as error:
        raise DamagedObject(f"{where}: expected scores of images, got {data[:20]!r}") from error
    return [
        _scored(at, findings, list(of_figure))
        for at, of_figure in groupby(rows, key=lambda row: row["at"])
    ]


def _scored(at: str, findings: tuple[Label, ...], rows: list[dict[str, object]]) -> ScoredImages:
    views = tuple(str(row["view"]) for row in rows if row["view"] is not None)
    return ScoredImages(
        at=at,
        findings=findings,
        labels_NF=np.array([row["labels"] for row in rows], np.int8),
        scores_NF=np.array([row["scores"] for row in rows], np.float64),
        patients=tuple(str(row["patient"]) for row in rows),
        views=views,
    )
