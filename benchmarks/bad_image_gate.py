"""Similarity gate: recall of spoiled radiographs at the acceptance of untouched real ones.

Patients are halved; the gate is calibrated on one half and its figures are of the other.

Run: OMP_NUM_THREADS=1 python -m benchmarks.bad_image_gate --real ../shared/data/nih
"""

import argparse
import csv
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from sklearn.datasets import load_sample_image

from models.gates.calibration import calibrate_bank
from models.gates.handcrafted import embed

KINDS = (
    "rotated 90",
    "rotated 180",
    "inverted",
    "blurred",
    "cropped",
    "noise",
    "photograph",
    "texture",
    "text",
    "squeezed",
)
SEED = 0


def spoil(  # noqa: PLR0911 - a return a kind
    image: Image.Image, kind: str, calibrating: bool, rng: np.random.Generator
) -> Image.Image:
    """One spoiled image of the same size; the two halves see different photographs."""
    side = image.width
    if kind == "rotated 90":
        return image.rotate(90 * int(rng.choice((1, 3))))
    if kind == "rotated 180":
        return image.rotate(180)
    if kind == "inverted":
        return ImageOps.invert(image)
    if kind == "blurred":
        return image.filter(ImageFilter.GaussianBlur(float(rng.uniform(2.5, 6))))
    if kind == "cropped":
        return _window(image, int(side * rng.uniform(0.12, 0.3)), side, rng)
    if kind == "noise":
        grey = np.asarray(image, np.float32)
        noisy = grey + rng.normal(0, rng.uniform(30, 90), grey.shape)
        return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    if kind == "photograph":
        photograph = load_sample_image("china.jpg" if calibrating else "flower.jpg")
        whole = Image.fromarray(photograph).convert("L")
        return _window(whole, int(rng.integers(150, 420)), side, rng)
    if kind == "texture":
        return _texture(side, rng)
    if kind == "text":
        return _with_text(image, rng)
    narrow = int(side * rng.uniform(0.45, 0.65))
    squeezed = Image.new("L", image.size)
    squeezed.paste(image.resize((narrow, side)), ((side - narrow) // 2, 0))
    return squeezed


def _window(image: Image.Image, window: int, side: int, rng: np.random.Generator) -> Image.Image:
    left, top = (int(rng.integers(0, length - window + 1)) for length in image.size)
    return image.crop((left, top, left + window, top + window)).resize((side, side))


def _texture(side: int, rng: np.random.Generator) -> Image.Image:
    """Random cells smoothly joined, plus stripes in a random direction."""
    cells = int(rng.integers(2, 40))
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), np.float32)
    rows, columns = np.mgrid[:side, :side] / side
    angle, waves = rng.uniform(0, np.pi), rng.uniform(1, 25)
    phase = 2 * np.pi * waves * (rows * np.sin(angle) + columns * np.cos(angle))
    mixed = 0.6 * smooth + 51 * (1 + np.sin(phase))
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _with_text(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Three to seven lines of words burned in."""
    written = image.copy()
    draw, letters = ImageDraw.Draw(written), list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789 ")
    for _ in range(int(rng.integers(3, 8))):
        place = (float(rng.uniform(0, 90)), float(rng.uniform(0, 236)))
        line = "".join(rng.choice(letters, int(rng.integers(10, 24))))
        draw.text(place, line, fill=int(rng.choice((0, 255))), font_size=float(rng.uniform(11, 18)))
    return written


def _embed(images: list[Image.Image]) -> NDArray[np.float32]:
    return np.stack([embed(np.asarray(image)) for image in images])


def measure(folder: Path, per_kind: int, sheet: Path | None) -> dict[str, object]:
    """Calibrate on one half of the patients, judge the other."""
    with (folder / "labels.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    images = [Image.open(folder / "images" / row["Image Index"]).convert("L") for row in rows]
    patients = np.array([row["Patient ID"] for row in rows])
    rng = np.random.default_rng(SEED)
    names = rng.permutation(np.unique(patients))
    first = np.isin(patients, names[: len(names) // 2])
    good_ND = _embed(images)
    sides = {True: np.flatnonzero(first), False: np.flatnonzero(~first)}
    bad: dict[bool, list[tuple[str, str, Image.Image]]] = {True: [], False: []}
    for kind in KINDS:
        for index in range(per_kind):
            side = index % 2 == 0
            source = int(rng.choice(sides[side]))
            spoiled = spoil(images[source], kind, side, rng)
            bad[side].append((kind, str(patients[source]), spoiled))
    if sheet is not None:
        _write_sheet([image for _, _, image in bad[True]], per_kind // 2, sheet)
    seen_bad, held_bad = (_embed([image for _, _, image in bad[side]]) for side in (True, False))
    owners = [owner for _, owner, _ in bad[True]]
    bank = calibrate_bank(good_ND[first], seen_bad, list(patients[first]), owners)
    threshold = bank.calibration.threshold
    accepted = np.array([bank.score(x) <= threshold for x in good_ND[~first]])
    caught = np.array([bank.score(x) > threshold for x in held_bad])
    kinds = np.array([kind for kind, _, _ in bad[False]])
    false_alarms = int((~accepted).sum())
    return {
        "benchmark": "bad_image_gate",
        "encoder": "handcrafted",
        "test_acceptance": round(float(accepted.mean()), 4),
        "test_recall": round(float(caught.mean()), 4),
        "test_precision": round(float(caught.sum() / max(caught.sum() + false_alarms, 1)), 4),
        "test_recall_by_kind": {k: round(float(caught[kinds == k].mean()), 4) for k in KINDS},
        "calibration_acceptance": round(bank.calibration.acceptance, 4),
        "calibration_recall": round(bank.calibration.recall, 4),
        "test_real": len(accepted),
        "test_spoiled": len(caught),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
    }


def _write_sheet(images: list[Image.Image], columns: int, path: Path) -> None:
    sheet = Image.new("L", (columns * 96, -(-len(images) // columns) * 96))
    for index, image in enumerate(images):
        sheet.paste(image.resize((96, 96)), (index % columns * 96, index // columns * 96))
    sheet.save(path)


def main() -> None:
    """Parse the arguments, measure, write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=Path("../shared/data/nih"))
    parser.add_argument("--per-kind", type=int, default=30)
    parser.add_argument("--sheet", type=Path, help="PNG of the calibration half's spoiled images")
    args = parser.parse_args()
    sys.stdout.write(json.dumps(measure(args.real, args.per_kind, args.sheet)) + "\n")


if __name__ == "__main__":
    main()
