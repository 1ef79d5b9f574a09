"""Two small classifiers for every test of this folder."""

from pathlib import Path

import pytest

from tests.models.taggers.tiny_classifier import save_classifier


@pytest.fixture(scope="session")
def deberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved DeBERTa-v2 classifier that no test may change."""
    return save_classifier("deberta", tmp_path_factory.mktemp("classifiers") / "deberta")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved BERT classifier that no test may change."""
    return save_classifier("bert", tmp_path_factory.mktemp("classifiers") / "bert")
