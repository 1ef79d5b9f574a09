"""The pages as a person meets them: in Debian's Chromium, by pointer, keyboard and wheel."""

import re
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from browser.settings import Settings
from storage.objects import LocalStore
from tests.browser.chromium import WAIT_MS, visit
from tests.browser.released import (
    FIRST_REJECT,
    NAME,
    NUM_PAIRS,
    UNIT_SIZE,
    Made,
    make_release,
    reference,
    served,
)

PAIRS = f"/datasets/{NAME}/2/pairs"
SAMPLE = f"{PAIRS}/{reference(4).sample_id}"
NUM_BEFORE = 7 * UNIT_SIZE  # pairs of the first release
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = LocalStore(str(tmp_path_factory.mktemp("root")))
    make_release(store, num_pairs=NUM_BEFORE, num_rejects=3)
    make_release(store)
    with served(Settings(root=store.root)) as found:
        yield found


def _num(fits: Callable[[Made], bool]) -> int:
    return sum(fits(reference(index)) for index in range(NUM_PAIRS))


def _expect_found(page: Page, num: int, of: int = NUM_PAIRS, table: str = "pairs") -> None:
    expect(page.locator("#found")).to_have_text(f"{num} of {of} {table}")


def _indices(page: Page) -> list[int]:
    return [int(text) for text in page.locator("#cards .card-index").all_inner_texts()]


def _pixels(page: Page) -> NDArray[np.float64]:
    """What the viewer shows, (height, width, 3), 0 to 255."""
    with Image.open(BytesIO(page.locator("#viewer").screenshot())) as image:
        return np.asarray(image.convert("RGB"), np.float64)


def _lay_mask(page: Page) -> None:
    """Lay the first mask over the image, and wait until it is there."""
    page.locator("#mask-0").check()
    expect(page.locator(".veil.mask-0")).to_have_js_property("naturalWidth", 32)


