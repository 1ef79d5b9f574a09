"""Pictures of the main pages for the documentation.

    python -m tests.browser.screenshots --root ./factory

Opens the demo's release in Chromium and writes docs/images/browser_*.png. Nothing is written to
the root: what people add (embeddings, decisions, a blind study) is added to a copy of it.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page

from browser.settings import Reviewing, Settings
from tests.browser.chromium import chromium, visit
from tests.browser.released import served
from tests.browser.screenshot_root import ANN, BOB, STUDY, copy_with_people

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images"
NUM_COLOURS = 256  # grey pictures and few colours beside them: a third of the bytes of all colours
LAPTOP, SHEET, STRIP, PHONE = (1280, 860), (1280, 1000), (1280, 440), (390, 844)  # px


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        path: Of the page; RELEASE and DATASET stand for what is looked at.
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


def more_like_first(page: Page) -> None:
    """Search by the first sample's image."""
    open_first(page)
    page.get_by_role("link", name="More like this image").click()
    page.get_by_role("heading", name="Search by example").wait_for()


def tick_three(page: Page) -> None:
    """Tick three samples of the grid."""
    for at in (1, 2, 4):
        page.locator(".card .pick input").nth(at).check()


FILTERED = "/datasets/RELEASE/pairs?finding=Effusion&view=PA"
SEARCHED = "/datasets/RELEASE/pairs?q=%22pleural+effusion%22+left&sort=-technical/contrast"
STUDIES = f"/review/DATASET/studies/{STUDY}"
SHOTS = (
    Shot("datasets", "/", size=STRIP),
    Shot("grid", FILTERED),
    Shot("search", SEARCHED),
    Shot("sample", FILTERED, open_first, SHEET),
    Shot("sample_dark", FILTERED, open_first, SHEET, "dark"),
    Shot("grid_dark", "/datasets/RELEASE/pairs", scheme="dark"),
    Shot("grid_phone", FILTERED, size=PHONE),
    Shot("sample_phone_dark", FILTERED, open_first, PHONE, "dark"),
    Shot("similar", FILTERED, more_like_first),
    Shot("dashboard", "/datasets/RELEASE/dashboard", size=SHEET),
    Shot("review", FILTERED, tick_three, reviewer=ANN),
    Shot("agreement", "/review/DATASET/agreement", size=(1280, 780), reviewer=ANN),
    Shot("blind", STUDIES, reviewer=ANN),
    Shot("blind_results", f"{STUDIES}/results", size=STRIP, reviewer=BOB),
)


_PLAIN_ROOT = """root => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode()); ) text.data = text.data.replaceAll(root, "./factory");
}"""  # where the copy happens to lie is nobody's business


def main() -> None:
    """Take every picture, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("factory"))
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--release", type=int, default=1)
    parser.add_argument(
        "--scans",
        type=Path,
        default=Path(os.environ.get("CXR_SHARED_DATA", "../shared/data"), "nih"),
        help="Real images as the NIH published them.",
    )
    parser.add_argument("--only", nargs="*", default=[one.name for one in SHOTS])
    options = parser.parse_args()
    names = {"RELEASE": f"{options.dataset}/{options.release}", "DATASET": options.dataset}
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        root = copy_with_people(options.root, Path(scratch), options.dataset, options.scans)
        for shot in (one for one in SHOTS if one.name in options.only):
            data = take(browser, root, shot, names)
            (FOLDER / f"browser_{shot.name}.png").write_bytes(data)


def take(browser: Browser, root: str, shot: Shot, names: dict[str, str]) -> bytes:
    """One picture as a PNG of few colours."""
    width, height = shot.size
    view = {"width": width, "height": height}
    path = shot.path
    for word, name in names.items():
        path = path.replace(word, name)
    reviewing = Reviewing(shot.reviewer) if shot.reviewer else None
    with (
        served(Settings(root=root, reviewing=reviewing)) as address,
        visit(browser, address, viewport=view, color_scheme=shot.scheme) as page,
    ):
        page.goto(path)
        shot.act(page)
        page.wait_for_load_state("networkidle")
        page.evaluate(_PLAIN_ROOT, root)
        with Image.open(BytesIO(page.screenshot())) as image:
            few = image.convert("RGB").quantize(NUM_COLOURS, dither=Image.Dither.NONE)
    target = BytesIO()
    few.save(target, "PNG", optimize=True)
    return target.getvalue()


if __name__ == "__main__":
    main()
