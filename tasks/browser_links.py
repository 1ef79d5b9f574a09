"""Links to the browser's pages, for what Prefect's UI shows."""

import os
from collections.abc import Mapping

BROWSER_URL = "CXR_FACTORY_BROWSER_URL"  # where people reach the browser; no links without it


def browser_links(pages: Mapping[str, str]) -> str:
    """Markdown links on one line; empty where no browser is named.

    Args:
        pages: Words to their page's path, as /datasets/demo.
    """
    address = os.environ.get(BROWSER_URL, "").rstrip("/")
    if not address:
        return ""
    return " · ".join(f"[{words}]({address}{path})" for words, path in pages.items())
