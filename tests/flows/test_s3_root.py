"""Everything under one s3:// root, as a person types it, against a real S3 server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from flows.cli import _run, app
from models.engines import engine_config
from storage.objects import open_store
from tests.flows.conftest import all_that_prefect_keeps, tiny_plan
from tests.flows.test_finetune import PLAN as FINETUNE
from tests.flows.test_training import TRAINING
from tests.storage.readers.made_files import write_csv
from tests.storage.readers.test_openi import REPORT, write_archive
from tests.storage.seaweed import BUCKET, SECRET_KEY, S3Server, seaweedfs, use_server

NUM_PATIENTS = 160
ROOT = f"s3://{BUCKET}/some/where"
SETS = [
    {"kind": "phantoms", "num_images": 20, "painter": {"kind": "phantom", "image_size_px": 64}},
    {"kind": "corpus", "name": "real", "corpus": "images", "split": None},
]
pytestmark = [pytest.mark.s3, pytest.mark.server]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with (
        seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        use_server(patch, running)
        yield running


class _User:
    """Types commands with one root, and reads what they print."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def types(self, *words: str) -> dict[str, Any]:
        """The JSON object that a command prints."""
        code = _typed(*words, "--root", ROOT, "--json")
        printed = self._capsys.readouterr()
        assert code == 0, printed.err
        read: dict[str, Any] = json.loads(printed.out)
        return read

    def plan(self, name: str, settings: dict[str, Any]) -> str:
        path = self._folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(settings))
        return str(path)


@pytest.fixture
def user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> _User:
    return _User(tmp_path, capsys)


def _archive(folder: Path) -> Path:
    texts = ["No effusion.", "There is a small pleural effusion.", "The heart is enlarged."]
    reports = [REPORT.format(id=f"CXR{n}", findings=texts[n % 3]) for n in range(30)]
    return write_archive(folder / "reports.tgz", reports)


