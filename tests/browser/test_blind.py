"""Blind studies: a reader answers every image once, and nothing tells which is which before."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from browser.settings import Reviewing, Settings
from storage.blind_records import BlindStudy
from storage.blind_results import blind_answers
from storage.blind_study import read_study
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from storage.review_records import Study
from storage.reviews import latest_reviews
from tests.browser.released import NAME, client_of, make_release
from tests.browser.reviewed import draw_study, ingest_scans

STUDIES = f"/review/{NAME}/studies"
FIRST = f"{STUDIES}/first"
LAYOUT = DatasetLayout(NAME)
OWN = {"origin": "http://127.0.0.1:4300"}
PLAN = {"name": "first", "corpus": "real", "split": "train", "num_each": "3", "seed": "5"}
PLAN |= {"image_size_px": "32"}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A release of noise, and a corpus of flat images: as files they differ in all they can."""
    store = LocalStore(str(tmp_path / "root"))
    make_release(store, num_pairs=16, num_rejects=1)
    ingest_scans(store, tmp_path / "source")
    return store


@pytest.fixture
def ann(store: LocalStore) -> Iterator[TestClient]:
    with client_of(Settings(root=store.root, reviewing=Reviewing("ann"))) as client:
        yield client


def _drawn(client: TestClient, store: LocalStore) -> BlindStudy:
    answer = client.post(STUDIES, data=PLAN, headers=OWN, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, FIRST)
    return read_study(store, LAYOUT, "first")


def _item(page: str) -> str:
    (item,) = re.findall(r'name="item" value="([0-9a-f]{32})"', page)
    return str(item)


def _read_all(client: TestClient, study: BlindStudy, wrong: int) -> None:
    """Answer everything, the first so many wrongly."""
    truth = {item.item_id: item.synthetic for item in study.items}
    for number in range(len(study.items)):
        item = _item(client.get(FIRST).text)
        made = truth[item] is not (number < wrong)
        form = {"item": item, "answer": "synthetic" if made else "real"}
        assert client.post(f"{FIRST}/answers", data=form, headers=OWN).status_code == 200


def test_study_is_drawn_from_a_form_and_means_one_thing(ann: TestClient, store: LocalStore) -> None:
    page = ann.get(STUDIES).text
    assert "<option>real</option>" in page and "Draw from release 1" in page
    study = _drawn(ann, store)
    assert (study.plan.num_each, study.plan.seed, len(study.items)) == (3, 5, 6)
    assert _drawn(ann, store) == study
    other = ann.post(STUDIES, data=PLAN | {"seed": "6"}, headers=OWN)
    assert (other.status_code, "seed: was 5" in other.text) == (409, True)
    assert "6 images. Nobody has begun." in ann.get(STUDIES).text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_each": "1"}, "num_each: Input should be greater than or equal to 2"),
        ({"num_each": "900"}, "needs as many"),
        ({"corpus": "nowhere"}, "nowhere"),
        ({"corpus": ""}, "corpus: Field required"),
        ({"name": "../x"}, "study name must be"),
    ],
)
def test_study_that_cannot_be_drawn_is_refused_in_words(
    ann: TestClient, changes: dict[str, str], words: str
) -> None:
    answer = ann.post(STUDIES, data=PLAN | changes, headers=OWN)
    assert (answer.status_code, words in answer.text) == (400, True)


def test_nothing_that_is_sent_tells_real_from_made(ann: TestClient, store: LocalStore) -> None:
    study = _drawn(ann, store)
    seen = set()
    for item in study.items:
        picture = ann.get(f"{FIRST}/{item.item_id}.png")
        headers = {name: value for name, value in picture.headers.items() if name != "date"}
        assert headers["cache-control"] == "no-store"
        frame = tuple(_frame(picture.content))
        seen.add((picture.status_code, len(picture.content), frame, *sorted(headers.items())))
    assert len(seen) == 1, "the same status, length, headers, depth and chunks for all"
    ((_, _, frame, *_),) = seen
    assert [name for name, _ in frame] == [b"IHDR", b"IDAT", b"IEND"], "and no words"
    pages = set()
    for number, name in enumerate(("ann", "bob", "eve", "kim", "lee")):
        with client_of(Settings(root=store.root, reviewing=Reviewing(name))) as reader:
            page = reader.get(FIRST).text
        assert not any(item.source_id in page for item in study.items), number
        pages.add(page.replace(_item(page), "ITEM").replace(f"as {name};", "as NAME;"))
    assert len(pages) == 1, "pages differ in nothing but the random id"
    assert ann.get(f"{FIRST}/{'0' * 32}.png").status_code == 404
    assert ann.get(f"{STUDIES}/second").status_code == 404


