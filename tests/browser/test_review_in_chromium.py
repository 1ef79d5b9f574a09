"""Review as a person does it: by keyboard, in Debian's Chromium."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from browser.settings import Reviewing, Settings
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from storage.review_records import ReviewDecision
from storage.reviews import latest_reviews, standing_reviews
from tests.browser.chromium import visit
from tests.browser.released import NAME, make_release, reference, served
from tests.browser.reviewed import draw_study, ingest_scans

PAIRS = f"/datasets/{NAME}/1/pairs"
NUM_PAIRS = 16


def _standing(store: LocalStore) -> dict[int, ReviewDecision]:
    """What stands of each sample's index."""
    standing = standing_reviews(latest_reviews(store, DatasetLayout(NAME)))
    indices = {reference(index).sample_id: index for index in range(NUM_PAIRS)}
    return {
        indices[sample_id]: review.decision
        for sample_id, of_sample in standing.items()
        for review in of_sample.values()
    }


def test_ten_are_reviewed_by_keyboard_and_two_taken_back(browser: Browser, tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    make_release(store, num_pairs=NUM_PAIRS, num_rejects=0)
    keep, reject, flag = ReviewDecision.KEEP, ReviewDecision.REJECT, ReviewDecision.FLAG
    with (
        served(Settings(root=store.root, reviewing=Reviewing())) as address,
        visit(browser, address) as page,
    ):
        page.goto(PAIRS)
        page.get_by_role("link", name="say who you are").click()
        expect(page.locator("#name")).to_be_focused()
        page.keyboard.type("Dr. Ann")
        page.keyboard.press("Enter")
        said, first = page.locator("#said"), page.locator("option[data-key='1']")
        reason = first.get_attribute("value")
        expect(page.locator(".keys")).to_be_visible()
        page.keyboard.press("l")
        for index in range(10):
            page.keyboard.type("k" if index % 2 else "r1")
            words = f"Kept sample {index}." if index % 2 else f"Rejected sample {index}: {reason}."
            expect(said).to_have_text(words)
        for index in (9, 8):
            page.keyboard.press("u")
            expect(said).to_have_text(f"Withdrew what was said of sample {index}.")
        expect(page.locator("#cards .mark:visible")).to_have_count(8)
        assert _standing(store) == {index: keep if index % 2 else reject for index in range(8)}
        page.keyboard.press("a")
        page.keyboard.press("f")
        expect(said).to_have_text(f"Flagged {NUM_PAIRS} samples.")
        assert _standing(store) == dict.fromkeys(range(NUM_PAIRS), flag)
        page.locator("#cards .card a").nth(3).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sample 3")
        expect(page.locator(".keys")).to_be_visible()
        page.keyboard.press("k")
        expect(said).to_have_text("Kept sample 3.")
        page.keyboard.press("l")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sample 4")
    assert _standing(store)[3] == keep


def test_keys_that_decide_can_be_switched_off_and_stay_so(browser: Browser, tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path / "root"))
    make_release(store, num_pairs=NUM_PAIRS, num_rejects=0)
    ingest_scans(store, tmp_path / "scans")
    study = draw_study(store)
    with (
        served(Settings(root=store.root, reviewing=Reviewing("ann"))) as address,
        visit(browser, address) as page,
    ):
        page.goto(PAIRS)
        switch, keep = page.get_by_label("single keys decide"), page.locator("[data-shortcut=k]")
        expect(switch).to_be_checked()
        expect(keep).to_have_attribute("aria-keyshortcuts", "k")
        switch.uncheck()
        expect(page.locator(".keys")).to_be_hidden()
        expect(keep).not_to_have_attribute("aria-keyshortcuts", "k")
        page.locator("#cards .card a").first.focus()
        page.keyboard.type("k")
        page.reload()
        expect(switch).not_to_be_checked()
        page.keyboard.type("ak")
        page.locator(".card .pick input").first.check()
        keep.click()  # buttons still do
        expect(page.locator("#said")).to_have_text("Kept sample 0.")
        assert _standing(store) == {0: ReviewDecision.KEEP}

        page.goto(f"/review/{NAME}/studies/{study.name}")
        expect(switch).not_to_be_checked()
        page.keyboard.press("s")
        expect(page.get_by_text("Image 1 of 6")).to_be_visible()
        switch.check()
        page.keyboard.press("s")
        expect(page.get_by_text("Image 2 of 6")).to_be_visible()
    answered = [one.sample_id for one in latest_reviews(store, DatasetLayout(NAME))[1:]]
    assert answered == study.order_of("ann")[:1]