def _images(folder: Path) -> Path:
    """A folder of images with patients, labels and impressions."""
    folder.mkdir()
    lines = []
    for number in range(NUM_PATIENTS):
        noise = np.random.default_rng(number).normal(0, 15, (48, 48))
        grey = (np.linspace(40, 200, 48)[:, None] + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{number}.png")
        lines.append(
            {
                "image": f"{number}.png",
                "patient_id": f"p{number}",
                "labels": ("Effusion", "")[number % 2],
                "impression": f"Case {number}.",
            }
        )
    write_csv(folder / "list.csv", lines)
    return folder


def test_every_command_works_under_an_s3_root(
    server: S3Server, user: _User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert all(check["passed"] for check in user.types("doctor")["checks"])

    archive, images = str(_archive(tmp_path)), str(_images(tmp_path / "images"))
    assert user.types("ingest", "openi", archive, "--name", "reports")["num_rows"] == 30
    assert user.types("ingest", "folder", images, "--name", "images")["num_rows"] == NUM_PATIENTS
    assert user.types("audit", "images")["num_images"] == NUM_PATIENTS

    gates = [
        user.types("calibrate", user.plan(kind, {"name": kind.replace("_", "-"), "gate": gate}))[
            "gate"
        ]
        for kind, gate in {
            "similarity": {"kind": "similarity", "good": {"kind": "corpus", "corpus": "images"}},
            "nearest_real": {"kind": "nearest_real", "corpus": "images"},
        }.items()
    ]
    assert gates[0]["bank"] == f"{ROOT}/models/similarity/bank.safetensors"
    assert gates[1]["index"].startswith(f"{ROOT}/corpora/images.real-")
    summary = user.types(
        "audit", "images", "--plan", user.plan("audit", _gated(tiny_plan_settings(), gates))
    )
    assert {gate["kind"] for gate in summary["gates"]} == {"similarity", "nearest_real"}

    seen_by_all = gates[1] | {"min_distance": 0.0, "max_distance": 2.0}  # read, and rejects nothing
    plan = user.plan("tiny", _gated(tiny_plan_settings(), [seen_by_all]))
    made = user.types("generate", plan)
    assert (made["accepted"], made["release"], made["complete"]) == (24, 1, True)
    assert user.types("status", "tiny") == made
    assert user.types("retry", "tiny")["release"] == 1
    again = user.types("make-again", "tiny", _some_sample())
    assert (again["report"], again["image"]) == ("identical", "identical")

    run = user.types("pretrain", user.plan("pretrain", TRAINING))
    assert run["training"]["steps"] == 4
    results = user.types("evaluate", user.plan("evaluate", _evaluation(run["run"])))
    assert set(results["zero_shot"]) == {"phantoms", "real"}

    painter = user.types("finetune", user.plan("finetune", FINETUNE | {"corpus": "images"}))
    assert painter["training"]["num_steps"] == 2
    store = open_store(ROOT)
    names = {info.key.removeprefix("models/") for info in store.list("models/")}
    assert {"tiny-convirt-r1/model.safetensors", "tiny-painter/pipeline/model_index.json"} <= names
    assert not any("training.safetensors" in name for name in names if "convirt" in name)
    trained = {"kind": "factory", "checkpoint": f"{ROOT}/models/{run['run']}/model.safetensors"}
    assert engine_config("encoders", trained).revision()
    own = {"kind": "diffusers", "model": f"{ROOT}/models/tiny-painter/pipeline"}
    assert engine_config("painters", own).revision()
    assert SECRET_KEY not in all_that_prefect_keeps(until="tiny-painter")


COMMANDS = [
    *(["generate", "p.yaml"], ["retry", "d"], ["status", "d"], ["make-again", "d", "0"]),
    *(["pretrain", "p.yaml"], ["evaluate", "p.yaml"], ["finetune", "p.yaml"]),
    *(["ingest", "openi", "a.tgz", "--name", "a"], ["audit", "a"], ["calibrate", "p.yaml"]),
    ["demo"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=[words[0] for words in COMMANDS])
def test_missing_bucket_is_one_line_of_every_command(
    words: list[str], server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is looked at first is the root, whatever else may be wrong."""
    assert _typed(*words, "--root", "s3://absent/some/where") == 1
    assert _one_line(capsys).startswith("cxr-factory: s3://absent/some/where/: S3 answered 404 NoS")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AWS_SECRET_ACCESS_KEY", "hidden", "S3 answered 403 .*check the bucket's name, the cred"),
        ("AWS_ACCESS_KEY_ID", "nobody", "S3 answered 403 "),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "no clear answer .*check AWS_ENDPOINT_URL"),
        ("AWS_ENDPOINT_URL", "127.0.0.1:1", "S3 must be configured .*'?127.0.0.1:1"),
    ],
)
def test_wrong_settings_are_one_line(
    name: str,
    value: str,
    said: str,
    server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    assert _typed("status", "tiny", "--root", ROOT) == 1
    line = _one_line(capsys)
    assert re.search(said, line), line
    assert "hidden" not in line
    assert _typed("doctor", "--root", ROOT) == 1


def _typed(*words: str) -> int:
    return _run(lambda: app(list(words), standalone_mode=False))


def _one_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.strip().splitlines()
    return line


def tiny_plan_settings() -> dict[str, Any]:
    return tiny_plan().model_dump(mode="json")


def _gated(plan: dict[str, Any], gates: list[dict[str, Any]]) -> dict[str, Any]:
    return plan | {"image_rules": plan["image_rules"] | {"gates": gates}}


def _evaluation(run: str) -> dict[str, Any]:
    return {"run": run, "sets": SETS, "zero_shot": {"num_resamples": 100}}


def _some_sample() -> str:
    from storage.layout import DatasetLayout, Table
    from storage.releases import open_release, open_table

    store = open_store(ROOT)
    pairs = open_table(store, open_release(store, DatasetLayout("tiny")), Table.PAIRS)
    return str(pairs.to_table(columns=["sample_id"])["sample_id"][5])
