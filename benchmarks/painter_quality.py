"""A trained painter against held-out real patients: FID, KID, memorisation, seconds per image.

Painted from the captions of the corpus's validation and test patients, whom training never saw, and
compared with their real images beside phantoms of the same mix of views and real images of training
patients: as many of each, all at the painter's size. Features are those of `phantom_kid`, a
ResNet-18 of random weights standardised on the training images, so the figures rank the sets
beside each other and compare with no published FID or KID. FID is biased upwards at this size,
about equally in every row. Intervals are 95 %, by the jackknife over 20 groups of patients on the
one side and of images on the other.

Memorisation: distances between standardised images (root mean square, 1.41 between unrelated
noise) to the nearest of equally many training and held-out images.

Run: python -m benchmarks.painter_quality --root ROOT --pipeline ROOT/models/nih-64/pipeline
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray
from PIL import Image

from benchmarks.phantom_kid import encoder, features, paint
from models.images import NEAR_DUPLICATE_BITS, decode_png, signature, signature_distance
from models.painters.finetuning.captions import full_caption
from models.vlp.images import fit_square
from storage.corpora import Corpus, read_corpus
from storage.objects import open_store
from storage.records import Split
from tasks.finetuning import subject_of

NUM_GROUPS, NUM_SUBSETS = 20, 20
Z95, T95 = 1.960, 2.093  # normal; Student's t of NUM_GROUPS - 1 degrees
SHEET_ROWS, SHEET_COLUMNS, SHEET_ZOOM = 6, 6, 2
BATCH, SEED = 16, 0

Features = NDArray[np.float64]
Statistic = Callable[[Features, Features], float]


@dataclass(frozen=True)
class ImageSet:
    """Images of one kind, uint8 (N, S, S), and the group of each that the jackknife leaves out."""

    pixels_NSS: NDArray[np.uint8]
    groups_N: NDArray[np.int64]

    def take(self, chosen: NDArray[np.int64]) -> "ImageSet":
        """Some of the images."""
        return ImageSet(self.pixels_NSS[chosen], self.groups_N[chosen])

    def images(self) -> list[Image.Image]:
        """As Pillow images."""
        return [Image.fromarray(pixels) for pixels in self.pixels_NSS]


def read_real(
    corpus: Corpus, splits: Iterable[Split], size_px: int, *, unlabelled_as_normal: bool
) -> tuple[ImageSet, list[str]]:
    """Real images of some splits at a size, grouped by patient, with a caption of each."""
    found = [image for split in splits for image in corpus.images(split)]
    pixels = [fit_square(decode_png(image.image), size_px) for image in found]
    patients = np.unique([image.patient_id for image in found], return_inverse=True)[1]
    subjects = [subject_of(one, unlabelled_as_normal=unlabelled_as_normal) for one in found]
    captions = [full_caption(subject) for subject in subjects]
    return ImageSet(np.stack(pixels), patients % NUM_GROUPS), captions


def paint_captions(pipeline: Any, captions: list[str], args: argparse.Namespace) -> ImageSet:
    """One image per caption, each with a seed of its own."""
    painted = []
    for start in range(0, len(captions), BATCH):
        batch = captions[start : start + BATCH]
        seeds = range(start, start + len(batch))
        painted += pipeline(
            batch,
            num_inference_steps=args.steps,
            guidance_scale=args.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        ).images
    pixels = np.stack([np.asarray(image.convert("L")) for image in painted])
    return ImageSet(pixels, np.arange(len(pixels)) % NUM_GROUPS)


def paint_phantoms(captions: list[str], size_px: int) -> ImageSet:
    """As many phantoms, with the captions' share of AP views."""
    ap_share = float(np.mean(["AP view" in caption for caption in captions]))
    images = paint(len(captions), ap_share)
    pixels = [fit_square(np.asarray(image), size_px) for image in images]
    return ImageSet(np.stack(pixels), np.arange(len(pixels)) % NUM_GROUPS)


