"""What Prefect's UI shows of a dataset leads to its samples, where a browser is named."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from storage.layout import Table
from storage.records import RejectionReason
from storage.releases import Release
from storage.selection import SelectionRules, select
from storage.units import partition
from tasks.artifacts import show_acceptance, show_release
from tasks.browser_links import BROWSER_URL, browser_links

RELEASE = Release(
    number=3,
    dataset="tiny",
    fingerprint="f" * 64,
    versions={Table.PAIRS: 1},
    num_accepted=24,
    target=24,
    complete=True,
    restricted=False,
    created_at="2026-01-01T00:00:00+00:00",
)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be sent to Prefect."""
    found: list[dict[str, Any]] = []
    for kind in ("markdown", "table"):
        monkeypatch.setattr(
            f"tasks.artifacts.create_{kind}_artifact", lambda **it: found.append(it)
        )
    return found


def test_artifacts_link_to_the_samples(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BROWSER_URL, "http://browser.example:4300/")
    show_release("/root", RELEASE)
    show_acceptance("tiny", select(partition(None, 8, 4), {}, SelectionRules(target=None)))
    release, acceptance = shown
    for page in ("pairs", "rejects", "dashboard"):
        assert (
            f"[{page}](http://browser.example:4300/datasets/tiny/3/{page})" in release["markdown"]
        )
    link = "[See its samples](http://browser.example:4300/datasets/tiny)"
    assert acceptance["description"].endswith(f"units missing. {link}")


def test_acceptance_links_each_reason_to_its_rejects(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BROWSER_URL, "http://browser.example:4300/")
    refused = {RejectionReason.MISSING_ENTITY: 2, RejectionReason.CONSTANT: 3}
    nothing = select(partition(None, 8, 4), {}, SelectionRules(target=None))
    show_acceptance("tiny", replace(nothing, rejected=refused))
    rejects = "http://browser.example:4300/datasets/tiny/newest/rejects?reason="
    links = " · ".join(
        f"[{reason}]({rejects}{quote(reason)})" for reason in sorted(map(str, refused))
    )
    assert shown[0]["description"].endswith(f"Refused: {links}")


def test_artifacts_link_nowhere_without_a_browser(
    shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(BROWSER_URL, raising=False)
    show_release("/root", RELEASE)
    show_acceptance("tiny", select(partition(None, 8, 4), {}, SelectionRules(target=None)))
    assert browser_links({"pairs": "/datasets/tiny"}) == ""
    assert "](" not in shown[0]["markdown"]
    assert shown[1]["description"] == "Acceptance of tiny: 0 units missing."
