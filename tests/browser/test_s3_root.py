"""The same pages over a root in S3."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from browser.settings import Settings
from storage.objects import open_store
from tests.browser.released import NAME, client_of, made_row, make_release, reference
from tests.storage.seaweed import BUCKET, seaweedfs, use_server

pytestmark = pytest.mark.s3
WAIT_SECONDS = 240  # at most; the command starts a server of its own


def test_pages_over_s3_are_those_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"s3://{BUCKET}/browsed"
    with seaweedfs(tmp_path) as server:
        use_server(monkeypatch, server)
        make_release(open_store(root), num_pairs=20)
        with client_of(Settings(root=root)) as client:
            assert f'href="/datasets/{NAME}"' in client.get("/").text
            pairs = f"/datasets/{NAME}/1/pairs"
            page = client.get(pairs, params={"q": "nodule", "view": "AP"})
            assert page.status_code == 200
            says = [index for index in range(20) if "nodule" in reference(index).findings]
            wanted = [index for index in says if reference(index).view == "AP"]
            assert f"{len(wanted)} of 20 pairs" in page.text
            sample = f"{pairs}/{reference(3).sample_id}"
            assert f"--root {root}" in client.get(sample).text
            assert client.get(f"{sample}/image.png").content == made_row(3).png


def test_embeddings_made_in_s3_are_searched_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, num_pairs = f"s3://{BUCKET}/embedded", 12
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    command = str(Path(sys.executable).parent / "cxr-factory")
    words = ["embed", NAME, "--encoder", "{kind: handcrafted}", "--root", root, "--json"]
    with seaweedfs(tmp_path) as server:
        use_server(monkeypatch, server)
        make_release(open_store(root), num_pairs=num_pairs)
        done = subprocess.run(
            [command, *words], capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        said = {"dataset": NAME, "model": "handcrafted", "release": f"{NAME}@1"}
        assert json.loads(done.stdout) == said | {"num_images": num_pairs}
        sample_id = reference(3).sample_id
        with client_of(Settings(root=root)) as client:
            similar = f"/datasets/{NAME}/1/similar?sample={sample_id}"
            assert similar in client.get(f"/datasets/{NAME}/1/pairs/{sample_id}").text
            page = client.get(similar)
    assert (page.status_code, page.text.count('class="card"')) == (200, num_pairs - 1)
