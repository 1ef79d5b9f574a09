"""The command as a person types it: what it says when something is wrong, and its exit status."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.cli import _run, app
from flows.generate import generate_dataset
from tests.flows.conftest import tiny_plan

CLI = Path(sys.executable).parent / "cxr-factory"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), folder)
    return folder


def _call(*words: str) -> int:
    return _run(lambda: app(list(words), standalone_mode=False))


def test_status_json_prints_one_object_with_what_checks_rely_on(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call("status", "tiny", "--root", root, "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status["accepted"] == status["target"] == 24
    assert status["release"] == 1
    assert status["quarantined"] == 0
    assert set(status["stages"]) == {"write", "paint"}
    assert status["stages"]["paint"]["missing"] == status["stages"]["paint"]["failed"] == 0
    for name in ("fingerprint", "rejected", "samples_per_second", "engine_seconds_per_accepted"):
        assert name in status


def test_make_again_says_identical(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    import lance

    pairs = lance.dataset(f"{root}/datasets/tiny/pairs.lance")
    sample_id = pairs.to_table(columns=["sample_id"]).to_pylist()[5]["sample_id"]
    assert _call("make-again", "tiny", sample_id, "--root", root, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["report"], again["image"]) == ("identical", "identical")


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["status", "absent"], 1, "expected a dataset 'absent' under .*found none"),
        (["make-again", "tiny", "0" * 32], 1, "expected a sample of release tiny@1, got '0000"),
        (["generate", "absent.yaml"], 1, "absent.yaml.*does not exist"),
        (["ingest", "openi", "absent.tgz", "--name", "x"], 1, "absent.tgz.*does not exist"),
        (["ingest", "dicom", "x", "--name", "x"], 2, "dicom"),
        (["retry", "tiny", "--dispatch", "work-pool"], 1, "deployment 'write-report-shard/.*none"),
        (["paint"], 2, "No such command 'paint'"),
    ],
)
def test_bad_input_is_one_line_and_a_status(
    words: list[str], status: int, line: str, root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_root = words if words == ["paint"] else [*words, "--root", root]
    assert _call(*with_root) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    (said,) = captured.err.strip().splitlines()[-1:]
    assert said.startswith("cxr-factory: ")
    assert re.search(line, said), said


def test_generate_impossible_plan_exits_with_one_line_and_no_traceback(tmp_path: Path) -> None:
    plan = tiny_plan().model_dump(mode="json")
    plan["sampling"]["max_uses"] = 1
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    done = subprocess.run(
        [CLI, "generate", "plan.yaml", "--root", tmp_path / "factory"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "max_uses" in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "factory").exists()
