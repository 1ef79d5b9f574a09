"""Review: what is posted is kept once, shown at once, and only from these pages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from browser.commands import browse
from browser.settings import Reviewing, Settings
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from storage.releases import release_reviews
from storage.review_records import Review, ReviewDecision, ReviewReason
from storage.reviews import latest_reviews, standing_reviews
from tests.browser.released import FIRST_REJECT, NAME, client_of, made_row, make_release, reference

PAIRS = f"/datasets/{NAME}/1/pairs"
DECISIONS = f"/review/{NAME}/decisions"
LAYOUT = DatasetLayout(NAME)
OWN = {"origin": "http://127.0.0.1:4300"}
JSON = OWN | {"accept": "application/json"}
IDS = [reference(index).sample_id for index in range(24)]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=24, num_rejects=3)
    return store


@pytest.fixture
def ann(store: LocalStore) -> Iterator[TestClient]:
    with client_of(Settings(root=store.root, reviewing=Reviewing("ann"))) as client:
        yield client


def _post(number: int) -> str:
    return f"{number:032x}"


def _form(number: int, decision: str, *samples: str, **more: str) -> dict[str, Any]:
    form = {"post": _post(number), "release": "1", "table": "pairs", "decision": decision}
    return form | {"sample": list(samples)} | more


def _standing(store: LocalStore) -> dict[str, dict[str, Review]]:
    return standing_reviews(latest_reviews(store, LAYOUT))


def test_read_only_browser_has_no_routes_of_review(client: TestClient) -> None:
    for path in ("/review/name", DECISIONS, f"/review/{NAME}/agreement"):
        assert client.get(path).status_code == 404
    assert client.post(DECISIONS, data=_form(1, "keep", IDS[0]), headers=OWN).status_code == 404
    page = client.get(PAIRS).text
    assert "review" not in page.lower() and 'name="sample"' not in page
    assert client.get(PAIRS, params={"review": "kept"}).status_code == 400


def test_decisions_are_kept_shown_counted_and_withdrawn(ann: TestClient, store: LocalStore) -> None:
    kept = ann.post(DECISIONS, data=_form(1, "keep", IDS[3]), headers=JSON)
    assert kept.json() == {
        "said": "Kept sample 3.",
        "marks": {IDS[3]: {"text": "kept · ann", "kind": "good", "detail": "ann: keep"}},
    }
    why = {"reason": "artefact", "remark": "a line"}
    rejected = ann.post(DECISIONS, data=_form(2, "reject", *IDS[4:9], **why), headers=JSON)
    assert rejected.json()["said"] == "Rejected 5 samples: artefact."
    assert _standing(store)[IDS[8]]["ann"].reason is ReviewReason.ARTEFACT
    page = ann.get(PAIRS, params={"review": "rejected"}).text
    assert "5 of 24 pairs" in page and page.count("rejected · ann") == 5
    assert "1 of 24 pairs" in ann.get(f"{PAIRS}?review=kept&reviewer=ann").text
    undone = ann.post(DECISIONS, data=_form(3, "withdrawn", *IDS[4:9]), headers=JSON).json()
    assert undone == {"said": "Withdrew what was said of 5 samples.", "marks": {}}
    assert set(_standing(store)) == {IDS[3]}
    assert "18 of" not in page and "23 of 24" in ann.get(f"{PAIRS}?review=undecided").text
    assert "kept · ann" in ann.get(f"{PAIRS}/{IDS[3]}").text


def test_a_post_sent_again_is_kept_once_and_never_means_another_thing(
    ann: TestClient, store: LocalStore
) -> None:
    form = _form(1, "keep", *IDS[:3])
    first, again = (ann.post(DECISIONS, data=form, headers=JSON) for _ in range(2))
    assert first.json() == again.json()
    assert len(latest_reviews(store, LAYOUT)) == 3
    other = ann.post(DECISIONS, data=_form(1, "flag", IDS[0]), headers=JSON)
    assert (other.status_code, "must keep its content" in other.json()["what"]) == (400, True)


def test_rejects_are_reviewed_too(ann: TestClient, store: LocalStore) -> None:
    sample_id = made_row(FIRST_REJECT + 1).written.sample.sample_id
    form = _form(1, "flag", sample_id) | {"table": "rejects"}
    said = ann.post(DECISIONS, data=form, headers=JSON).json()["said"]
    assert said == f"Flagged sample {FIRST_REJECT + 1}."
    assert "1 of 3 rejects" in ann.get(f"/datasets/{NAME}/1/rejects?review=flagged").text
    assert "0 of 24 pairs" in ann.get(f"{PAIRS}?review=flagged").text


def test_without_a_script_the_form_leads_back(ann: TestClient, store: LocalStore) -> None:
    page = ann.get(f"{PAIRS}?view=AP").text
    assert page.count('form="review"') == 8
    back = "/datasets/chest/1/pairs?view=AP"
    assert f'name="back" value="{back}"' in page
    form = _form(1, "keep", IDS[0], back=back)
    answer = ann.post(DECISIONS, data=form, headers=OWN, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    away = _form(2, "keep", IDS[1], back="https://evil.example/")
    answer = ann.post(DECISIONS, data=away, headers=OWN, follow_redirects=False)
    assert answer.headers["location"] == "/"
    assert len(_standing(store)) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        OWN | {"sec-fetch-site": "cross-site"},
        OWN | {"sec-fetch-site": "same-site"},
    ],
)
def test_posts_from_elsewhere_change_nothing(
    ann: TestClient, store: LocalStore, headers: dict[str, str]
) -> None:
    for path, form in ((DECISIONS, _form(1, "keep", IDS[0])), ("/review/name", {"name": "eve"})):
        answer = ann.post(path, data=form, headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert latest_reviews(store, LAYOUT) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"decision": "reject"}, "must have a reason"),
        ({"decision": "reject", "reason": "other"}, "must have a remark"),
        ({"decision": "reject", "reason": "ugly"}, "expected a reason"),
        ({"decision": "real"}, "expected a decision"),
        ({"post": "1"}, "expected a post"),
        ({"sample": []}, "1 to 500 samples"),
        ({"sample": ["0" * 32]}, "expected samples of pairs"),
        ({"sample": ["no id"]}, "expected samples of pairs"),
        ({"release": "first"}, "expected a number for release"),
        ({"remark": "x" * 501, "decision": "flag"}, "at most 500 characters"),
    ],
)
def test_decisions_that_cannot_be_are_refused_in_words(
    ann: TestClient, store: LocalStore, changes: dict[str, Any], words: str
) -> None:
    answer = ann.post(DECISIONS, data=_form(1, "keep", IDS[0]) | changes, headers=JSON)
    assert (answer.status_code, words in answer.json()["what"]) == (400, True)
    assert latest_reviews(store, LAYOUT) == []


def test_reviewer_is_asked_for_once_and_decides_under_that_name(store: LocalStore) -> None:
    with client_of(Settings(root=store.root, reviewing=Reviewing())) as client:
        page = client.get(PAIRS).text
        assert "say who you are" in page and 'form="review"' not in page
        refused = client.post(DECISIONS, data=_form(1, "keep", IDS[0]), headers=JSON)
        assert (refused.status_code, refused.json()["what"]) == (403, "Nobody said who reviews.")
        for wrong in ("", "x" * 65, "a\x00b"):
            answer = client.post("/review/name", data={"name": wrong}, headers=OWN)
            assert (answer.status_code, 'role="alert"' in answer.text) == (400, True)
        form = {"name": " Dr. Müller ", "next": PAIRS}
        answer = client.post("/review/name", data=form, headers=OWN, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, PAIRS)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=strict" in cookie
        assert "as <strong>Dr. Müller</strong>" in client.get(PAIRS).text
        client.post(DECISIONS, data=_form(1, "keep", IDS[0]), headers=JSON)
    assert set(_standing(store)[IDS[0]]) == {"Dr. Müller"}
    with pytest.raises(ValueError, match="reviewer must be"):
        Reviewing(" ")


def test_browse_with_a_reviewer_and_no_review_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--reviewer ann .* add --review"):
        browse(root=str(tmp_path), reviewer="ann")


def test_sample_page_leads_on_in_the_order_and_filters_of_the_grid(ann: TestClient) -> None:
    query = "view=AP&sort=-index"
    page = ann.get(f"{PAIRS}?{query}").text
    address = f"{PAIRS}/{IDS[21]}?view=AP&amp;sort=-index"
    assert f'href="{address}"' in page
    seen = []
    while address:
        page = ann.get(address.replace("&amp;", "&")).text
        found = re.search(r'href="([^"]+)" rel="next"', page)
        seen.append(int(re.findall(r"<h1>Sample (\d+)", page)[0]))
        address = found.group(1) if found else ""
    assert seen == [21, 18, 15, 12, 9, 6, 3, 0]
    assert f'{PAIRS}/{IDS[3]}?view=AP&amp;sort=-index" rel="prev"' in page


def test_decisions_of_several_reviewers_stand_together_and_live(
    ann: TestClient, store: LocalStore
) -> None:
    with client_of(Settings(root=store.root, reviewing=Reviewing("bob"))) as bob:
        ann.post(DECISIONS, data=_form(1, "keep", *IDS[:2]), headers=JSON)
        assert "kept · ann" in bob.get(PAIRS).text
        more = _form(2, "reject", IDS[0], reason="duplicate")
        marks = bob.post(DECISIONS, data=more, headers=JSON).json()["marks"]
    assert marks[IDS[0]] == {
        "text": "rejected · ann, bob",
        "kind": "refused",
        "detail": "ann: keep; bob: reject, duplicate",
    }
    counts = ann.get(f"/api/datasets/{NAME}/releases/1/pairs/counts").json()["facets"]
    facets = {one["name"]: {c["value"]: c["num_rows"] for c in one["counts"]} for one in counts}
    assert facets["review"] == {"undecided": 22, "rejected": 1, "kept": 1}
    assert facets["reviewer"] == {"ann": 2, "bob": 1}
    assert release_reviews(store, LAYOUT).number == 2
    assert ReviewDecision.REJECT in [one.decision for one in _standing(store)[IDS[0]].values()]
