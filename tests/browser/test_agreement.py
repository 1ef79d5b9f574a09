"""The page of decisions: counts, kappa, and what waits for a release."""

import itertools
from pathlib import Path

import pytest

from browser.agreement_page import agreement_view
from browser.library import Library
from browser.review_desk import Desk
from browser.settings import Reviewing, Settings
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from storage.releases import Release, release_reviews
from storage.review_records import Review, ReviewDecision, ReviewReason, Study
from tests.browser.released import NAME, client_of, make_release, reference
from tests.storage.made import decided

LAYOUT = DatasetLayout(NAME)
AGREEMENT = f"/review/{NAME}/agreement"
_NUMBERS = itertools.count()


def _decide(desk: Desk, release: Release, name: str, index: int, decision: str) -> None:
    rejects = decision == "reject"
    review = Review(
        decision_id=f"{next(_NUMBERS)}",
        sample_id=reference(index).sample_id,
        reviewer=name,
        decision=ReviewDecision(decision),
        reason=ReviewReason.ARTEFACT if rejects else None,
        remark="",
        at="2026-01-01T00:00:00+00:00",
        release=release.number,
        study=Study.REVIEW,
    )
    desk.add(release, [review])


def test_agreement_counts_reviewers_reasons_kappa_and_what_waits(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    release = make_release(store, num_pairs=12, num_rejects=1)
    settings = Settings(root=store.root, reviewing=Reviewing("ann"))
    library, desk = Library(settings), Desk(store, "ann")
    for index in range(10):  # the table of a textbook: 4 both keep, 3 both reject, 3 differ
        _decide(desk, release, "ann", index, "keep" if index < 6 else "reject")
        _decide(desk, release, "<bob>", index, "keep" if index < 4 or index == 9 else "reject")
    _decide(desk, release, "ann", 11, "flag")
    desk.add(release, [decided("item", "ann", ReviewDecision.REAL)])  # no decision on a sample
    view = agreement_view(library, release, desk.decisions(NAME))
    assert view.statuses == {"rejected": 6, "kept": 4, "flagged": 1}
    of_bob, of_ann = view.reviewers
    assert dict(of_ann.counts) == {"keep": 6, "reject": 4, "flag": 1}
    assert dict(of_bob.reasons) == {"artefact": 5}
    keeps = view.pairs[0]
    assert (keeps.num_samples, keeps.share) == (10, 0.7)
    assert keeps.kappa == pytest.approx((0.7 - 0.5) / 0.5)
    assert (view.num_waiting, view.release) == (21, 1)

    with client_of(settings) as client:
        page = " ".join(client.get(AGREEMENT).text.split())
        assert "21 not released" in page and f"cxr-factory release {NAME} --root" in page
        assert '<td class="number">0.40</td>' in page
        assert "&lt;bob&gt; and ann" in page and "<bob>" not in page
        released = release_reviews(store, LAYOUT)
        page = client.get(AGREEMENT).text
        assert "all released" in page and "cxr-factory release" not in page
        _decide(desk, released, "ann", 0, "withdrawn")
        assert "1 not released" in client.get(AGREEMENT).text


def test_agreement_without_decisions_or_release_says_what_to_do(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=8, num_rejects=1)
    store.put(DatasetLayout("unborn").plan_lock, b"{}")
    with client_of(Settings(root=store.root, reviewing=Reviewing())) as client:
        assert "Nothing stands yet" in client.get(AGREEMENT).text
        answer = client.get("/review/unborn/agreement")
        assert (answer.status_code, "has no release yet" in answer.text) == (404, True)
        for page in ("agreement", "slices", "studies"):
            assert f'href="/review/{NAME}/{page}"' in client.get(f"/datasets/{NAME}").text


def test_restricted_dataset_is_reviewed_on_its_own_machine_alone(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=8, num_rejects=1, restricted=True)
    beyond = Settings(store.root, "0.0.0.0", "token", reviewing=Reviewing("ann"))
    bearer = {"Authorization": "Bearer token", "sec-fetch-site": "same-origin"}
    form = {"post": f"{1:032x}", "release": "1", "table": "pairs", "decision": "keep"}
    form |= {"sample": reference(0).sample_id}
    with client_of(beyond) as client:
        for page in ("agreement", "studies"):
            assert client.get(f"/review/{NAME}/{page}", headers=bearer).status_code == 403
        posted = client.post(f"/review/{NAME}/decisions", data=form, headers=bearer)
        saved = {"release": "1", "query": "", "name": "x"}
        sliced = client.post(f"/review/{NAME}/slices", data=saved, headers=bearer)
        assert (posted.status_code, sliced.status_code) == (403, 403)
        unknown = client.post(f"/review/{NAME}/decisions", data=form, follow_redirects=False)
        assert unknown.status_code == 303 and unknown.headers["location"].startswith("/login")
