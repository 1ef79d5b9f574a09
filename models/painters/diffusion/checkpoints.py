"""A saved pipeline on this machine: found, checked and hashed without loading a weight.

Light: neither torch nor diffusers is imported, since every scheduler host asks for revisions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.hub_models import HUB_ID, cached_snapshot, files_revision, read_json, require_weights
from models.painters.diffusion.hub import fetch_snapshot
from models.places import local_path
from storage.errors import EngineUnavailable

INDEX = "model_index.json"
PROVENANCE_FILE = "training.json"  # what the factory's own training writes beside it
# What diffusers and transformers read; other files of a component's folder change no image.
SUFFIXES = (".json", ".jinja", ".model", ".safetensors", ".txt")
LEFT_OUT = ("safety_checker",)  # components that are never loaded
OWN = "cxr-factory:"  # before the name of a painter that comes with the factory
_OWN_FOLDER = Path(__file__).resolve().parent.parent / "checkpoints"

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
        return self.commit or files_revision(self.folder, self.files())

    def restricted(self) -> bool:
        """Whether the factory's own training wrote beside it that its images are credentialed."""
        said = self.folder / PROVENANCE_FILE
        return said.is_file() and bool(read_json(said).get("restricted"))

    def index(self) -> dict[str, Any]:
        """model_index.json."""
        return _read_index(self.folder)

    def files(self) -> list[Path]:
        """What is loaded, sorted."""
        return [self.folder / INDEX] + [
            path
            for name in self.components
            for path in sorted((self.folder / name).rglob("*"))
            if path.suffix in SUFFIXES and path.is_file()
        ]


def find_checkpoint(model: str, hub_revision: str | None, allow_download: bool) -> Checkpoint:
    """The pipeline of a folder, of the factory's own, or of a hub id in the local hub cache.

    A commit, tag or branch that the cache has is taken as it is there; only a missing one is
    fetched, so that a process started later finds the same.

    Raises:
        EngineUnavailable: One line: what is missing or wrong, and what to do.
    """
    folder = _own_folder(model) if model.startswith(OWN) else local_path(model)
    if folder.is_dir():
        if hub_revision is not None:
            raise EngineUnavailable(
                f"hub_revision is for hub ids, but {model!r} is a folder; leave it empty"
            )
        return read_checkpoint(folder)
    if not HUB_ID.fullmatch(model):
        raise EngineUnavailable(
            f"model must be a folder with a {INDEX} or a hub id owner/name, got {model!r}, "
            "which is neither; correct the path"
        )
    return _of_hub(model, hub_revision, allow_download)


def _own_folder(model: str) -> Path:
    """Where a painter that comes with the factory lies."""
    names = sorted(path.parent.name for path in _OWN_FOLDER.glob(f"*/{INDEX}"))
    name = model.removeprefix(OWN)
    if name not in names:
        raise EngineUnavailable(
            f"expected one of the factory's own painters ({', '.join(names) or 'none'}), got "
            f"{model!r}; correct the name"
        )
    return _OWN_FOLDER / name


def read_checkpoint(folder: Path, commit: str | None = None) -> Checkpoint:
    """Check that a folder holds a whole text-to-image pipeline.

    Raises:
        EngineUnavailable: If it is no pipeline, or a component or its weights are missing.
    """
    index = _read_index(folder)
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
    require_weights(folder)


def _read_index(folder: Path) -> dict[str, Any]:
    if not (folder / INDEX).is_file():
        raise EngineUnavailable(
            f"expected a diffusers pipeline in {folder}, which has no {INDEX}; "
            "name the folder that save_pretrained wrote"
        )
    return read_json(folder / INDEX)
