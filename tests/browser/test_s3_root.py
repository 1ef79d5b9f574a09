"""The same pages over a root in S3."""

from pathlib import Path

import pytest

from browser.settings import Settings
from storage.objects import open_store
from tests.browser.released import NAME, client_of, made_row, make_release, reference
from tests.storage.seaweed import BUCKET, seaweedfs, use_server

pytestmark = pytest.mark.s3


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
