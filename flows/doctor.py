"""Is this machine fit to run the factory? Every check says what it found."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from storage.dataset_layouts import DatasetFound
from storage.errors import FactoryError
from storage.objects import LocalStore, open_store, require_reachable
from storage.s3 import S3Store
from storage.store_check import check_store

MIN_FREE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """One check and what it found."""

    name: str
    passed: bool
    found: str

    @property
    def verdict(self) -> str:
        """For a person."""
        return "ok" if self.passed else "FAIL"


def examine(root: str) -> list[Check]:
    """Check Python, installed versions, accelerators, disk, and the store under a root."""
    return [*_python(), *_versions(), *_accelerators(), *_disk(root), *_store(root)]


def datasets_text(found: list[DatasetFound]) -> str:
    """A line a public dataset: where it is, how to get it, or what its folder lacks."""
    return "\n".join(f"{one.presence:<12}  {one.name}: {one.said}" for one in found)


def _python() -> Iterator[Check]:
    yield Check("python", sys.version_info >= (3, 11), platform.python_version())


def _versions() -> Iterator[Check]:
    """Packages pinned exactly: a changed one is known to break something."""
    for line in requires("cxr-factory") or []:
        wanted = Requirement(line)
        pinned = any(one.operator == "==" for one in wanted.specifier)
        if not pinned or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield Check(
                wanted.name, False, f"expected {wanted.specifier}, found none; run make setup"
            )
            continue
        fits = wanted.specifier.contains(found)
        yield Check(wanted.name, fits, found if fits else f"expected {wanted.specifier}, {found}")


def _accelerators() -> Iterator[Check]:
    """GPUs are optional: none is said, not failed."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Check("gpu", True, "none visible; engines run on the CPU")
        return
    query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    listed = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    yield Check("gpu", listed.returncode == 0, "; ".join(listed.stdout.split("\n")).strip("; "))


def _disk(root: str) -> Iterator[Check]:
    store = open_store(root)
    if not isinstance(store, LocalStore):
        return
    folder = Path(store.root)
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    yield Check("disk", free >= MIN_FREE_BYTES, f"{free / 2**30:.1f} GiB free at {existing}")


def _store(root: str) -> Iterator[Check]:
    """Whether the store answers, then conditional puts and the two-publisher race on it."""
    store = open_store(root)
    if isinstance(store, S3Store):
        yield Check("s3", True, store.reached_by)
    try:
        require_reachable(root)
        check_store(store)
    except FactoryError as error:
        yield Check("store", False, str(error))
    else:
        yield Check("store", True, f"{root}: conditional put and compare-and-swap hold")
