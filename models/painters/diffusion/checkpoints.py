"""A saved pipeline on this machine: found, checked and hashed without loading a weight.

Light: neither torch nor diffusers is imported, since every scheduler host asks for revisions.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.painters.diffusion.hub import cached_snapshot, fetch_snapshot
from storage.errors import EngineUnavailable

INDEX = "model_index.json"
# What diffusers and transformers read; other files of a component's folder change no image.
SUFFIXES = (".json", ".jinja", ".model", ".safetensors", ".txt")
LEFT_OUT = ("safety_checker",)  # components that are never loaded

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LIBRARIES = ("diffusers", "transformers")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete pipeline folder.

    Attributes:
        folder: Holds model_index.json and one folder a component.
        components: Those that are loaded, by name.
        scheduler: Class name of the checkpoint's own solver.
        commit: Of the hub; None for a plain folder.
    """

    folder: Path
    components: tuple[str, ...]
    scheduler: str
    commit: str | None = None

    def revision(self) -> str:
        """The hub commit, or SHA-256 over names and bytes of the files that are loaded."""
        if self.commit is not None:
            return self.commit
        digest = hashlib.sha256()
        for path in self.files():
            name = path.relative_to(self.folder).as_posix()
            digest.update(f"{name} {_file_sha256(path)}\n".encode())
        return f"sha256:{digest.hexdigest()}"

    def index(self) -> dict[str, Any]:
        """model_index.json."""
        return _read_json(self.folder / INDEX)

    def files(self) -> list[Path]:
        """What is loaded, sorted."""
        return [self.folder / INDEX] + [
            path
            for name in self.components
            for path in sorted((self.folder / name).rglob("*"))
            if path.suffix in SUFFIXES and path.is_file()
        ]


def find_checkpoint(model: str, hub_revision: str | None, allow_download: bool) -> Checkpoint:
    """The pipeline of a folder, or of a hub id in the local hub cache.

    A commit, tag or branch that the cache has is taken as it is there; only a missing one is
    fetched, so that a process started later finds the same.

    Raises:
        EngineUnavailable: One line: what is missing or wrong, and what to do.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if hub_revision is not None:
            raise EngineUnavailable(
                f"hub_revision is for hub ids, but {model!r} is a folder; leave it empty"
            )
        return read_checkpoint(folder)
    if not _HUB_ID.fullmatch(model):
        raise EngineUnavailable(
            f"model must be a folder with a {INDEX} or a hub id owner/name, got {model!r}, "
            "which is neither; correct the path"
        )
    return _of_hub(model, hub_revision, allow_download)


def read_checkpoint(folder: Path, commit: str | None = None) -> Checkpoint:
    """Check that a folder holds a whole text-to-image pipeline.

    Raises:
        EngineUnavailable: If it is no pipeline, or a component or its weights are missing.
    """
    index = _read_json(folder / INDEX)
    classes = {
        name: entry
        for name, entry in index.items()
        if isinstance(entry, list) and entry[0] is not None and name not in LEFT_OUT
    }
    if not isinstance(index.get("_class_name"), str):
        raise EngineUnavailable(
            f"{folder / INDEX} must name a pipeline class of diffusers, got "
            f"{index.get('_class_name')!r}; pipelines that bring code of their own are not run"
        )
    if not any(name.startswith("tokenizer") for name in classes) or "scheduler" not in classes:
        raise EngineUnavailable(
            f"expected a text-to-image pipeline in {folder}, got {index['_class_name']} "
            "without a tokenizer or scheduler; name another checkpoint"
        )
    for name, (library, _) in classes.items():
        _check_component(folder / name, has_weights=library in _LIBRARIES)
    return Checkpoint(folder, tuple(sorted(classes)), str(classes["scheduler"][1]), commit)


def _of_hub(model: str, hub_revision: str | None, allow_download: bool) -> Checkpoint:
    try:
        snapshot = cached_snapshot(model, hub_revision, INDEX)
        return read_checkpoint(snapshot, commit=snapshot.name)
    except EngineUnavailable as error:
        if not allow_download:
            raise EngineUnavailable(
                f"{error}; set allow_download, or fetch it with `hf download {model}`"
            ) from error
    patterns = [INDEX, *(f"*/*{suffix}" for suffix in SUFFIXES)]
    snapshot = fetch_snapshot(model, hub_revision, INDEX, patterns)
    return read_checkpoint(snapshot, commit=snapshot.name)


def _check_component(folder: Path, has_weights: bool) -> None:
    if not folder.is_dir():
        raise EngineUnavailable(
            f"{folder.parent} has no folder {folder.name}, which its {INDEX} names; copy it whole"
        )
    if not has_weights or not (folder / "config.json").is_file():
        return  # a tokenizer or a scheduler
    if folder.name.startswith("tokenizer"):
        return
    weights = sorted(folder.glob("*.safetensors"))
    shards = {
        shard
        for listing in folder.glob("*.safetensors.index.json")
        for shard in _read_json(listing).get("weight_map", {}).values()
    }
    missing = sorted(shards - {path.name for path in weights})
    if missing or not weights:
        raise EngineUnavailable(
            f"{folder} must hold weights as safetensors, got {_found(folder)}"
            f"{f' without {missing[0]}' if missing else ''}; copy it whole, or convert it"
        )
    for path in weights:
        _check_weights(path, path.stat().st_size, path.stat().st_mtime_ns)


def _found(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".json")
    return ", ".join(names) or "none"


@lru_cache(maxsize=4096)
def _check_weights(path: Path, num_bytes: int, _mtime_ns: int) -> None:
    """Header and length of a safetensors file; finds cut-off copies and pointer files."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise EngineUnavailable(
            f"{path} must be a safetensors file, got {num_bytes} bytes that are none or cut off "
            f"({error}); copy it again"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise EngineUnavailable(
            f"expected a diffusers pipeline in {path.parent}, which has no {path.name}; "
            "name the folder that save_pretrained wrote"
        ) from error
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"{path} must be JSON, got: {error}; copy it again") from error
    if not isinstance(value, dict):
        raise EngineUnavailable(f"{path} must hold a JSON object, got {value!r}; copy it again")
    return value


def _file_sha256(path: Path) -> str:
    status = path.stat()
    return _sha256_of(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256_of(path: Path, _num_bytes: int, _mtime_ns: int) -> str:
    """Hashed once a process as long as size and modification time stay: gigabytes take seconds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
