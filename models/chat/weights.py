"""Where a language model's files lie, what pins them, and whether they can chat."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from models.chat.configs import VllmSettings
from models.vocabulary.revisions import joined_hash
from storage.errors import EngineUnavailable

_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")
_WEIGHTS = (".safetensors", ".bin")
_USED_SUFFIXES = (*_WEIGHTS, ".json", ".jinja", ".model", ".txt")


@dataclass(frozen=True, slots=True)
class Weights:
    """A model on this machine.

    Attributes:
        folder: With its config, tokenizer and weights.
        revision: Hash of what is in it; the commit of a model from the hub.
        context_tokens: Longest prompt and answer together; None when its config does not say.
    """

    folder: Path
    revision: str
    context_tokens: int | None


def find_weights(config: VllmSettings) -> Weights:
    """The model's files, checked for what a chat needs; downloads nothing.

    Raises:
        EngineUnavailable: If they are missing or lack a chat template.
    """
    folder, revision = _folder(config)
    context_tokens = _context_tokens(config, _settings(folder))
    return Weights(folder, joined_hash(revision, _chat_template(config, folder)), context_tokens)


def _folder(config: VllmSettings) -> tuple[Path, str]:
    folder = Path(config.model).expanduser()
    if folder.is_dir():
        return folder.resolve(), _content_hash(folder.resolve())
    try:
        snapshot = snapshot_download(
            config.model, revision=config.model_revision, local_files_only=True
        )
    except (LocalEntryNotFoundError, HFValidationError) as error:
        at_revision = f" --revision {config.model_revision}" if config.model_revision else ""
        raise EngineUnavailable(
            f"expected the model {config.model!r} as a folder or in the Hugging Face cache of this "
            f"machine, found neither; run hf download {config.model}{at_revision}, or name a folder"
        ) from error
    return Path(snapshot), Path(snapshot).name


def _settings(folder: Path) -> dict[str, Any]:
    try:
        settings = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise EngineUnavailable(
            f"expected a model with a readable config.json in {folder}, got {error}; name another"
        ) from error
    has_weights = any(path.suffix in _WEIGHTS for path in folder.iterdir())
    if not isinstance(settings, dict) or not has_weights:
        raise EngineUnavailable(
            f"expected a model's config.json and weights ({', '.join(_WEIGHTS)}) in {folder}, "
            "found them incomplete; download it again, or name another"
        )
    return settings


def _context_tokens(config: VllmSettings, settings: dict[str, Any]) -> int | None:
    """The shorter of what the plan asks for and what the model was made for."""
    own = settings.get("text_config", settings).get("max_position_embeddings")
    limits = [tokens for tokens in (config.context_tokens, own) if isinstance(tokens, int)]
    return min(limits, default=None)


def _chat_template(config: VllmSettings, folder: Path) -> str:
    """The template that the plan gives; empty where the model brings its own."""
    if config.chat_template is not None:
        try:
            return config.chat_template.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise EngineUnavailable(f"chat_template: expected a Jinja file, got {error}") from error
    tokenizer = folder / "tokenizer_config.json"
    has_own = any((folder / name).is_file() for name in _TEMPLATE_FILES) or (
        tokenizer.is_file() and "chat_template" in json.loads(tokenizer.read_text())
    )
    if not has_own:
        raise EngineUnavailable(
            f"model {config.model!r} has no chat template; name an instruction-tuned model, or "
            "give its template as chat_template"
        )
    return ""


def _content_hash(folder: Path) -> str:
    """SHA-256 over the files that a model is made of; read once while they stay as they are."""
    files = sorted(path for path in folder.iterdir() if path.suffix in _USED_SUFFIXES)
    return joined_hash(*(f"{path.name}:{_file_hash(path, *_state(path))}" for path in files))


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1024)
def _file_hash(path: Path, _size: int, _modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
