"""Every kind of page under axe-core, in the light and in the dark, in Debian's Chromium."""

from collections.abc import Iterator
from importlib.resources import files

import pytest
from playwright.sync_api import Browser, Page

from browser.settings import Reviewing, Settings
from storage.ingestion import corpus_reader, ingest
from storage.layout import DatasetLayout
from storage.objects import LocalStore
from tests.browser.chromium import visit
from tests.browser.released import FIRST_REJECT, NAME, make_release, reference, served
from tests.browser.reviewed import (
    answer_all,
    decide_as_two,
    draw_study,
    embed,
    ingest_scans,
)
from tests.storage.readers.made_files import make_mimic

PAIRS, REJECTS = f"/datasets/{NAME}/2/pairs", f"/datasets/{NAME}/2/rejects"
PAGES = {
    "datasets": "/",
    "corpora": "/corpora",
    "a dataset": f"/datasets/{NAME}",
    "a dataset being made": "/datasets/soon",
    "what changed": f"/datasets/{NAME}/changes?before=1&after=2",
    "the grid": PAIRS,
    "the grid, filtered": f"{PAIRS}?view=AP&q=nodule&min:technical/contrast=3",
    "the grid, empty": f"{PAIRS}?q=unicorn",
    "rejects": REJECTS,
    "values of a facet": f"{PAIRS}/values/entity",
    "a sample": f"{PAIRS}/{reference(4).sample_id}",
    "a reject without an image": f"{REJECTS}/{reference(FIRST_REJECT).sample_id}",
    "the dashboard": f"/datasets/{NAME}/2/dashboard",
    "search by example": f"/datasets/{NAME}/2/similar",
    "more like an image": f"/datasets/{NAME}/2/similar?sample={reference(4).sample_id}",
    "search by example, without embeddings": "/datasets/other/1/similar",
    "the dashboard of a dataset without rejects": "/datasets/other/1/dashboard",
    "who reviews": "/review/name",
    "agreement of reviewers": f"/review/{NAME}/agreement",
    "slices": f"/review/{NAME}/slices",
    "agreement where nobody decided": "/review/other/agreement",
    "blind studies": f"/review/{NAME}/studies",
    "an image of a blind study": f"/review/{NAME}/studies/first",
    "results of a blind study": f"/review/{NAME}/studies/read/results",
    "results that wait": f"/review/{NAME}/studies/first/results",
    "the token": "/login",
    "a problem": "/nowhere",
}
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
_SERIOUS = ("serious", "critical")
_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}  # what a scheme may change


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("all")
    store = LocalStore(str(folder / "root"))
    make_release(store, num_pairs=12, num_rejects=3)
    release = make_release(store, num_pairs=60)
    make_release(store, "other", num_pairs=4, num_rejects=0)
    store.put(DatasetLayout("soon").plan_lock, b'{"plan": {"plan": {"seed": 41}}}')
    ingest(store, "hospital", corpus_reader("mimic", make_mimic(folder / "source")))
    ingest_scans(store, folder / "scans")
    draw_study(store)
    decide_as_two(store, release)
    for reader in ("ann", "bob"):
        answer_all(store, release, draw_study(store, "read"), reader)
    embed(store, release, num_pairs=60)
    with served(Settings(root=store.root, reviewing=Reviewing("ann"))) as found:
        yield found


def test_axe_finds_what_is_wrong(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.goto(PAIRS)
        page.evaluate(_AXE)
        page.evaluate("document.querySelector('#cards img').removeAttribute('alt')")
        names = {line.partition(" ")[0] for line in _findings(page, {})}
    assert "image-alt" in names


def _findings(page: Page, options: dict[str, list[str]]) -> list[str]:
    """Serious and critical findings, one line for each place."""
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in _SERIOUS
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_page_has_no_serious_finding(browser: Browser, address: str, path: str) -> None:
    with visit(browser, address) as page:
        page.goto(path)
        page.evaluate(_AXE)
        assert _findings(page, {}) == []
        page.emulate_media(color_scheme="dark")
        assert _findings(page, _COLOURS) == []
