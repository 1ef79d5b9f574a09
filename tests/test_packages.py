"""What installing this project puts on a machine, and what importing it costs."""

import subprocess
import sys
from importlib.metadata import packages_distributions, version

import pytest

OURS = ("browser", "deployments", "flows", "models", "storage", "tasks")
HEAVY = ("torch", "diffusers", "transformers", "open_clip", "vllm", "timm", "torchvision")


@pytest.mark.parametrize("package", OURS)
def test_package_name_is_owned_by_no_other_distribution(package: str) -> None:
    assert set(packages_distributions().get(package, [])) <= {"cxr-factory"}


def test_install_is_of_this_project() -> None:
    assert version("cxr-factory")


@pytest.mark.parametrize(
    "module",
    [
        *("flows.generate", "flows.ingest", "flows.pretrain", "flows.evaluation", "flows.demo"),
        *("flows.audit", "flows.calibrate"),
    ],
)
def test_flow_import_loads_no_heavy_library(module: str) -> None:
    """A scheduler host without a GPU imports every flow in little more than Prefect's own time."""
    code = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"


def test_command_line_import_does_not_load_prefect() -> None:
    """`--help` answers at once, and an engine's child never pays for the scheduler."""
    code = "import sys, flows.cli, models.engine_child; print('prefect' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"
