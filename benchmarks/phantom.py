"""Phantom: images per second and core, and whether findings are structure or mere brightness.

A small residual network and a logistic regression on 16 x 16 thumbnails learn the 14 findings of
ChestX-ray14 from the same phantoms and are scored on the same held-out phantoms. The network must
tell them all; the thumbnails must not, or brightness would do.

Run: OMP_NUM_THREADS=1 python -m benchmarks.phantom
"""

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional

from models.engines import PaintRequest
from models.images import encode_png, to_uint8
from models.painters.configs import PhantomConfig
from models.vocabulary.findings import Finding
from storage.records import Entity, EntityKind, EntityStatus, Report, Severity, View

FINDINGS = tuple(Finding)
WIDE = ("cardiomegaly", "pulmonary edema", "emphysema", "pulmonary fibrosis", "hiatal hernia")
LOBES = (
    "right upper lobe",
    "right middle lobe",
    "right lower lobe",
    "left upper lobe",
    "left lower lobe",
    "lingula",
)
PLEURAE = ("right pleural space", "left pleural space")
SPEED_IMAGES = 120
THUMBNAIL_PX = 16


@dataclass(frozen=True, slots=True)
class Phantoms:
    """Images (N, H, W) in 0..1 and which of FINDINGS each shows (N, 14)."""

    pixels_NHW: NDArray[np.float32]
    labels_NF: NDArray[np.bool_]


def draw_request(index: int, seed: int) -> tuple[PaintRequest, NDArray[np.bool_]]:
    """A phantom with 0 to 3 findings at random places and severities, and its labels."""
    rng = np.random.default_rng([seed, index])
    labels = np.zeros(len(FINDINGS), bool)
    labels[rng.permutation(len(FINDINGS))[: rng.integers(0, 4)]] = True
    entities = tuple(_entity(FINDINGS[k], rng) for k in np.flatnonzero(labels))
    view = View.AP if rng.random() < 0.4 else View.PA
    report = Report(findings="", impression="")
    request = PaintRequest(f"{seed}-{index}", seed * 10**6 + index, "", report, entities, view)
    return request, labels


def _entity(finding: Finding, rng: np.random.Generator) -> Entity:
    places: tuple[str, ...] = PLEURAE if "pleura" in finding.term else LOBES
    if finding is Finding.PNEUMOTHORAX:
        places = PLEURAE
    anatomy = None if finding.term in WIDE else str(rng.choice(places))
    severity = list(Severity)[int(rng.integers(3))]
    kind, status = EntityKind.ABNORMALITY, EntityStatus.PRESENT
    return Entity(finding.term, kind, status, anatomy, severity)


def paint(count: int, seed: int, size_px: int) -> Phantoms:
    """`count` phantoms painted at 256 px, kept at `size_px` by block means."""
    painter, block = PhantomConfig(image_size_px=256).open(), 256 // size_px
    pixels = np.empty((count, size_px, size_px), np.float32)
    labels = np.empty((count, len(FINDINGS)), bool)
    for index in range(count):
        request, labels[index] = draw_request(index, seed)
        image = to_uint8(painter.paint([request])[0].pixels_HW).astype(np.float32) / 255.0
        pixels[index] = image.reshape(size_px, block, size_px, block).mean(axis=(1, 3))
    return Phantoms(pixels, labels)


def images_per_second() -> tuple[float, float]:
    """Rate of one process at 256 px, PNG encoding included: by the wall clock, by CPU time.

    The two agree on an idle machine; on a busy one only the second says what a core can do.
    """
    painter = PhantomConfig(image_size_px=256).open()
    requests = [draw_request(index, 7)[0] for index in range(SPEED_IMAGES)]
    painter.paint(requests[:4])
    wall, cpu = time.perf_counter(), time.process_time()
    for request in requests:
        encode_png(painter.paint([request])[0].pixels_HW, request.sample_id)
    return (
        SPEED_IMAGES / (time.perf_counter() - wall),
        SPEED_IMAGES / (time.process_time() - cpu),
    )


class Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut; halves the sides at stride 2."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = functional.relu(self.first_norm(self.first(x_BCHW)))
        return functional.relu(self.second_norm(self.second(y)) + self.shortcut(x_BCHW))


