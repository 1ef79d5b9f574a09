"""What derives from a restricted corpus goes to no other host that the plan does not name."""

from pathlib import Path

import pytest

from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from tests.flows.conftest import tiny_plan
from tests.storage.readers.made_files import make_mimic


def test_restricted_entities_to_an_endpoint_elsewhere_are_refused(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    ingest_corpus("mimic", str(make_mimic(tmp_path / "mimic")), "mimic", root)
    plan = tiny_plan(
        name="leak",
        entities={"kind": "corpus", "corpus": "mimic"},
        writer={"kind": "endpoint", "address": "http://llm.example.org/v1", "model": "tiny"},
    )
    with pytest.raises(ValueError, match=r"restricted, got the endpoint host 'llm\.example\.org'"):
        generate_dataset(plan, root)
    assert not (tmp_path / "root" / "datasets").exists()
