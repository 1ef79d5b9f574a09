"""How exported pairs lie in a folder: one function a format, one call a split.

Each is given the split's pairs in the order of their index, as tables whose `image` is the PNG as
it was released: its own metadata says that it is synthetic.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.records import Split

BATCH_ROWS = 64  # held in memory at once, and a row group of Parquet
BATCHES_PER_FILE = 64  # 4,096 pairs a file: some 300 MB at 512 px

Batches = Iterable[pa.Table]
WriteSplit = Callable[[Path, Split, int, Batches], None]


class ExportFormat(StrEnum):
    """How pairs are laid out."""

    PARQUET = "parquet"
    HF = "hf"  # the same with a card, as Hugging Face's hub and `load_dataset` take a folder
    WEBDATASET = "webdataset"  # tars
    FOLDER = "folder"  # of image files, as Hugging Face's imagefolder


def write_parquet(folder: Path, split: Split, num_rows: int, batches: Batches) -> None:
    """`<split>-00000-of-00002.parquet`, …; `image` is a struct of bytes and file name."""
    num_files = -(-num_rows // (BATCH_ROWS * BATCHES_PER_FILE))
    for number, group in enumerate(_groups(batches)):
        path = folder / f"{split}-{number:05d}-of-{num_files:05d}.parquet"
        first = _with_image_struct(next(group))
        with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for table in group:
                writer.write_table(_with_image_struct(table))


def write_hf(folder: Path, split: Split, num_rows: int, batches: Batches) -> None:
    """As `write_parquet`, in `data/`."""
    (folder / "data").mkdir(exist_ok=True)
    write_parquet(folder / "data", split, num_rows, batches)


def write_webdataset(folder: Path, split: Split, num_rows: int, batches: Batches) -> None:
    """`<split>-000000.tar`, …; of each pair `<id>.png`, `<id>.txt`, the report, and `<id>.json`."""
    del num_rows  # a tar's name does not say how many there are
    for number, group in enumerate(_groups(batches)):
        with tarfile.open(folder / f"{split}-{number:06d}.tar", "w") as tar:
            for row in _rows(group):
                png, name = row.pop("image"), row["sample_id"]
                report = f"FINDINGS: {row['findings']}\nIMPRESSION: {row['impression']}\n"
                _add(tar, f"{name}.json", _json_line(row))
                _add(tar, f"{name}.png", png)
                _add(tar, f"{name}.txt", report.encode())


def write_folder(folder: Path, split: Split, num_rows: int, batches: Batches) -> None:
    """`<split>/<id>.png`, and `<split>/metadata.jsonl` with a line for each, named `file_name`."""
    del num_rows
    own = folder / split
    own.mkdir()
    with (own / "metadata.jsonl").open("wb") as lines:
        for row in _rows(batches):
            png, name = row.pop("image"), f"{row['sample_id']}.png"
            (own / name).write_bytes(png)
            lines.write(_json_line({"file_name": name} | row))


FORMATS: Mapping[ExportFormat, WriteSplit] = MappingProxyType(
    {
        ExportFormat.PARQUET: write_parquet,
        ExportFormat.HF: write_hf,
        ExportFormat.WEBDATASET: write_webdataset,
        ExportFormat.FOLDER: write_folder,
    }
)


def _groups(batches: Batches) -> Iterator[Iterator[pa.Table]]:
    """The batches of one file after another; each group must be used up before the next."""
    left = iter(batches)
    for first in left:
        yield _chain(first, islice(left, BATCHES_PER_FILE - 1))


def _chain(first: pa.Table, rest: Iterator[pa.Table]) -> Iterator[pa.Table]:
    yield first
    yield from rest


def _with_image_struct(table: pa.Table) -> pa.Table:
    """As software expects an image in Parquet: its bytes, and a file name; and said to be one."""
    images = table["image"].combine_chunks()
    names = pa.array([f"{sample}.png" for sample in table["sample_id"].to_pylist()])
    both = pa.StructArray.from_arrays([images, names], ["bytes", "path"])
    whole = table.set_column(table.schema.get_field_index("image"), "image", both)
    schema = pa.schema([_nullable(field) for field in whole.schema])
    metadata = {**(whole.schema.metadata or {}), "huggingface": _features_of(schema)}
    return whole.cast(schema.with_metadata(metadata))


def _features_of(schema: pa.Schema) -> str:
    """The columns as Hugging Face's `datasets` writes them down, which tells it of the image."""
    features = {field.name: _feature(field.type) for field in schema}
    return json.dumps({"info": {"features": features | {"image": {"_type": "Image"}}}})


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(kind):
        fields = (kind.field(number) for number in range(kind.num_fields))
        return {field.name: _feature(field.type) for field in fields}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": "float64" if kind == pa.float64() else str(kind), "_type": "Value"}


def _nullable(field: pa.Field) -> pa.Field:
    """The field and all within it, nullable: Parquet refuses a null struct of what may not be."""
    kind = field.type
    if pa.types.is_struct(kind):
        kind = pa.struct([_nullable(kind.field(number)) for number in range(kind.num_fields)])
    elif pa.types.is_list(kind):
        kind = pa.list_(_nullable(kind.value_field))
    return pa.field(field.name, kind)


def _rows(batches: Batches) -> Iterator[dict[str, Any]]:
    """Rows as JSON can say them, and the image; masks are in Parquet alone."""
    for table in batches:
        yield from table.drop_columns(["masks"]).to_pylist()


def _json_line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Without owner or time: the same export has the same bytes."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
