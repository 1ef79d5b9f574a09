"""The resamples of figures that are no AUROC: kept beside a run's metrics, read by studies.

Two models measured on the same images by the same settings were resampled alike, draw by draw, so
the difference of two figures has its interval from the differences of their draws.

One Arrow file a task, `models/<run>/draws/<kind>/<name>.arrow`: a row a figure.

Shape suffix: R resamples.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.downstream.metrics import Figure
from storage.errors import DamagedObject
from storage.layout import model_folder
from storage.objects import ObjectStore

SCHEMA = pa.schema(
    [
        pa.field("metric", pa.string(), nullable=False),
        pa.field("draws", pa.list_(pa.float64()), nullable=False),
    ]
)


def draws_key(run: str, kind: str, name: str) -> str:
    """Where the draws of a run's task lie."""
    return f"{model_folder(run)}/draws/{kind}/{name}.arrow"


def put_draws(
    store: ObjectStore, run: str, kind: str, name: str, figures: Mapping[str, Figure]
) -> None:
    """Keep the draws of a task's figures; measured again, they take the old ones' place."""
    rows = [
        {"metric": metric, "draws": figure.draws_R.tolist()}
        for metric, figure in figures.items()
        if figure.draws_R is not None
    ]
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, SCHEMA, options=options) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
    store.put(draws_key(run, kind, name), bytes(sink.getvalue()))


def decode_draws(data: bytes, where: str) -> dict[str, NDArray[np.float64]]:
    """Draws by metric, each (R,); raises DamagedObject naming `where` when the file holds none."""
    try:
        rows = pa.ipc.open_file(pa.py_buffer(data)).read_all().cast(SCHEMA).to_pylist()
    except (pa.ArrowInvalid, ValueError) as error:
        raise DamagedObject(f"{where}: expected draws of figures, got {data[:20]!r}") from error
    return {row["metric"]: np.array(row["draws"], np.float64) for row in rows}
