"""The small datasets of the chaos run: what is made, where, by whom, and how far it has come."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from flows.plans import DatasetPlan
from flows.work import Work, open_work
from storage.dataset import Dataset, open_dataset
from storage.errors import StoreUnavailable
from storage.layout import Table, number_of
from storage.records import Stage
from storage.releases import release_numbers

UNIT_SIZE = 4
SHARD_UNITS = 2
STAGES = (Stage.WRITE, Stage.PAINT)
IMAGE_SIZE_PX = 64
_VARIANTS = (("phantom", 4), ("unhurried", 4), ("phantom", 4), ("unhurried", 6))  # painter, units
_UNREPEATABLE_UNITS = 4  # of a dataset whose painter never paints the same again
_DIFFUSION_STEPS = 8  # long enough that kills find an engine amid a batch
_COMMAND_EVERY = 3  # of the datasets, one is made by a command in its own process, not in pools


@dataclass
class Made:
    """One dataset on its way.

    Attributes:
        variant: Datasets of one variant have the same plan but for its name, and hold the same;
            None where the painter is not deterministic.
        by_command: Made by `cxr-factory generate`, inline; otherwise by a run in the work pools.
        records: Ledger record's key to the hash of its bytes when it was first seen.
        publishing: Its tables have begun to fill, and there is no release.
    """

    plan: DatasetPlan
    root: str
    variant: int | None
    by_command: bool
    records: dict[str, str] = field(default_factory=dict)
    publishing: bool = False
    released: bool = False

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.plan.name

    @property
    def num_records(self) -> int:
        """Ledger records it will have."""
        return len(STAGES) * self.work_units

    @property
    def work_units(self) -> int:
        """Units of its plan."""
        return self.plan.target.num_candidates // UNIT_SIZE

    @cached_property
    def dataset(self) -> Dataset:
        """Handles on what exists."""
        return open_dataset(self.root, self.name)

    def work(self) -> Work:
        """The dataset with its locked plan, read anew."""
        return open_work(self.root, self.name)

    def look(self) -> None:
        """See how far it is; what the store does not answer is seen next time."""
        try:
            self._look()
        except StoreUnavailable:
            return

    def settled(self, stage: Stage, units: range) -> bool:
        """Whether these units were seen settled."""
        layout = self.dataset.layout
        return all(layout.ledger_record(stage, unit) in self.records for unit in units)

    def _look(self) -> None:
        store, layout = self.dataset.store, self.dataset.layout
        for stage in STAGES:
            for info in store.list(layout.ledger_folder(stage)):
                if number_of(info.key) is not None and info.key not in self.records:
                    self.records[info.key] = hashlib.sha256(store.get(info.key)).hexdigest()
        if len(self.records) == self.num_records:
            self.released = bool(release_numbers(store, layout))
            begun = any(store.list(f"{layout.table(Table.REPORTS)}/"))
            self.publishing = begun and not self.released


def datasets(count: int, local_root: str, s3_root: str, checkpoint: Path) -> list[Made]:
    """So many datasets, half of them on S3; the last two by painters that are not deterministic.

    Args:
        count: Even, so that the last is on S3.
        local_root: Root of one half.
        s3_root: Root of the other.
        checkpoint: That the last is painted by.
    """
    painters = ({"kind": "moody", "image_size_px": IMAGE_SIZE_PX}, _diffusers(checkpoint))
    made = []
    for number in range(count):
        name, root = f"c{number:02}", s3_root if number % 2 else local_root
        if number < count - len(painters):
            variant = number % len(_VARIANTS)
            by_command = number % _COMMAND_EVERY == 0
            made.append(Made(variant_plan(variant, name), root, variant, by_command))
        else:
            plan = _plan(name, painters[number - count], _UNREPEATABLE_UNITS, seed=0)
            made.append(Made(plan, root, variant=None, by_command=False))
    return made


def variant_plan(variant: int, name: str) -> DatasetPlan:
    """The plan of a variant, whose painter is deterministic."""
    painter, num_units = _VARIANTS[variant]
    settings = {"kind": painter, "image_size_px": IMAGE_SIZE_PX}
    return _plan(name, settings, num_units, seed=variant + 1)


def _diffusers(checkpoint: Path) -> Mapping[str, object]:
    """Settings of the production painter; it paints what its random weights make of a prompt."""
    return {"kind": "diffusers", "model": str(checkpoint), "num_steps": _DIFFUSION_STEPS}


def _plan(name: str, painter: Mapping[str, object], num_units: int, seed: int) -> DatasetPlan:
    settings = {
        "name": name,
        "target": {"all": num_units * UNIT_SIZE},
        "seed": seed,
        "unit_size": UNIT_SIZE,
        "entities": {"kind": "built-in", "num_clinical": 20, "num_anatomy": 16},
        "sampling": {
            "clinical_per_report": 3,
            "anatomy_per_report": 2,
            "max_uses": 32,
            "max_present_per_report": 2,
            "normal_share": 0.25,
        },
        "splits": {"train": 0.8, "validation": 0.2},
        "writer": {"kind": "grammar"},
        "painter": painter,
        "execution": {
            "dispatch": "work-pool",
            "shard_units": SHARD_UNITS,
            "num_processes": 1,
            "units_in_flight": 2,
        },
    }
    return DatasetPlan.model_validate(settings)
