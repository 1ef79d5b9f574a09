"""The state of one stage of training: one safetensors file to resume from, to the last digit."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from storage.errors import DamagedObject, PlanMismatch

FORMAT = "cxr-factory painter training 1"
_WEIGHTS, _AVERAGE, _OPTIMISER = "weights/", "average/", "optimiser/"


@dataclass(frozen=True)
class StageState:
    """What training changes.

    Attributes:
        step: Optimiser steps done.
        content: What the weights depend on (config, data, start), as flat names and values.
        weights: Trained parameters by name.
        average: Their running average, by name.
        optimiser: AdamW's tensors by "<parameter>/<name>".
    """

    step: int
    content: Mapping[str, str]
    weights: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]


def save_state(state: StageState, path: Path) -> None:
    """Write a state so that `path` holds the old or the new one, never half of one."""
    groups = {_WEIGHTS: state.weights, _AVERAGE: state.average, _OPTIMISER: state.optimiser}
    tensors = {
        prefix + name: value.detach().cpu().contiguous().clone()
        for prefix, group in groups.items()
        for name, value in group.items()
    }
    header = {"format": FORMAT, "step": str(state.step), "content": json.dumps(dict(state.content))}
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        save_file(tensors, partial, metadata=header)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load_state(path: Path, content: Mapping[str, str]) -> StageState | None:
    """The state to go on from; None where there is none.

    Args:
        path: Of the file.
        content: What this run's weights depend on; must be the same.

    Raises:
        DamagedObject: If the file is cut short or of another kind.
        PlanMismatch: If it belongs to a run of another config or other data.
    """
    if not path.is_file():
        return None
    try:
        state = _read(path)
    except (SafetensorError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise DamagedObject(
            f"{path} must be a state of format {FORMAT!r}, got: {reason}; delete it to train again"
        ) from error
    changed = [
        f"{name} {state.content.get(name)} -> {content.get(name)}"
        for name in sorted({*state.content, *content})
        if state.content.get(name) != content.get(name)
    ]
    if changed:
        raise PlanMismatch(
            f"{path.parent} must hold a run of this plan and corpus, differs in: "
            f"{'; '.join(changed)}; name another run or delete the folder"
        )
    return state


def _read(path: Path) -> StageState:
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        if header.get("format") != FORMAT:
            raise ValueError(f"format {header.get('format')!r}")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return StageState(
        int(header["step"]),
        json.loads(header["content"]),
        _under(_WEIGHTS, tensors),
        _under(_AVERAGE, tensors),
        _under(_OPTIMISER, tensors),
    )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
