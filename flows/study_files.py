"""Reading a study's YAML, in which a dataset may be named by the file of its plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flows.plan_files import parse_plan, read_settings
from flows.study_plans import StudyPlan


def load_study(path: Path, changes: Sequence[tuple[str, Any]] = ()) -> StudyPlan:
    """Read a study's plan; a dataset that is a string is a plan's file, beside the study's.

    Args:
        path: Of the study's file.
        changes: Fields of `execution` to put in place of the file's.

    Raises:
        ValueError: One line: the file, the field, what was expected and what came.
    """
    settings = read_settings(path)
    if isinstance(settings, dict) and isinstance(settings.get("datasets"), list):
        settings["datasets"] = [
            read_settings(path.parent / one) if isinstance(one, str) else one
            for one in settings["datasets"]
        ]
    if isinstance(settings, dict) and changes:
        settings["execution"] = {**(settings.get("execution") or {}), **dict(changes)}
    return parse_plan(settings, StudyPlan, source=str(path))
