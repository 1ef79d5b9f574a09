"""A saved token classifier on this machine: found, checked and pinned without loading a weight.

Light: neither torch nor transformers is imported, since every scheduler host asks for revisions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.hub_models import find_model, require_weights
from models.taggers.token_labels import Label, read_labels
from storage.errors import EngineUnavailable
from storage.records import EntityKind

_CONFIG = "config.json"
_ARCHITECTURE = "ForTokenClassification"
# What transformers reads beside weights; other files change no label.
_SUFFIXES = (".json", ".model", ".txt")


@dataclass(frozen=True, slots=True)
class ClassifierFiles:
    """A complete checkpoint.

    Attributes:
        folder: Holds config, tokenizer and weights.
        revision: The hub commit, or SHA-256 of the files that are loaded.
        labels: What each output of the classifier means.
    """

    folder: Path
    revision: str
    labels: tuple[Label, ...]


def find_classifier(
    model: str, hub_revision: str | None, labels: Mapping[str, EntityKind | None]
) -> ClassifierFiles:
    """The checkpoint of a folder, or of a hub id in the local hub cache; downloads nothing.

    Args:
        model: Folder or hub id.
        hub_revision: Commit, tag or branch of a hub id; None: its main branch.
        labels: Kinds of labels that are not RaTE-NER's own, None for no entity.

    Raises:
        EngineUnavailable: One line: what is missing or wrong, and what to do.
    """
    found = find_model(model, hub_revision, _CONFIG, "a token classifier")
    settings = _settings(found.folder / _CONFIG)
    architectures = settings.get("architectures") or ["none"]
    if not str(architectures[0]).endswith(_ARCHITECTURE):
        raise EngineUnavailable(
            f"model must be a token classifier (...{_ARCHITECTURE}), got {architectures[0]} in "
            f"{found.folder}; name a checkpoint that was trained to tag entities"
        )
    if not any(found.folder.glob("tokenizer*")) and not any(found.folder.glob("vocab.*")):
        raise EngineUnavailable(
            f"{found.folder} must hold the classifier's tokenizer, got none; copy it whole"
        )
    weights = require_weights(found.folder)
    texts = (path for path in found.folder.iterdir() if path.suffix in _SUFFIXES)
    revision = found.revision(sorted([*weights, *texts]))
    return ClassifierFiles(found.folder, revision, read_labels(_names(settings), labels))


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EngineUnavailable(f"{path} must be JSON, got: {error}; copy it again") from error
    if not isinstance(settings, dict):
        raise EngineUnavailable(f"{path} must hold a JSON object, got {settings!r}; copy it again")
    return settings


def _names(settings: Mapping[str, Any]) -> list[str]:
    """The checkpoint's labels in the order of its outputs; two unnamed ones by default."""
    named: dict[str, str] = settings.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return [str(named[number]) for number in sorted(named, key=int)]