def _frame(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk of a PNG, but of the pixels only their number of bytes."""
    at = len(b"\x89PNG\r\n\x1a\n")
    while at < len(png):
        size, name = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        content = png[at + 8 : at + 8 + size]
        yield name, str(size).encode() if name == b"IDAT" else content
        at += size + 12


def test_answers_come_in_an_order_that_tells_nothing(ann: TestClient, store: LocalStore) -> None:
    study = draw_study(store, "many", num_each=8)
    truth = {item.item_id: item.synthetic for item in study.items}
    stored = [item.synthetic for item in study.items]
    assert [item.item_id for item in study.items] == sorted(truth)
    orders = {tuple(truth[one] for one in study.order_of(f"reader {at}")) for at in range(20)}
    assert len(orders) > 15, "each reader has another order"
    again = [item.synthetic for item in draw_study(store, "again", num_each=8).items]
    assert {item.item_id for item in study.items}.isdisjoint(
        item.item_id for item in read_study(store, LAYOUT, "again").items
    )
    assert sum(stored) == sum(again) == 8
    page = ann.get(f"{STUDIES}/many").text
    links = [one for one in re.findall(r'(?:src|href|value)="([^"]*)"', page) if "png" in one]
    assert links == [f"{STUDIES}/many/{study.order_of('ann')[0]}.png"]


def test_reader_answers_each_image_once_and_the_first_answer_counts(
    ann: TestClient, store: LocalStore
) -> None:
    study = _drawn(ann, store)
    page = ann.get(FIRST).text
    first = _item(page)
    assert "Image 1 of 6" in page
    for words in ("synthetic", "real", "synthetic"):
        form = {"item": first, "answer": words}
        assert "Image 2 of 6" in ann.post(f"{FIRST}/answers", data=form, headers=OWN).text
    assert blind_answers(study, latest_reviews(store, LAYOUT)) == {"ann": {first: True}}
    assert [one.study for one in latest_reviews(store, LAYOUT)] == [Study.BLIND]
    for form in ({"item": first, "answer": "both"}, {"item": "0" * 32, "answer": "real"}):
        assert ann.post(f"{FIRST}/answers", data=form, headers=OWN).status_code in (400, 404)
    elsewhere = {"origin": "http://evil.example"}
    form = {"item": _item(ann.get(FIRST).text), "answer": "real"}
    assert ann.post(f"{FIRST}/answers", data=form, headers=elsewhere).status_code == 403
    assert len(latest_reviews(store, LAYOUT)) == 1
    assert "Nothing stands yet" in ann.get(f"/review/{NAME}/agreement").text


def test_results_are_for_who_has_finished_each_and_together(
    ann: TestClient, store: LocalStore
) -> None:
    study = _drawn(ann, store)
    with client_of(Settings(root=store.root, reviewing=Reviewing("bob"))) as bob:
        _read_all(bob, study, wrong=2)
        early = ann.get(f"{FIRST}/results").text
        assert "Figures are shown to who has answered every image" in early
        assert "%" not in early and "bob: 6 of 6 answered" in early
        _read_all(ann, study, wrong=0)
        late = " ".join(bob.get(FIRST).text.split())
    assert "Results of first" in late
    assert '6 of 6</td><td class="number">100.0 % (61.0 to 100.0)' in late
    assert '4 of 6</td><td class="number">66.7 % (30.0 to 90.3)' in late
    assert '<th scope="row">all together</th><td class="number">10 of 12</td>' in late
    assert "finished" in ann.get(STUDIES).text


def test_who_has_no_name_is_asked_for_it_first(ann: TestClient, store: LocalStore) -> None:
    _drawn(ann, store)
    with client_of(Settings(root=store.root, reviewing=Reviewing())) as client:
        answer = client.get(FIRST, follow_redirects=False)
    assert answer.headers["location"] == "/review/name?next=%2Freview%2Fchest%2Fstudies%2Ffirst"