def test_grid_is_filtered_in_place_and_its_address_is_shared(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:
        page.goto("/")
        page.get_by_role("link", name="Browse pairs").click()
        _expect_found(page, NUM_PAIRS)
        page.evaluate("window.stays = true")
        page.locator("input[name=view][value=AP]").click()
        _expect_found(page, _num(lambda one: one.view == "AP"))
        page.get_by_label("Words in reports").fill("nodule")
        page.keyboard.press("Enter")
        wanted = _num(lambda one: one.view == "AP" and "nodule" in one.findings)
        _expect_found(page, wanted)
        page.locator("input[name='min:technical/contrast']").fill("9")
        fewer = _num(
            lambda one: one.view == "AP" and "nodule" in one.findings and one.contrast >= 9
        )
        _expect_found(page, fewer)
        assert page.evaluate("window.stays"), "the page was loaded anew"
        assert 0 < fewer < wanted
        with visit(browser, address) as other:
            other.goto(page.url)
            _expect_found(other, fewer)
            assert _indices(other) == _indices(page)
        page.go_back()
        _expect_found(page, wanted)
        page.get_by_role("link", name="Remove view: AP").click()
        _expect_found(page, _num(lambda one: "nodule" in one.findings))


def test_next_pages_come_as_one_scrolls(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.goto(PAIRS)
        expect(page.locator("#cards .card")).to_have_count(48)
        cards = page.locator("#cards .card")
        for _ in range(WAIT_MS // 200):  # the end moves on while thumbnails come
            page.keyboard.press("End")
            page.wait_for_timeout(200)
            if cards.count() == NUM_PAIRS:
                break
        expect(cards).to_have_count(NUM_PAIRS)
        assert _indices(page) == list(range(NUM_PAIRS))
        seen = page.locator("#cards img").evaluate_all("all => all.every(one => one.naturalWidth)")
        assert seen, "a thumbnail is no picture"


def test_viewer_changes_what_is_seen(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.goto(SAMPLE)
        expect(page.locator(".image")).to_have_js_property("complete", True)
        plain = _pixels(page)
        assert np.ptp(plain, axis=2).max() <= 8, "an X-ray has no colour, but its corners have"
        _lay_mask(page)
        assert (_pixels(page)[:, :, 0] - _pixels(page)[:, :, 2]).mean() > 20, "an orange veil"
        page.locator("#mask-0").uncheck()
        page.get_by_label("window").fill("60")
        expect(page.locator("output[for=window]")).to_have_text("60")
        assert _pixels(page).std() > 1.2 * plain.std(), "a narrow window has more contrast"
        page.get_by_label("level").fill("250")
        assert _pixels(page).mean() < plain.mean() - 40, "a high level is darker"
        page.get_by_label("window").fill("255")
        page.get_by_label("level").fill("128")
        assert abs(_pixels(page) - plain).mean() < 2
        enlarging: tuple[Callable[[], object], ...] = (
            page.get_by_role("button", name="Zoom in").click,
            lambda: page.locator("#viewer").press("+"),
            lambda: (page.locator("#viewer").hover(), page.mouse.wheel(0, -200)),
        )
        for enlarge in enlarging:
            enlarge()
            page.wait_for_function(
                "!document.querySelector('.layers').style.transform.endsWith('scale(1)')"
            )
            assert abs(_pixels(page) - plain).mean() > 10, "nothing was enlarged"
            page.get_by_role("button", name="Reset").click()
            assert abs(_pixels(page) - plain).mean() < 2


def test_sample_leads_to_its_neighbours_and_its_command_is_copied(
    browser: Browser, address: str
) -> None:
    with visit(browser, address, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(PAIRS)
        page.locator("#cards .card a").nth(4).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sample 4")
        page.get_by_role("button", name="Copy").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"cxr-factory make-again {NAME} {reference(4).sample_id}")
        alike = page.get_by_role("region", name="Samples with the same entities")
        alike.get_by_role("link").first.click()
        heading = page.get_by_role("heading", level=1)
        expect(heading).not_to_have_text("Sample 4")
        index = int(heading.inner_text().removeprefix("Sample "))
        assert set(reference(index).entities) == set(reference(4).entities)
        page.get_by_role("link", name="pleural effusion").first.click()
        of = "abnormality:pleural effusion"
        _expect_found(page, _num(lambda one: of in one.entities))


def test_command_is_not_offered_to_copy_where_the_browser_cannot(
    browser: Browser, address: str
) -> None:
    with visit(browser, address) as page:  # as beyond loopback without TLS
        page.add_init_script("delete Navigator.prototype.clipboard")
        page.goto(SAMPLE)
        expect(page.get_by_role("button", name="Zoom in")).to_be_visible()
        expect(page.get_by_role("button", name="Copy")).to_be_hidden()


def test_release_and_table_are_changed_by_their_links(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.goto(PAIRS)
        page.get_by_role("navigation", name="Releases").get_by_role("link", name="1").click()
        _expect_found(page, NUM_BEFORE, NUM_BEFORE)
        page.get_by_role("navigation", name="Tables").get_by_role("link", name="rejects").click()
        _expect_found(page, 3, 3, "rejects")
        page.locator("input[name=reason][value=constant]").click()
        _expect_found(page, 1, 3, "rejects")
        assert _indices(page) == [FIRST_REJECT + 1]
        page.locator("#cards .card a").click()
        expect(page.locator(".refusal")).to_contain_text("paint: constant")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/corpora",
        f"/datasets/{NAME}",
        f"/datasets/{NAME}/changes?before=1&after=2",
        f"{PAIRS}?view=AP&q=nodule&min:technical/contrast=3",
        f"{PAIRS}/values/unit",
        SAMPLE,
        "/nowhere",
    ],
)
def test_phone_scrolls_in_one_direction_alone(browser: Browser, address: str, path: str) -> None:
    with visit(browser, address, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        page.goto(path)
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= PHONE["width"], widths


def test_phone_shows_samples_first_and_filters_on_demand(browser: Browser, address: str) -> None:
    with visit(browser, address, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        page.goto(PAIRS)
        box = page.locator("input[name=view][value=AP]")
        expect(box).to_be_hidden()
        page.locator("#facets summary").tap()
        box.tap()
        _expect_found(page, _num(lambda one: one.view == "AP"))
        expect(page.locator("#facets")).to_have_js_property("open", True)


@pytest.mark.parametrize(("scheme", "page_is_light"), [("light", True), ("dark", False)])
def test_pages_follow_the_scheme_of_light(
    browser: Browser, address: str, scheme: str, page_is_light: bool
) -> None:
    with visit(browser, address, color_scheme=scheme) as page:
        page.goto(SAMPLE)
        background, ink = (
            page.evaluate(f"getComputedStyle(document.body).{name}")
            for name in ("backgroundColor", "color")
        )
        assert (_grey(background) > 128, _grey(ink) < 128) == (page_is_light, page_is_light)


def _grey(colour: str) -> float:
    """Of "rgb(16, 24, 28)", 0 to 255."""
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def test_without_a_script_all_of_it_works(browser: Browser, address: str) -> None:
    with visit(browser, address, java_script_enabled=False) as page:
        page.goto(PAIRS)
        page.get_by_label("Words in reports").fill("nodule")
        page.locator("input[name=view][value=PA]").check()
        page.locator(".search").get_by_role("button", name="Apply").click()
        wanted = [
            index
            for index in range(NUM_PAIRS)
            if reference(index).view == "PA" and "nodule" in reference(index).findings
        ]
        _expect_found(page, len(wanted))
        seen = _indices(page)
        page.goto(f"{PAIRS}?view=PA")
        wanted = [index for index in range(NUM_PAIRS) if reference(index).view == "PA"]
        seen = _indices(page)
        page.get_by_role("link", name="Next page").click()
        expect(page.get_by_role("link", name="First page")).to_be_visible()
        assert seen + _indices(page) == wanted
        page.goto(SAMPLE)
        expect(page.get_by_label("window")).to_be_hidden()
        plain = _pixels(page)
        _lay_mask(page)
        assert abs(_pixels(page) - plain).mean() > 20


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "Go back to the datasets."),
        (f"/datasets/{NAME}/7/pairs", 404, "It has 1, 2."),
        (f"{PAIRS}?colour=red", 400, "Change the address, or go back."),
        (f"{PAIRS}/{'0' * 32}", 404, "It may be of another release or table."),
    ],
)
def test_what_is_not_there_leads_back(
    browser: Browser, address: str, path: str, status: int, words: str
) -> None:
    with visit(browser, address) as page:
        answer = page.goto(path)
        assert answer is not None and answer.status == status
        expect(page.get_by_text(words)).to_be_visible()
        page.get_by_role("main").get_by_role("link", name="Datasets").click()
        expect(page.get_by_role("link", name="Browse pairs")).to_be_visible()
