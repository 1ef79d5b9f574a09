"""The pages: what they show, escape and refuse."""

import logging
import re
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from browser.settings import Settings
from storage.corpora import read_corpus
from storage.ingestion import corpus_reader, ingest
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from tests.browser.released import (
    FIRST_REJECT,
    NAME,
    NUM_PAIRS,
    SCRIPT,
    client_of,
    made_row,
    make_release,
    reference,
)
from tests.storage.readers.made_files import make_mimic

PAIRS = f"/datasets/{NAME}/1/pairs"
NOTICE = "Synthetic images: not for clinical use"
_CARD = re.compile(r'<span class="card-index">(\d+)</span>')


def _indices(page: str) -> list[int]:
    return [int(found) for found in _CARD.findall(page)]


def _next(page: str) -> str | None:
    found = re.search(r'rel="next" data-more href="([^"]+)"', page)
    return unescape(found.group(1)) if found else None


@pytest.mark.parametrize(
    "path",
    ["/", "/corpora", f"/datasets/{NAME}", PAIRS, f"/datasets/{NAME}/1/rejects", "/nowhere"],
)
def test_every_page_says_that_it_is_not_for_clinical_use_and_loads_nothing_from_elsewhere(
    client: TestClient, path: str
) -> None:
    answer = client.get(path)
    assert NOTICE in answer.text
    assert "https://" not in answer.text and "//cdn" not in answer.text
    assert 'lang="en"' in answer.text and 'id="main"' in answer.text


def test_datasets_show_counts_acceptance_and_what_lacks(client: TestClient) -> None:
    page = " ".join(client.get("/").text.split())
    assert f"<dt>accepted</dt><dd>{NUM_PAIRS}</dd>" in page
    assert "<dt>rejected</dt><dd>7</dd>" in page
    assert "<dt>acceptance</dt><dd>94.9 %</dd>" in page
    assert "<dt>missing</dt><dd>70</dd>" in page
    assert "short of its target" in page


def test_grid_pages_follow_each_other_without_loss_or_repetition(client: TestClient) -> None:
    seen: list[int] = []
    address: str | None = f"{PAIRS}?view=PA&sort=-technical/contrast"
    while address:
        page = client.get(address)
        assert page.status_code == 200
        seen += _indices(page.text)
        address = _next(page.text)
    expected = [index for index in range(NUM_PAIRS) if reference(index).view == "PA"]
    assert sorted(seen) == expected


def test_grid_fragment_is_cards_alone(client: TestClient) -> None:
    whole = client.get(PAIRS, params={"after": 47})
    cards = client.get(PAIRS, params={"after": 47}, headers={"X-Fragment": "cards"})
    assert _indices(cards.text) == _indices(whole.text)
    assert "<html" not in cards.text


def test_grid_state_is_in_the_address_and_can_be_taken_away(client: TestClient) -> None:
    query = {"entity": "abnormality:pleural effusion", "q": "left", "min:technical/contrast": "9"}
    page = client.get(PAIRS, params=query).text
    assert 'value="abnormality:pleural effusion" checked' in page
    assert 'value="left"' in page
    assert "contrast ≥ 9" in page
    wanted = [
        index
        for index in range(NUM_PAIRS)
        if "left" in reference(index).findings and reference(index).contrast >= 9
    ]
    assert f"{len(wanted)} of {NUM_PAIRS} pairs" in page
    assert _indices(page) == wanted


def test_grid_that_matches_nothing_says_so(client: TestClient) -> None:
    answer = client.get(PAIRS, params={"q": "unicorn"})
    assert answer.status_code == 200
    assert "Nothing matches" in answer.text


