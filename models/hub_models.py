"""A model's files on this machine: a folder, or a hub id that the local hub cache has.

Light: no library of models is imported, since every scheduler host asks for revisions.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from storage.errors import EngineUnavailable

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """Where a model lies. `commit`: of the hub; None for a plain folder."""

    folder: Path
    commit: str | None = None

    def revision(self, files: Iterable[Path]) -> str:
        """The hub commit, or SHA-256 over names and bytes of the files that are loaded."""
        return self.commit or files_revision(self.folder, files)


def find_model(model: str, hub_revision: str | None, index: str, what: str) -> ModelFolder:
    """The folder of a model, given as such or by a hub id that the local hub cache has.

    Args:
        model: Folder, or hub id owner/name.
        hub_revision: Commit, tag or branch of a hub id; None: its main branch.
        index: File that such a model has at its top.
        what: What is expected, for errors ("a vision model").

    Raises:
        EngineUnavailable: One line: what is missing, and what to do. Nothing is downloaded.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if hub_revision is not None:
            raise EngineUnavailable(
                f"hub_revision is for hub ids, but {model!r} is a folder; leave it empty"
            )
        if not (folder / index).is_file():
            raise EngineUnavailable(
                f"expected {what} in {folder}, got no {index}; name the folder that has it"
            )
        return ModelFolder(folder)
    if not HUB_ID.fullmatch(model):
        raise EngineUnavailable(
            f"model must be a folder with a {index} or a hub id owner/name, got {model!r}, "
            "which is neither; correct the path"
        )
    try:
        snapshot = cached_snapshot(model, hub_revision, index)
    except EngineUnavailable as error:
        raise EngineUnavailable(f"{error}; fetch it with `hf download {model}`") from error
    return ModelFolder(snapshot, snapshot.name)


def cached_snapshot(model: str, hub_revision: str | None, index: str) -> Path:
    """The snapshot folder of the local hub cache, named by its commit; asks no network.

    Raises:
        EngineUnavailable: If the cache lacks the model or this revision of it.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        found = hf_hub_download(model, index, revision=hub_revision, local_files_only=True)
    except EntryNotFoundError as error:
        raise EngineUnavailable(
            f"{named(model, hub_revision)} is neither a folder nor in the local hub cache"
        ) from error
    return Path(found).parent


def named(model: str, hub_revision: str | None) -> str:
    """A hub id and its revision, in an error's words."""
    return f"model {model!r}" + (f" at {hub_revision!r}" if hub_revision else "")


def files_revision(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over the names, within their folder, and bytes of files."""
    digest = hashlib.sha256()
    for path in files:
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name} {file_sha256(path)}\n".encode())
    return f"sha256:{digest.hexdigest()}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    status = path.stat()
    return _sha256_of(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256_of(path: Path, _num_bytes: int, _mtime_ns: int) -> str:
    """Hashed once a process as long as size and modification time stay: gigabytes take seconds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_weights(folder: Path) -> list[Path]:
    """The safetensors files of a folder, all that an index there names among them.

    Raises:
        EngineUnavailable: If there are none, one is missing, or one is cut off.
    """
    weights = sorted(folder.glob("*.safetensors"))
    shards = {
        shard
        for listing in folder.glob("*.safetensors.index.json")
        for shard in read_json(listing).get("weight_map", {}).values()
    }
    missing = sorted(shards - {path.name for path in weights})
    if missing or not weights:
        raise EngineUnavailable(
            f"{folder} must hold weights as safetensors, got {_found(folder)}"
            f"{f' without {missing[0]}' if missing else ''}; copy it whole, or convert it"
        )
    for path in weights:
        _check_weights(path, path.stat().st_size, path.stat().st_mtime_ns)
    return weights


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a model's file.

    Raises:
        EngineUnavailable: If the file holds none.
    """
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"{path} must be JSON, got: {error}; copy it again") from error
    if not isinstance(value, dict):
        raise EngineUnavailable(f"{path} must hold a JSON object, got {value!r}; copy it again")
    return value


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


@contextmanager
def hub_out_of_reach() -> Iterator[None]:
    """While it runs, the hub's client looks into its cache alone: loading never downloads.

    For libraries that name further models inside a checkpoint and fetch them unasked.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
