"""One small pipeline for every test of this folder."""

from pathlib import Path

import pytest

from tests.models.painters.diffusion.tiny_pipeline import save_tiny_pipeline


@pytest.fixture(scope="session")
def saved_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved pipeline that no test may change."""
    return save_tiny_pipeline(tmp_path_factory.mktemp("checkpoints") / "tiny")
