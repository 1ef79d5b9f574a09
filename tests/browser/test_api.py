"""JSON of everything: the same as the pages, typed."""

import pytest
from fastapi.testclient import TestClient

from tests.browser.released import NAME, NUM_PAIRS, reference

RELEASE = f"/api/datasets/{NAME}/releases/1"


def test_api_lists_what_the_root_has(client: TestClient) -> None:
    (dataset,) = client.get("/api/datasets").json()
    assert (dataset["name"], dataset["accepted"], dataset["rejected"]) == (NAME, NUM_PAIRS, 7)
    assert dataset["num_bytes"] > 0
    assert client.get(f"/api/datasets/{NAME}").json() == dataset
    (release,) = client.get(f"/api/datasets/{NAME}/releases").json()
    assert release["rows"] == {"samples": 130, "reports": 130, "pairs": 130, "rejects": 7}
    assert client.get("/api/corpora").json() == []


def test_api_pages_and_counts_are_those_of_the_filters(client: TestClient) -> None:
    query = {"view": "AP", "q": "effusion"}
    counts = client.get(f"{RELEASE}/pairs/counts", params=query).json()
    seen: list[int] = []
    after = None
    while True:
        more = {} if after is None else {"after": after}
        page = client.get(f"{RELEASE}/pairs", params=query | {"size": 10} | more).json()
        seen += [card["index"] for card in page["cards"]]
        after = page["after"]
        if after is None:
            break
    assert seen == [index for index in range(NUM_PAIRS) if reference(index).view == "AP"]
    assert (counts["num_found"], counts["text_indexed"]) == (len(seen), True)


def test_api_sample_has_its_report_scores_and_provenance(client: TestClient) -> None:
    sample = client.get(f"{RELEASE}/pairs/{reference(3).sample_id}").json()
    text = "".join(span["text"] for span in sample["findings"])
    assert text == reference(3).findings
    assert sample["scores"][-1]["measure"] == "contrast"
    assert [stage["stage"] for stage in sample["stages"]] == ["write", "paint"]
    assert [one["comparison"] for one in sample["entities"]] == ["as asked", "extra"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/nowhere", 404),
        ("/api/datasets/none", 404),
        (f"{RELEASE}/reviews", 404),
        (f"{RELEASE}/pairs?colour=red", 400),
        (f"{RELEASE}/pairs?size=100000", 404),
        (f"{RELEASE}/pairs/none", 404),
    ],
)
def test_api_problems_are_json(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert set(answer.json()) == {"status", "what", "advice"}


def test_api_says_which_methods_there_are(client: TestClient) -> None:
    answer = client.post("/api/datasets")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_api_describes_itself(client: TestClient) -> None:
    described = client.get("/api/openapi.json").json()
    assert f"{'/api/datasets/{name}/releases/{number}/{table}/{sample_id}'}" in described["paths"]
    assert all(path.startswith("/api") for path in described["paths"])