def frechet_distance(x_NF: Features, y_NF: Features) -> float:
    """Squared Frechet distance of two Gaussians fitted to the features.

    The trace of the root of the product of covariances is the nuclear norm of the product of the
    centred features, which needs no more images than features. Source: Heusel et al. 2017, eq. 6.
    """
    x, y = x_NF - x_NF.mean(axis=0), y_NF - y_NF.mean(axis=0)
    shift = float(((x_NF.mean(axis=0) - y_NF.mean(axis=0)) ** 2).sum())
    x, y = x / np.sqrt(len(x) - 1), y / np.sqrt(len(y) - 1)
    shared = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return shift + float((x**2).sum() + (y**2).sum()) - 2 * shared


def kernel_distance(x_NF: Features, y_NF: Features) -> float:
    """Unbiased squared maximum mean discrepancy, kernel (x.y / F + 1)^3, over all images.

    Source: Binkowski et al. 2018, section 3.
    """

    def kernel(a: Features, b: Features) -> Features:
        values: Features = (a @ b.T / a.shape[1] + 1.0) ** 3
        return values

    def within(a: Features) -> float:
        values, count = kernel(a, a), len(a)
        return float((values.sum() - np.trace(values)) / (count * (count - 1)))

    return within(x_NF) + within(y_NF) - 2 * float(kernel(x_NF, y_NF).mean())


def with_interval(
    statistic: Statistic, x: Features, y: Features, x_groups: NDArray[np.int64],
    y_groups: NDArray[np.int64],
) -> list[float]:  # fmt: skip
    """The value on all images and its 95 % interval, by leaving out a group of either side."""
    value = statistic(x, y)
    left_out = range(NUM_GROUPS)
    of_x = np.array([statistic(x[x_groups != group], y) for group in left_out])
    of_y = np.array([statistic(x, y[y_groups != group]) for group in left_out])
    variance = sum((NUM_GROUPS - 1) * np.var(values) for values in (of_x, of_y))
    half = T95 * float(np.sqrt(variance))
    return [round(number, 4) for number in (value, value - half, value + half)]


