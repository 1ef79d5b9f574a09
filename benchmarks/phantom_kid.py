"""Phantom: kernel inception distance (KID) to real NIH radiographs, with real-against-real values.

KID is the unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 between image
features (Binkowski et al. 2018). No pre-trained encoder can be had without a download, so the
features here are those of a ResNet-18 with random weights of a fixed seed, standardised on the real
images: the figure ranks sets against the reference values beside it, and compares with no KID on
Inception or RAD-DINO features.

Run: OMP_NUM_THREADS=1 python -m benchmarks.phantom_kid --real ../shared/data/nih
"""

import argparse
import csv
import json
import os
import platform
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import nn
from torchvision.models import resnet18

from benchmarks.phantom import draw_request
from models.images import to_uint8
from models.painters.configs import PhantomConfig
from storage.records import View

INPUT_PX = 128
SUBSETS, SUBSET_SIZE = 50, 100
SEED = 0


def read_real(folder: Path) -> tuple[list[Image.Image], NDArray[np.str_], NDArray[np.str_]]:
    """Images, patient ids (N,) and views (N,) of the folder with `labels.csv` and `images/`."""
    with (folder / "labels.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    images = [Image.open(folder / "images" / row["Image Index"]).convert("L") for row in rows]
    patients = np.array([row["Patient ID"] for row in rows])
    return images, patients, np.array([row["View Position"] for row in rows])


def paint(count: int, ap_share: float) -> list[Image.Image]:
    """Phantoms with 0 to 3 findings each, in the real images' mix of views."""
    painter, rng, images = PhantomConfig(image_size_px=256).open(), np.random.default_rng(SEED), []
    for index in range(count):
        request, _ = draw_request(index, 11)
        view = View.AP if rng.random() < ap_share else View.PA
        asked = type(request)(
            request.sample_id, request.seed, "", request.report, request.entities, view
        )
        images.append(Image.fromarray(to_uint8(painter.paint([asked])[0].pixels_HW)))
    return images


def encoder() -> nn.Module:
    """A ResNet-18 of random weights, the same for ever, without its classifier."""
    torch.manual_seed(SEED)
    network = resnet18(weights=None)
    network.fc = nn.Identity()  # type: ignore[assignment]
    return network.eval()


@torch.no_grad()
def features(network: nn.Module, images: list[Image.Image]) -> NDArray[np.float64]:
    """Features (N, 512) of images shrunk to 128 px, grey levels in -1..1."""
    parts = []
    for start in range(0, len(images), 64):
        chunk = [image.resize((INPUT_PX, INPUT_PX)) for image in images[start : start + 64]]
        x_BHW = torch.from_numpy(np.stack([np.asarray(i, np.float32) for i in chunk])) / 127.5 - 1
        parts.append(network(x_BHW[:, None].expand(-1, 3, -1, -1)).numpy())
    return np.concatenate(parts).astype(np.float64)


def kid(x_NF: NDArray[np.float64], y_NF: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard error over random subsets of the unbiased squared MMD.

    Source: Binkowski et al. 2018, section 3: polynomial kernel of degree 3.
    """
    rng, size = np.random.default_rng(SEED), min(SUBSET_SIZE, len(x_NF), len(y_NF))
    values = []
    for _ in range(SUBSETS):
        x = x_NF[rng.choice(len(x_NF), size, replace=False)]
        y = y_NF[rng.choice(len(y_NF), size, replace=False)]
        within = _kernel_mean(x, x, diagonal=False) + _kernel_mean(y, y, diagonal=False)
        values.append(within - 2 * _kernel_mean(x, y, diagonal=True))
    return float(np.mean(values)), float(np.std(values) / np.sqrt(SUBSETS))


def _kernel_mean(x: NDArray[np.float64], y: NDArray[np.float64], *, diagonal: bool) -> float:
    kernel = (x @ y.T / x.shape[1] + 1.0) ** 3
    if diagonal:
        return float(kernel.mean())
    count = len(x)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def halves(patients: NDArray[np.str_]) -> NDArray[np.bool_]:
    """True for the images of a random half of the patients: no patient is on both sides."""
    names = np.random.default_rng(SEED).permutation(np.unique(patients))
    return np.isin(patients, names[: len(names) // 2])


def measure(args: argparse.Namespace) -> dict[str, object]:
    """KID of phantoms and of reference pairs of sets."""
    torch.set_num_threads(args.threads)
    images, patients, views = read_real(args.real)
    network = encoder()
    raw = features(network, images)
    mean, scale = raw.mean(axis=0), raw.std(axis=0) + 1e-9
    real = (raw - mean) / scale
    first = halves(patients)

    def standard(others: list[Image.Image]) -> NDArray[np.float64]:
        return (features(network, others) - mean) / scale

    blurred = standard([image.filter(ImageFilter.GaussianBlur(2)) for image in images])
    phantoms = standard(paint(args.phantoms, float((views == "AP").mean())))
    pairs = {
        "real_vs_real_other_patients": (real[first], real[~first]),
        "real_pa_vs_real_ap": (real[views == "PA"], real[views == "AP"]),
        "real_vs_real_blurred_2px": (real[first], blurred[~first]),
        "real_vs_phantom": (real, phantoms),
    }
    figures = {name: [round(value, 4) for value in kid(*pair)] for name, pair in pairs.items()}
    return {
        "benchmark": "phantom_kid",
        "encoder": "torchvision resnet18, random weights of seed 0, features standardised on real",
        "kid_mean_and_standard_error": figures,
        "real_images": len(images),
        "phantoms": args.phantoms,
        "input_px": INPUT_PX,
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
    }


def main() -> None:
    """Parse the arguments, measure, write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, default=Path("../shared/data/nih"))
    parser.add_argument("--phantoms", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    sys.stdout.write(json.dumps(measure(parser.parse_args())) + "\n")


if __name__ == "__main__":
    main()
