"""Reading a YAML plan: every error is one line with the file, the field and what came."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

PlanT = TypeVar("PlanT", bound=BaseModel)


def load_plan(path: Path, plan_type: type[PlanT], changes: Sequence[str] = ()) -> PlanT:
    """Read a YAML plan.

    Args:
        path: Of the file.
        plan_type: What it describes.
        changes: Settings to put in place of the file's: `FIELD=VALUE`, the field dotted where it
            lies deeper (`painter.num_steps=50`), the value in YAML.

    Raises:
        ValueError: One line: the file, the field, what was expected and what came.
    """
    settings = read_settings(path)
    for change in changes:
        settings = _changed(settings, change)
    return parse_plan(settings, plan_type, source=str(path))


def read_settings(path: Path) -> Any:
    """What a YAML file says, not validated.

    Raises:
        ValueError: One line: there is no such file, or it is not YAML.
    """
    if not path.is_file():
        raise ValueError(f"plan must be a YAML file, got {str(path)!r}, which does not exist")
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from error


def parse_plan(settings: Any, plan_type: type[PlanT], source: str) -> PlanT:
    """Validate settings; see `load_plan`."""
    try:
        return plan_type.model_validate(settings)
    except ValidationError as error:
        raise ValueError(f"{source}: {_one_line(error)}") from error


def _changed(settings: Any, change: str) -> Any:
    name, equals, value = change.partition("=")
    *outer, last = name.split(".")
    if not (equals and last and isinstance(settings, dict)):
        raise ValueError(f"a change must be FIELD=VALUE, got {change!r}; as in unit_size=8")
    inner = settings
    for field in outer:
        inner = inner.setdefault(field, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{change!r}: expected fields in {field!r}, got {inner!r}; set it")
    try:
        inner[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ValueError(f"{change!r}: not YAML: {' '.join(str(error).split())}") from error
    return settings


def _one_line(error: ValidationError) -> str:
    return "; ".join(_problem(dict(problem)) for problem in error.errors(include_url=False))


def _problem(problem: dict[str, Any]) -> str:
    field = ".".join(str(part) for part in problem["loc"]) or "plan"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{field}: no such field; remove it or correct its name"
    if problem["type"] == "missing":
        return f"{field}: required, but absent"
    return f"{field}: {message}, got {problem['input']!r}"
