"""Pictures of the main pages for the documentation.

    python -m tests.browser.screenshots --root ./factory

Opens the demo's release in Chromium and writes docs/images/browser_*.png. Nothing is written to
the root: samples are ticked, and nothing is decided.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Page

from browser.settings import Reviewing, Settings
from tests.browser.chromium import chromium, visit
from tests.browser.released import served

FOLDER = Path(__file__).parents[2] / "docs" / "images"
NUM_COLOURS = 256  # grey pictures and few colours beside them: a third of the bytes of all colours
LAPTOP, SHEET, PHONE = (1280, 860), (1280, 1000), (390, 844)  # px


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        path: Behind the address of the release.
        act: What a person does there first.
        reviewer: Who reviews; empty for a browser that only reads.
    """

    name: str
    path: str
    act: Callable[[Page], None] = lambda page: None
    size: tuple[int, int] = LAPTOP
    scheme: Literal["light", "dark"] = "light"
    reviewer: str = ""


def open_first(page: Page) -> None:
    """Open the first sample, with a mask over it where it has one."""
    page.locator("#cards .card a").first.click()
    page.get_by_role("heading", name="Report").wait_for()
    masks = page.locator(".mask-toggle")
    if masks.count():
        masks.first.check()


def tick_three(page: Page) -> None:
    """Tick three samples of the grid."""
    for at in (1, 2, 4):
        page.locator(".card .pick input").nth(at).check()


FILTERED = "/pairs?finding=Effusion&view=PA"
SHOTS = (
    Shot("datasets", ""),
    Shot("grid", FILTERED),
    Shot("sample", FILTERED, open_first, SHEET),
    Shot("sample_dark", FILTERED, open_first, SHEET, "dark"),
    Shot("grid_dark", "/pairs", scheme="dark"),
    Shot("grid_phone", FILTERED, size=PHONE),
    Shot("sample_phone_dark", FILTERED, open_first, PHONE, "dark"),
    Shot("review", FILTERED, tick_three, reviewer="Dr. Ann"),
)


def main() -> None:
    """Take every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="./factory")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--release", type=int, default=1)
    options = parser.parse_args()
    release = f"/datasets/{options.dataset}/{options.release}"
    for shot in SHOTS:
        reviewing = Reviewing(shot.reviewer) if shot.reviewer else None
        data = take(Settings(root=options.root, reviewing=reviewing), release, shot)
        target = FOLDER / f"browser_{shot.name}.png"
        target.write_bytes(data)


def take(settings: Settings, release: str, shot: Shot) -> bytes:
    """One picture as a PNG of few colours."""
    width, height = shot.size
    view = {"width": width, "height": height}
    with (
        served(settings) as address,
        chromium() as browser,
        visit(browser, address, viewport=view, color_scheme=shot.scheme) as page,
    ):
        page.goto(release + shot.path if shot.path else "/")
        shot.act(page)
        page.wait_for_load_state("networkidle")
        with Image.open(BytesIO(page.screenshot())) as image:
            few = image.convert("RGB").quantize(NUM_COLOURS, dither=Image.Dither.NONE)
    target = BytesIO()
    few.save(target, "PNG", optimize=True)
    return target.getvalue()


if __name__ == "__main__":
    main()