def standardised(pixels_NSS: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each image as a vector of zero mean and unit variance: exposure does not count."""
    flat = pixels_NSS.reshape(len(pixels_NSS), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= flat.std(axis=1, keepdims=True) + 1e-6
    return flat


def distances(x_NP: NDArray[np.float32], y_NP: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square difference of every x to every y."""
    correlation = x_NP @ y_NP.T / x_NP.shape[1]
    found: NDArray[np.float32] = np.sqrt(np.maximum(2 - 2 * correlation, 0))
    return found


def memorisation(painted: ImageSet, training: ImageSet, held_out: ImageSet) -> dict[str, object]:
    """Is what is painted nearer to the images learnt from than to others of their kind?"""
    vectors = [standardised(one.pixels_NSS) for one in (painted, training, held_out)]
    to_training, to_held_out = distances(vectors[0], vectors[1]), distances(vectors[0], vectors[2])
    real_to_training = distances(vectors[2], vectors[1])
    random, count = np.random.default_rng(SEED), len(held_out.pixels_NSS)
    subsets = [random.permutation(len(training.pixels_NSS))[:count] for _ in range(NUM_SUBSETS)]
    nearest = np.mean([to_training[:, subset].min(axis=1) for subset in subsets], axis=0)
    real_nearest = [real_to_training[:, subset].min(axis=1) for subset in subsets]
    wins = [to_training[:, s].min(axis=1) < to_held_out.min(axis=1) for s in subsets]
    share = float(np.mean(wins))
    half = Z95 * float(np.sqrt(share * (1 - share) / len(painted.pixels_NSS)))
    bits = [signature(pixels) for pixels in training.pixels_NSS]
    closest = min(
        signature_distance(signature(pixels), other)
        for pixels in painted.pixels_NSS
        for other in bits
    )
    return {
        "median_nearest_training": round(float(np.median(nearest)), 4),
        "median_nearest_held_out": round(float(np.median(to_held_out.min(axis=1))), 4),
        "median_nearest_training_of_real_held_out": round(float(np.median(real_nearest)), 4),
        "share_nearer_to_training": [round(v, 3) for v in (share, share - half, share + half)],
        "smallest_to_any_training": round(float(to_training.min()), 4),
        "smallest_of_real_held_out_to_any_training": round(float(real_to_training.min()), 4),
        "fewest_signature_bits_to_any_training": closest,
        "near_duplicate_bits": NEAR_DUPLICATE_BITS,
    }


def save_sheet(painted: ImageSet, phantoms: ImageSet, path: Path) -> None:
    """Painted images on the left, phantoms on the right: real images stay out of the project."""
    random = np.random.default_rng(SEED)
    halves = []
    for one in (painted, phantoms):
        chosen = random.permutation(len(one.pixels_NSS))[: SHEET_ROWS * SHEET_COLUMNS]
        tiles = one.pixels_NSS[chosen].repeat(SHEET_ZOOM, axis=1).repeat(SHEET_ZOOM, axis=2)
        rows = [np.hstack(list(row)) for row in np.split(tiles, SHEET_ROWS)]
        halves.append(np.vstack(rows))
    gap = np.full((len(halves[0]), 8 * SHEET_ZOOM), 255, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.hstack([halves[0], gap, halves[1]])).save(path, optimize=True)


def measure(args: argparse.Namespace) -> dict[str, object]:
    """Every figure; writes the contact sheet where one is asked for."""
    torch.set_num_threads(args.threads)
    pipeline: Any = DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
        args.pipeline, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    size = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    corpus = read_corpus(open_store(args.root), args.corpus)
    normal = args.unlabelled_as_normal
    held_out_splits = (Split.VALIDATION, Split.TEST)
    held_out, captions = read_real(corpus, held_out_splits, size, unlabelled_as_normal=normal)
    training, _ = read_real(corpus, (Split.TRAIN,), size, unlabelled_as_normal=normal)
    began = time.perf_counter()
    painted = paint_captions(pipeline, captions, args)
    seconds = (time.perf_counter() - began) / len(captions)
    phantoms = paint_phantoms(captions, size)
    chosen = np.random.default_rng(SEED).permutation(len(training.pixels_NSS))[: len(captions)]
    if args.sheet:
        save_sheet(painted, phantoms, args.sheet)

    network = encoder()
    raw = features(network, training.images())
    mean, scale = raw.mean(axis=0), raw.std(axis=0) + 1e-9
    held_out_NF = (features(network, held_out.images()) - mean) / scale
    sets = {"painted": painted, "phantom": phantoms, "real_training": training.take(chosen)}
    rows = {}
    for name, one in sets.items():
        found_NF = (features(network, one.images()) - mean) / scale
        given = (found_NF, held_out_NF, one.groups_N, held_out.groups_N)
        rows[name] = {
            "fid": with_interval(frechet_distance, *given),
            "kid": with_interval(kernel_distance, *given),
        }
    return {
        "benchmark": "painter_quality",
        "pipeline": str(args.pipeline),
        "size_px": size,
        "solver_steps": args.steps,
        "guidance_scale": args.guidance,
        "against": "real images of validation and test patients",
        "images_of_each": len(captions),
        "encoder": "torchvision resnet18, random weights, standardised on training images",
        "value_and_95_percent_interval": rows,
        "memorisation": memorisation(painted, training, held_out),
        "seconds_per_image": round(seconds, 3),
        "threads": args.threads,
        "batch": BATCH,
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
    }


def main() -> None:
    """Parse the arguments, measure, write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="Folder that holds the corpus.")
    parser.add_argument("--corpus", default="nih")
    parser.add_argument("--pipeline", type=Path, required=True, help="What finetune left.")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument(
        "--unlabelled-as-normal",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="As in the plan the painter was trained by.",
    )
    parser.add_argument("--sheet", type=Path, help="Where to write painted beside phantoms.")
    parser.add_argument("--threads", type=int, default=1)
    sys.stdout.write(json.dumps(measure(parser.parse_args())) + "\n")


if __name__ == "__main__":
    main()
