"""Debian's Chromium on the served application."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
    sync_playwright,
)

WAIT_MS = 20_000  # at most; a machine that does much else is slow
_MISSING = "Failed to load resource"  # what Chromium says of a page whose status is no success


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium, without a window."""
    command = shutil.which("chromium")
    if command is None:
        pytest.skip("no browser: the command chromium is absent; apt-get install chromium")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=command)
        try:
            yield browser
        finally:
            browser.close()


@dataclass  # without slots: Playwright remembers its listeners in an attribute
class _Watch:
    """What went wrong on a page beyond what a person sees."""

    address: str
    opened: set[str] = field(default_factory=set)
    said: list[tuple[str, str]] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append((message.text, message.location["url"]))

    def failed(self, error: Error) -> None:
        self.said.append((error.message, ""))

    def asked(self, request: Request) -> None:
        if request.is_navigation_request():
            self.opened.add(request.url)
        if urlsplit(request.url).scheme != "data" and not request.url.startswith(self.address):
            self.said.append(("asked elsewhere", request.url))

    def wrong(self) -> list[tuple[str, str]]:
        """All of it, but not that a page itself was opened and is none."""
        return [
            (text, url)
            for text, url in self.said
            if not (text.startswith(_MISSING) and url in self.opened)
        ]


@contextmanager
def visit(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A new visitor's page.

    Args:
        browser: Which.
        address: Of the application.
        options: Of Playwright's context: viewport, colours, scripts.

    Raises:
        AssertionError: If a script failed, the pages' own policy refused something, a picture was
            missing, or anything was asked of another address.
    """
    with browser.new_context(base_url=address, **options) as context:
        context.set_default_timeout(WAIT_MS)
        page, watch = context.new_page(), _Watch(address)
        page.on("console", watch.heard)
        page.on("pageerror", watch.failed)
        page.on("request", watch.asked)
        yield page
        assert watch.wrong() == []
