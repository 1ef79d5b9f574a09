"""Similarity gate: recall of spoiled radiographs at the acceptance of untouched real ones.

Patients are halved; the gate is calibrated on one half and its figures are of the other. Of 300
spoiled images 150 are calibrated on, and 150 are judged.

Run: OMP_NUM_THREADS=1 python -m benchmarks.bad_image_gate --real ../shared/data/nih
"""

import argparse
import csv
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from models.engines import engine_config
from models.gates.calibration import calibrate_on_half
from models.gates.examples import ImageExample, halves, spoiled_examples

SEED = 0
ACCEPTANCE = 0.97
SHEET_SIDE_PX = 96


def read_examples(folder: Path) -> list[ImageExample]:
    """The images of a folder in the layout of ChestX-ray14."""
    with (folder / "labels.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [
        ImageExample(
            row["Patient ID"],
            "",
            np.asarray(Image.open(folder / "images" / row["Image Index"]).convert("L")),
        )
        for row in rows
    ]


def measure(
    folder: Path, per_kind: int, encoder: dict[str, object], sheet: Path | None
) -> dict[str, object]:
    """Calibrate on one half of the patients, judge the other."""
    good = read_examples(folder)
    bad = spoiled_examples(good, per_kind, SEED)
    if sheet is not None:
        _write_sheet(halves(bad, SEED).calibration, per_kind // 2, sheet)
    opened = engine_config("encoders", encoder).open()
    bank, held_out = calibrate_on_half(opened, good, bad, ACCEPTANCE, SEED)
    return {
        "benchmark": "bad_image_gate",
        "encoder": opened.info.kind,
        **{f"test_{name}": _rounded(value) for name, value in held_out.as_dict().items()},
        "calibration_acceptance": round(bank.calibration.acceptance, 4),
        "calibration_recall": round(bank.calibration.recall, 4),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
    }


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _write_sheet(examples: Sequence[ImageExample], columns: int, path: Path) -> None:
    side = SHEET_SIDE_PX
    sheet = Image.new("L", (columns * side, -(-len(examples) // columns) * side))
    for index, example in enumerate(examples):
        small = Image.fromarray(example.pixels_HW).resize((side, side))
        sheet.paste(small, (index % columns * side, index // columns * side))
    sheet.save(path)


def main() -> None:
    """Parse the arguments, measure, write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=Path("../shared/data/nih"))
    parser.add_argument("--per-kind", type=int, default=30)
    parser.add_argument("--encoder", type=json.loads, default={"kind": "handcrafted"})
    parser.add_argument("--sheet", type=Path, help="PNG of the calibration half's spoiled images")
    args = parser.parse_args()
    figures = measure(args.real, args.per_kind, args.encoder, args.sheet)
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
