"""Runs that were hardly trained: what they measure is of no account, that they can is."""

from collections.abc import Mapping
from typing import Any

from flows.pretrain import pretrain
from flows.training_plans import PretrainPlan

TOWER = {"image_size_px": 32, "width": 8}


def pretrained(root: str, objective: str, name: str = "", tower: Mapping[str, Any] = TOWER) -> str:
    """The name of a run, trained for four steps on the release of the dataset `tiny`."""
    model: dict[str, Any] = {
        "objective": {"kind": objective, "embedding_size": 16},
        "image_tower": tower,
        "text_tower": {"width": 16, "num_layers": 1, "num_heads": 2},
        "training": {"steps": 4, "batch_size": 8, "device": "cpu"},
    }
    plan = {"name": name or objective, "dataset": "tiny", "model": model}
    return pretrain(PretrainPlan.model_validate(plan), root).run
