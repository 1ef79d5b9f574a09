"""The report as a person opens it: a file in Chromium, in the light, the dark, on a phone."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from models.studies.report import write_report
from models.studies.results import JudgedFigure
from tests.browser.chromium import chromium
from tests.models.studies.made_studies import study
from tests.models.studies.test_figure_means import METRIC, TASK, made

_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
_LIGHT: dict[str, Any] = {"viewport": {"width": 1200, "height": 900}}
_LOOKS = {
    "light": _LIGHT,
    "dark": _LIGHT | {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}},
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    arms = {"real": 1.0, "synthetic": 0.2, "mixed_with_a_name_that_is_long": 0.9, "cleaned": 1.0}
    drawn = made(arms, (0, 1, 2), luck=0.01)
    results = replace(study(arms), figures=drawn.figures, judged=(JudgedFigure(TASK, METRIC),))
    for name, content in write_report(results).items():
        (folder / name).write_bytes(content)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


def _opened(page: Page, report: Path) -> list[str]:
    """Open it, without scripts of its own; what it asked for besides itself."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    return [url for url in asked if url != report.as_uri()]


@pytest.mark.parametrize("look", _LOOKS)
def test_report_fits_the_screen_asks_for_nothing_and_hinders_nobody(
    browser: Browser, report: Path, look: str
) -> None:
    with browser.new_context(**_LOOKS[look]) as context:
        page = context.new_page()
        assert _opened(page, report) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate(_AXE)
        found = page.evaluate("axe.run(document)")
    assert [
        (one["id"], node["target"])
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ] == []


def test_printed_report_cuts_no_table_or_plot(browser: Browser, report: Path) -> None:
    with browser.new_context(viewport={"width": 720, "height": 1000}) as context:
        page = context.new_page()
        _opened(page, report)
        page.emulate_media(media="print", color_scheme="dark")
        wide = (
            "[...document.querySelectorAll('table, svg')].map(e => e.getBoundingClientRect().right)"
        )
        assert max(page.evaluate(wide)) <= 720
        assert (
            page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        )
