"""Fetching a pipeline that the local hub cache lacks; each failure one line."""

from collections.abc import Sequence
from pathlib import Path

from models.hub_models import named
from storage.errors import EngineUnavailable

# Second copies of weights in another precision, which are not read.
_OTHER_COPIES = ["*.fp16*.safetensors", "*.bf16*.safetensors", "*.non_ema*.safetensors"]


def fetch_snapshot(
    model: str, hub_revision: str | None, index: str, patterns: Sequence[str]
) -> Path:
    """Download one commit of a model into the local hub cache; its index first, as a small probe.

    Args:
        model: Hub id owner/name.
        hub_revision: Commit, tag or branch; None: the main branch.
        index: File that a pipeline has at its top.
        patterns: Files to fetch.

    Raises:
        EngineUnavailable: If it is gated, private, missing, no pipeline, or out of reach.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    try:
        probe = hf_hub_download(model, index, revision=hub_revision)
        found = snapshot_download(
            model,
            revision=Path(probe).parent.name,
            allow_patterns=list(patterns),
            ignore_patterns=_OTHER_COPIES,
        )
    except Exception as error:
        raise EngineUnavailable(f"{named(model, hub_revision)} {_reason(error, index)}") from error
    return Path(found)


def _reason(error: Exception, index: str) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return "is gated: accept its terms on its page, then log in with `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "is not on the hub or private: correct the id, or log in with `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return "does not exist in this revision on the hub: correct hub_revision"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"has no {index} on the hub: it is no diffusers pipeline"
    said = " ".join(str(error).split())[:200]
    return f"cannot be fetched: {said}; check the network, or give a folder"