class SmallResNet(nn.Module):
    """A narrow residual network; mean and maximum over places feed 14 logits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = [width, width, 2 * width, 4 * width, 6 * width]
        self.stem = nn.Conv2d(1, width, 5, 2, 2, bias=False)
        self.blocks = nn.Sequential(
            *(Block(widths[k], widths[k + 1], 1 if k == 0 else 2) for k in range(4))
        )
        self.head = nn.Linear(2 * widths[-1], len(FINDINGS))

    def forward(self, x_BHW: Tensor) -> Tensor:
        """Images (B, H, W) to logits (B, 14)."""
        features = self.blocks(functional.relu(self.stem(x_BHW[:, None])))
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        return self.head(functional.dropout(pooled, 0.2, self.training))


def augment(x_BHW: Tensor, generator: torch.Generator) -> Tensor:
    """Random flips (no label names a side), shifts of a sixteenth, contrast and brightness."""
    reach = x_BHW.shape[-1] // 16
    flipped = torch.rand(len(x_BHW), 1, 1, generator=generator) < 0.5
    x_BHW = torch.where(flipped, x_BHW.flip(2), x_BHW)
    dx, dy = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
    gain = 1 + 0.3 * (torch.rand(len(x_BHW), 1, 1, generator=generator) - 0.5)
    offset = 0.3 * (torch.rand(len(x_BHW), 1, 1, generator=generator) - 0.5)
    return torch.roll(x_BHW, (dy, dx), (1, 2)) * gain + offset


def train(phantoms: Phantoms, epochs: int, width: int, seed: int) -> SmallResNet:
    """Binary cross entropy over the 14 findings, AdamW, one-cycle learning rate."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = SmallResNet(width).to(memory_format=torch.channels_last)
    x = torch.from_numpy(phantoms.pixels_NHW - 0.5)
    y = torch.from_numpy(phantoms.labels_NF).float()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    steps = epochs * (len(x) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for batch in order[: len(x) // 32 * 32].split(32):
            logits = network(augment(x[batch], generator))
            loss = functional.binary_cross_entropy_with_logits(logits, y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def network_scores(network: SmallResNet, phantoms: Phantoms) -> NDArray[np.float32]:
    """Logits (N, 14)."""
    x = torch.from_numpy(phantoms.pixels_NHW - 0.5)
    return torch.cat([network(part) for part in x.split(64)]).numpy()


def linear_scores(train_set: Phantoms, test_set: Phantoms) -> NDArray[np.float64]:
    """Log-odds (N, 14) of logistic regressions on 16 x 16 thumbnails; the best of four C's.

    The strength is chosen on the test phantoms, in favour of the baseline.
    """
    candidates = []
    for strength in (1e-4, 1e-3, 1e-2, 1e-1):
        model = make_pipeline(
            StandardScaler(),
            MultiOutputClassifier(LogisticRegression(C=strength, max_iter=500)),
        ).fit(thumbnails(train_set), train_set.labels_NF)
        odds = np.stack([p[:, 1] for p in model.predict_proba(thumbnails(test_set))], axis=1)
        candidates.append(odds)
    return max(candidates, key=lambda odds: np.mean(aurocs(odds, test_set)))


def thumbnails(phantoms: Phantoms) -> NDArray[np.float32]:
    """Block means, flattened: (N, 256)."""
    count, size, _ = phantoms.pixels_NHW.shape
    block = size // THUMBNAIL_PX
    shape = (count, THUMBNAIL_PX, block, THUMBNAIL_PX, block)
    return phantoms.pixels_NHW.reshape(shape).mean(axis=(2, 4)).reshape(count, -1)


def aurocs(scores_NF: NDArray[np.floating], phantoms: Phantoms) -> list[float]:
    """AUROC of each finding against its absence."""
    columns = range(len(FINDINGS))
    return [float(roc_auc_score(phantoms.labels_NF[:, k], scores_NF[:, k])) for k in columns]


def measure(args: argparse.Namespace) -> dict[str, object]:
    """All figures of this benchmark."""
    torch.set_num_threads(args.threads)
    by_wall, by_cpu = images_per_second()
    train_set, test_set = (
        paint(count, seed, args.input_px) for count, seed in ((args.train, 1), (args.test, 2))
    )
    start = time.perf_counter()
    network = train(train_set, args.epochs, args.width, seed=0)
    train_seconds = time.perf_counter() - start
    deep = aurocs(network_scores(network, test_set), test_set)
    linear = aurocs(linear_scores(train_set, test_set), test_set)
    return {
        "benchmark": "phantom",
        "images_per_second_256px": round(by_wall, 1),
        "images_per_cpu_second_256px": round(by_cpu, 1),
        "train_phantoms": args.train,
        "test_phantoms": args.test,
        "input_px": args.input_px,
        "resnet_train_seconds": round(train_seconds, 1),
        "resnet_auroc": _by_finding(deep),
        "resnet_min_auroc": round(min(deep), 4),
        "resnet_macro_auroc": round(float(np.mean(deep)), 4),
        "thumbnail_linear_auroc": _by_finding(linear),
        "thumbnail_linear_macro_auroc": round(float(np.mean(linear)), 4),
        "macro_gap": round(float(np.mean(deep) - np.mean(linear)), 4),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
        "torch_threads": args.threads,
    }


def _by_finding(values: list[float]) -> dict[str, float]:
    return {f.term: round(value, 4) for f, value in zip(FINDINGS, values, strict=True)}


def main() -> None:
    """Parse the arguments, measure, write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=45)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--input-px", type=int, default=128, choices=(64, 128))
    parser.add_argument("--threads", type=int, default=1)
    sys.stdout.write(json.dumps(measure(parser.parse_args())) + "\n")


if __name__ == "__main__":
    main()
