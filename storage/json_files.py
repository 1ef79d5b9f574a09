"""JSON objects in the store: read with a clear error, never a half-parsed dict."""

import json
from typing import Any

from storage.errors import DamagedObject


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object in `data`; raises DamagedObject naming `where` when it is none."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise DamagedObject(f"{where}: expected a JSON object, got {data[:40]!r}") from error
    if not isinstance(value, dict):
        raise DamagedObject(f"{where}: expected a JSON object, got {value!r:.40}")
    return value
