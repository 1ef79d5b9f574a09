from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Literal

import pytest
from pydantic import ValidationError

from models import registry
from models.vlp.configs import PretrainingConfig
from models.vlp.objectives import ConvirtConfig, ObjectiveConfig, objective_config


class OtherConfig(ObjectiveConfig):
    kind: Literal["other"] = "other"
    strength: float = 2.0


def register(monkeypatch: pytest.MonkeyPatch, points: Iterable[EntryPoint]) -> None:
    def found(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [p for p in points if p.group == group and name in (None, p.name)]

    monkeypatch.setattr(registry, "entry_points", found)


def point(value: str) -> EntryPoint:
    return EntryPoint("other", value, "cxr_factory.objectives")


def test_objective_config_finds_convirt_by_kind() -> None:
    assert objective_config({"kind": "convirt", "temperature": 0.07}) == ConvirtConfig(
        temperature=0.07
    )


def test_objective_of_another_package_is_found_and_kept_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(monkeypatch, [point(f"{__name__}:OtherConfig")])
    config = PretrainingConfig.model_validate({"objective": {"kind": "other", "strength": 3.0}})
    assert config.objective.model_dump()["strength"] == 3.0
    assert PretrainingConfig.model_validate_json(config.model_dump_json()) == config


def test_objective_unknown_kind_names_the_known() -> None:
    with pytest.raises(
        ValueError, match=r"kind must be one of clip, convirt, gloria, mgca; got 'simclr'"
    ):
        objective_config({"kind": "simclr"})


def test_objective_claimed_twice_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, [point("one:Config"), point("two:Config")])
    with pytest.raises(ValueError, match="claimed by one:Config and two:Config"):
        objective_config({"kind": "other"})


def test_objective_that_is_no_config_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, [point("pathlib:Path")])
    with pytest.raises(ValueError, match="must register a ObjectiveConfig"):
        objective_config({"kind": "other"})


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": {"kind": "convirt", "temperature": 0}},
        {"objective": {"kind": "convirt", "temprature": 0.1}},
        {"image_tower": {"name": "resnet50"}},
        {"image_tower": {"image_size_px": 97}},
        {"text_tower": {"width": 128, "num_heads": 5}},
        {"training": {"device": "tpu"}},
    ],
)
def test_pretraining_config_wrong_value_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PretrainingConfig.model_validate(settings)
