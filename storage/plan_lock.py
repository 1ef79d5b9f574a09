"""`plan.lock.json`: what a dataset or study is made from, put once.

Another plan needs another name.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from storage.errors import PlanMismatch
from storage.identity import canonical_json, fingerprint
from storage.json_files import parse_json
from storage.layout import PlannedLayout
from storage.objects import ObjectStore

_MAX_NAMED_DIFFERENCES = 6
_MAX_VALUE_CHARS = 60
_ABSENT = object()


def lock_plan(store: ObjectStore, layout: PlannedLayout, content: Mapping[str, Any]) -> str:
    """Pin a plan, or find that it is pinned already; returns its fingerprint.

    Args:
        store: The root.
        layout: Of what the plan makes.
        content: All that affects content, as JSON values; nothing of where it runs.

    Raises:
        PlanMismatch: If it was made by another plan; names what differs.
    """
    plan = json.loads(canonical_json(content))
    lock = {"fingerprint": fingerprint(plan), "plan": plan}
    data = json.dumps(lock, indent=2, sort_keys=True, ensure_ascii=False).encode()
    if not store.put_if_absent(layout.plan_lock, data):
        _refuse_other_plan(layout, read_plan(store, layout), plan)
    return fingerprint(plan)


def read_plan(store: ObjectStore, layout: PlannedLayout) -> dict[str, Any]:
    """The pinned plan; raises ObjectMissing when there is none."""
    lock = parse_json(store.get(layout.plan_lock), store.uri(layout.plan_lock))
    plan: dict[str, Any] = lock["plan"]
    return plan


def _refuse_other_plan(layout: PlannedLayout, was: dict[str, Any], now: dict[str, Any]) -> None:
    found = list(differences(was, now))
    if not found:
        return
    named = "; ".join(found[:_MAX_NAMED_DIFFERENCES])
    more = len(found) - _MAX_NAMED_DIFFERENCES
    rest = f"; and {more} more" if more > 0 else ""
    raise PlanMismatch(
        f"{layout.what} {layout.name!r} was made by another plan: {named}{rest}; "
        f"choose another {layout.what} name, or undo these changes"
    )


def differences(was: Any, now: Any, path: str = "") -> Iterator[str]:
    """Where two JSON values differ, each as `dotted.path: was / is`."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            inner = f"{path}.{key}" if path else key
            yield from differences(was.get(key, _ABSENT), now.get(key, _ABSENT), inner)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for position, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from differences(one, other, f"{path}.{position}")
    elif was != now or type(was) is not type(now):
        yield f"{path}: was {_brief(was)} / is {_brief(now)}"


def _brief(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE_CHARS else text[: _MAX_VALUE_CHARS - 1] + "…"
