"""Hub ids: what the local cache has is used without a network; every refusal is one clear line."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants

from models.painters.diffusion.config import DiffusersConfig
from storage.errors import EngineUnavailable

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Refusing(http.server.BaseHTTPRequestHandler):
    """Answers as the hub answers for a model of this name."""

    answers: ClassVar[dict[str, tuple[int, str]]] = {
        "gated": (403, "GatedRepo"),
        "absent": (404, "RepoNotFound"),
        "other": (404, "EntryNotFound"),
        "moved": (404, "RevisionNotFound"),
    }

    def do_HEAD(self) -> None:
        name = self.path.split("/")[2]
        status, code = self.answers[name]
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass  # the test's output is not its place


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "hub"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(
        constants.ENDPOINT, f"http://127.0.0.1:{server.server_port}"
    )
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield
    server.shutdown()
    thread.join()
    server.server_close()


def _cached(cache: Path, saved_pipeline: Path) -> Path:
    """The pipeline, laid out as the hub's client does."""
    model = cache / "models--clinic--painter"
    snapshot = model / "snapshots" / COMMIT
    shutil.copytree(saved_pipeline, snapshot)
    (model / "refs").mkdir()
    (model / "refs/main").write_text(COMMIT)
    return snapshot


@pytest.mark.parametrize("hub_revision", [None, "main", COMMIT])
def test_hub_id_in_the_cache_is_pinned_to_its_commit(
    cache: Path, saved_pipeline: Path, hub_revision: str | None
) -> None:
    snapshot = _cached(cache, saved_pipeline)
    config = DiffusersConfig(model="clinic/painter", hub_revision=hub_revision)
    assert config.revision() == COMMIT
    assert config.checkpoint().folder == snapshot


def test_hub_id_not_in_the_cache_says_how_to_get_it(cache: Path) -> None:
    with pytest.raises(EngineUnavailable, match="nor in the local hub cache; set allow_download"):
        DiffusersConfig(model="clinic/painter").revision()


def test_hub_id_cached_in_part_says_what_is_missing(cache: Path, saved_pipeline: Path) -> None:
    shutil.rmtree(_cached(cache, saved_pipeline) / "unet")
    with pytest.raises(EngineUnavailable, match=r"no folder unet.*hf download clinic/painter"):
        DiffusersConfig(model="clinic/painter").revision()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gated", "is gated: accept its terms on its page, then log in"),
        ("absent", "is not on the hub or private"),
        ("other", "has no model_index.json on the hub: it is no diffusers pipeline"),
        ("moved", "does not exist in this revision on the hub: correct hub_revision"),
    ],
)
def test_hub_refusal_is_one_clear_line(hub: None, name: str, said: str) -> None:
    config = DiffusersConfig(model=f"clinic/{name}", hub_revision="v1", allow_download=True)
    with pytest.raises(EngineUnavailable, match=said) as refused:
        config.revision()
    assert "\n" not in str(refused.value)
    assert f"'clinic/{name}' at 'v1'" in str(refused.value)


def test_hub_out_of_reach_is_one_clear_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EngineUnavailable, match=r"cannot be fetched: .*; check the network") as no:
        DiffusersConfig(model="clinic/painter", allow_download=True).revision()
    assert "\n" not in str(no.value)