def test_text_of_models_is_data(client: TestClient) -> None:
    sample = client.get(f"{PAIRS}/{reference(0).sample_id}").text
    assert SCRIPT not in sample
    assert "&lt;script&gt;" in sample
    searched = client.get(PAIRS, params={"q": SCRIPT}).text
    assert SCRIPT not in searched
    hostile = client.get(PAIRS, params={"view": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in hostile


def test_sample_page_shows_all_that_is_stored(client: TestClient, settings: Settings) -> None:
    found = reference(3)
    page = client.get(f"{PAIRS}/{found.sample_id}").text
    assert re.search(r'<mark class="entity abnormality present"[^>]*>pleural effusion', page)
    assert re.search(r'<mark class="entity abnormality uncertain"[^>]*>lung nodule', page)
    assert "as asked" in page and "extra" in page
    assert f"cxr-factory make-again {NAME} {found.sample_id} --root {settings.root}" in page
    assert str(2**62 + 1) in page  # the seed
    assert f'{PAIRS}/{found.sample_id}/mask-0.png"' in page
    image = client.get(f"{PAIRS}/{found.sample_id}/image.png")
    assert image.content == made_row(3).png
    assert image.headers["content-type"] == "image/png"
    assert client.get(f"{PAIRS}/{found.sample_id}/mask-0.png").content.startswith(b"\x89PNG")


def test_sample_page_links_to_the_runs_in_prefect(settings: Settings) -> None:
    with client_of(Settings(root=settings.root, prefect_url="http://127.0.0.1:4200")) as client:
        page = client.get(f"{PAIRS}/{reference(3).sample_id}").text
    assert "outside Prefect" in page  # these rows were made without


def test_rejects_say_stage_and_reason(client: TestClient) -> None:
    page = client.get(f"/datasets/{NAME}/1/rejects", params={"reason": "constant"}).text
    assert _indices(page) == [FIRST_REJECT + 1, FIRST_REJECT + 3, FIRST_REJECT + 5]
    painted, unpainted = reference(FIRST_REJECT + 1), reference(FIRST_REJECT)
    path = f"/datasets/{NAME}/1/rejects"
    sample = client.get(f"{path}/{painted.sample_id}").text
    assert "at the stage <strong>paint</strong>: <strong>constant</strong>" in sample
    assert client.get(f"{path}/{painted.sample_id}/image.png").status_code == 200
    assert "No image was painted" in client.get(f"{path}/{unpainted.sample_id}").text
    assert client.get(f"{path}/{unpainted.sample_id}/image.png").status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "Not Found"),
        ("/datasets/none", 404, "There is no dataset"),
        ("/datasets/..%2f..%2fetc/1/pairs", 404, "Not Found"),
        (f"/datasets/{NAME}/7/pairs", 404, "It has 1."),
        (f"/datasets/{NAME}/x/pairs", 404, "The address cannot be right"),
        (f"/datasets/{NAME}/99999999999999999999/pairs", 404, "The address cannot be right"),
        (f"/datasets/{NAME}/1/reviews", 404, "shows pairs and rejects"),
        (f"{PAIRS}?after=99999", 404, "has the index 99999"),
        (f"{PAIRS}?colour=red", 400, "got &#39;colour&#39;"),
        (f"{PAIRS}/{'0' * 32}", 404, "has no sample"),
        (f"{PAIRS}/..%2f..%2fplan.lock.json", 404, "Not Found"),
        (f"{PAIRS}/{reference(1).sample_id}/mask-9.png", 404, "no mask 9"),
        (f"{PAIRS}/values/colour", 404, "no facet"),
        (f"/datasets/{NAME}/changes?before=1&after=3", 404, "has no release 3"),
    ],
)
def test_what_is_not_there_is_a_friendly_page(
    client: TestClient, path: str, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cxr_factory.browser")
    answer = client.get(path)
    assert (answer.status_code, NOTICE in answer.text) == (status, True)
    assert words in answer.text
    lines = [one for one in caplog.records if one.name == "cxr_factory.browser"]
    assert len(lines) == 1


def test_values_of_a_facet_lead_back_to_the_grid(client: TestClient) -> None:
    page = client.get(f"{PAIRS}/values/unit?view=AP").text
    link = re.search(r'<a href="([^"]+unit=0[^"]*)"', page)
    assert link is not None
    grid = client.get(unescape(link.group(1))).text
    assert [reference(index).view for index in _indices(grid)] == ["AP"] * len(_indices(grid))
    assert all(index < 8 for index in _indices(grid))


def test_root_without_datasets_says_how_to_make_one(tmp_path: Path) -> None:
    with client_of(Settings(root=str(tmp_path / "nothing"))) as client:
        answer = client.get("/")
        assert (answer.status_code, "cxr-factory demo" in answer.text) == (200, True)
    assert not (tmp_path / "nothing").exists()


def test_dataset_being_made_is_shown_as_such(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    store.put(DatasetLayout("soon").plan_lock, b'{"plan": {"plan": {"seed": 41}}}')
    with client_of(Settings(root=str(tmp_path))) as client:
        assert "being made" in client.get("/").text
        page = client.get("/datasets/soon").text
        assert "Being made" in page and "seed: 41" in page
        assert "It is being made" in client.get("/datasets/soon/1/pairs").text


def test_corpora_are_counted_and_nothing_of_them_is_shown(tmp_path: Path) -> None:
    source = make_mimic(tmp_path / "source")
    store = LocalStore(str(tmp_path / "root"))
    ingest(store, "hospital", corpus_reader("mimic", source))
    with client_of(Settings(root=store.root)) as client:
        page = client.get("/corpora").text
        (corpus,) = client.get("/api/corpora").json()
    assert "hospital" in page and "restricted" in page
    assert (corpus["restricted"], corpus["holds"]) == (True, "reports and images")
    assert corpus["num_rows"] == read_corpus(store, "hospital").num_rows
    report = next(read_corpus(store, "hospital").reports())
    assert report.findings and report.findings[:40] not in page


def test_release_whose_version_was_cleaned_away_is_gone(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=8)
    for manifest in (tmp_path / f"datasets/{NAME}/pairs.lance/_versions").iterdir():
        manifest.rename(manifest.with_suffix(".gone"))
    with client_of(Settings(root=str(tmp_path))) as client:
        answer = client.get(PAIRS)
    assert (answer.status_code, "was cleaned away" in answer.text) == (410, True)


def test_release_without_a_word_index_is_searched_all_the_same(tmp_path: Path) -> None:
    make_release(LocalStore(str(tmp_path)), index_words=False)
    with client_of(Settings(root=str(tmp_path))) as client:
        page = client.get(PAIRS, params={"q": '"no pleural effusion"'}).text
    assert "This release has no word index" in page
    wanted = [i for i in range(NUM_PAIRS) if "No pleural effusion" in reference(i).findings]
    assert f"{len(wanted)} of {NUM_PAIRS} pairs" in page


def test_pages_while_the_dataset_grows_stay_those_of_their_release(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=16)
    with client_of(Settings(root=str(tmp_path))) as client:
        assert "16 of 16 pairs" in client.get(PAIRS).text
        make_release(store, num_pairs=40)
        assert "16 of 16 pairs" in client.get(PAIRS).text
        assert "40 of 40 pairs" in client.get(f"/datasets/{NAME}/2/pairs").text
        changed = client.get(f"/datasets/{NAME}/changes?before=1&after=2").text
        assert "+24" in changed
        assert "+24 pairs" in client.get(f"/datasets/{NAME}").text


def test_browsing_writes_nothing(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=16)
    before = sorted((info.key, info.num_bytes) for info in store.list(""))
    with client_of(Settings(root=str(tmp_path))) as client:
        for path in ("/", f"/datasets/{NAME}", f"{PAIRS}?q=effusion&view=AP", "/api/corpora"):
            assert client.get(path).status_code == 200
        client.get(f"{PAIRS}/{reference(1).sample_id}/image.png")
    assert sorted((info.key, info.num_bytes) for info in store.list("")) == before


def test_broken_image_is_said_and_the_page_stands(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("browser.images.PNG_START", b"other")
    answer = client.get(f"{PAIRS}/{reference(1).sample_id}/image.png")
    assert (answer.status_code, "damaged" in answer.text) == (500, True)
    assert client.get(f"{PAIRS}/{reference(1).sample_id}").status_code == 200


def test_page_that_a_visitor_has_is_not_sent_again(client: TestClient) -> None:
    first = client.get(PAIRS)
    known = {"if-none-match": first.headers["etag"]}
    again = client.get(PAIRS, headers=known)
    assert (again.status_code, again.content, again.headers["cache-control"]) == (
        304,
        b"",
        "no-cache",
    )
    for query, headers in (({"view": "PA"}, known), ({}, known | {"x-fragment": "cards"})):
        other = client.get(PAIRS, params=query, headers=headers)
        assert (other.status_code, other.headers["etag"] in known.values()) == (200, False)


def test_page_that_is_remembered_names_a_release_made_since(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=8)
    with client_of(Settings(root=store.root)) as client:
        before = client.get(PAIRS)
        make_release(store, num_pairs=16)
        after = client.get(PAIRS, headers={"if-none-match": before.headers["etag"]})
    link = f'href="/datasets/{NAME}/2/pairs"'
    assert (link in before.text, link in after.text) == (False, True)
    assert "8 of 8 pairs" in after.text


def test_link_to_the_newest_release_keeps_its_filters(client: TestClient) -> None:
    newest = f"/datasets/{NAME}/newest"
    answer = client.get(f"{newest}/rejects?reason=constant", follow_redirects=False)
    where = f"/datasets/{NAME}/1/rejects?reason=constant"
    assert (answer.status_code, answer.headers["location"]) == (307, where)
    assert "of 7 rejects" in client.get(f"{newest}/rejects?reason=constant").text
    assert client.get(f"{newest}/samples").status_code == 404
    assert client.get("/datasets/nowhere/newest/pairs").status_code == 404
