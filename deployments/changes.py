"""What setting up a server found and did, one line a thing."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one thing on the server."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """One pool, queue, variable, deployment or automation."""

    thing: str
    outcome: Outcome


def changes_text(changes: Sequence[Change]) -> str:
    """What was created or updated; one line when nothing was."""
    done = [change for change in changes if change.outcome is not Outcome.UNCHANGED]
    if not done:
        return f"nothing to change: {len(changes)} pools, deployments and automations are there"
    lines = [f"{change.outcome:<8} {change.thing}" for change in done]
    num_found = len(changes) - len(done)
    return "\n".join([*lines, *([f"{num_found} were there already"] if num_found else [])])
