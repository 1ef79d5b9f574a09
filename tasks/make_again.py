"""Make one published sample again from what was stored of it, and say how near it comes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from models.engines import PaintRequest, WriteRequest
from models.images import decode_png, signature_distance
from models.painters.painting import PaintOutcome, PaintStationConfig
from models.writers.writing import WriteStationConfig
from storage.dataset import Dataset
from storage.layout import Table
from storage.records import Report
from storage.releases import open_release, open_table
from storage.samples import sample_of
from tasks.real_reports import source_reports
from tasks.shards import ShardSettings, write_queue

_ALONE = ShardSettings(1, 1, batch_timeout_seconds=600, unit_timeout_seconds=600)
NEAR_GREY_LEVELS = 2.0  # mean absolute difference that rounding in another batch can make


class Likeness(StrEnum):
    """How what was made again compares with what is stored."""

    IDENTICAL = "identical"
    NEAR = "near"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class MadeAgain:
    """One sample, made twice.

    Attributes:
        report: Identical or different.
        image: By content hash, else by distance.
        grey_levels: Mean absolute difference of the two images, 0..255; None for other sizes.
        signature_bits: Differing bits of the two perceptual hashes, 0..256.
    """

    sample_id: str
    report: Likeness
    image: Likeness
    grey_levels: float | None
    signature_bits: int


def make_again(
    dataset: Dataset,
    sample_id: str,
    write_station: WriteStationConfig,
    paint_station: PaintStationConfig,
) -> MadeAgain:
    """Write and paint a published sample again, with its stored seeds and prompt.

    The image is painted from the stored report, so that the two stages are compared apart.

    Raises:
        ValueError: If the newest release has no such sample.
    """
    row, png = _stored(dataset, sample_id)
    report = Report(row["findings"], row["impression"])
    sample = sample_of(row)
    described: dict[str, Any] = {
        "sample_id": sample_id,
        "entities": sample.entities,
        "view": sample.view,
        "sex": sample.sex,
        "age_years": sample.age_years,
    }
    source = source_reports(dataset.store, [sample]).get(sample_id)
    asked = WriteRequest(seed=row["written"]["seed"], source=source, **described)
    with write_queue(write_station, _ALONE) as queue:
        written = queue.submit(asked).result()
    prompt = row["painted"]["prompt"]
    painted = _paint_once(
        paint_station,
        PaintRequest(seed=row["painted"]["seed"], prompt=prompt, report=report, **described),
    )
    same_report = Likeness.IDENTICAL if written.report == report else Likeness.DIFFERENT
    return _compare(sample_id, same_report, row, png, painted)


def _stored(dataset: Dataset, sample_id: str) -> tuple[dict[str, Any], bytes]:
    if not sample_id.isalnum():
        raise ValueError(f"sample id must be 32 hex digits, got {sample_id!r}")
    release = open_release(dataset.store, dataset.layout)
    pairs = open_table(dataset.store, release, Table.PAIRS)
    columns = [name for name in pairs.schema.names if name not in ("image", "thumbnail", "masks")]
    condition = f"sample_id = '{sample_id}'"
    found = pairs.scanner(columns=columns, filter=condition, with_row_id=True).to_table()
    if found.num_rows != 1:
        raise ValueError(
            f"expected a sample of release {release.release_id}, got {sample_id!r}, "
            "which it does not have; ids stand in the pairs table"
        )
    row = found.to_pylist()[0]
    ((_, png),) = pairs.read_blobs("image", ids=[row.pop("_rowid")])
    assert png, f"pair {sample_id} was published without an image"
    return row, png


def _paint_once(station: PaintStationConfig, request: PaintRequest) -> PaintOutcome:
    opened = station.open()
    try:
        (outcome,) = opened.run([request])
        return outcome
    finally:
        opened.close()


def _compare(
    sample_id: str, report: Likeness, row: dict[str, Any], png: bytes, painted: PaintOutcome
) -> MadeAgain:
    before, after = decode_png(png), decode_png(painted.png)
    grey_levels = (
        float(np.abs(before.astype(np.float32) - after).mean())
        if before.shape == after.shape
        else None
    )
    if painted.sha256 == row["sha256"]:
        image = Likeness.IDENTICAL
    elif grey_levels is not None and grey_levels <= NEAR_GREY_LEVELS:
        image = Likeness.NEAR
    else:
        image = Likeness.DIFFERENT
    bits = signature_distance(row["signature"], painted.signature)
    return MadeAgain(sample_id, report, image, grey_levels, bits)
