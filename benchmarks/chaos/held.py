"""How long slots of pools were held by the dead: by runs at work whose process is not there."""

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from benchmarks.chaos.runs import Run


@dataclass
class HeldSlots:
    """A clock for every run that the server takes to be at work and that has no process.

    Attributes:
        longest_seconds: Of all such times; those of runs that are just starting are in it.
        longest_name: Whose that was.
    """

    longest_seconds: float = 0.0
    longest_name: str = ""
    _since: dict[str, float] = field(default_factory=dict)

    def look(self, at_work: Collection[Run], with_process: Collection[str]) -> None:
        """Go on with the clocks.

        Args:
            at_work: Runs that hold a slot, as the server says.
            with_process: Ids of the runs that have a live process.
        """
        now = time.monotonic()
        held = {run.id: run for run in at_work if run.id not in with_process}
        for ended in self._since.keys() - held.keys():
            del self._since[ended]
        for run_id, run in held.items():
            seconds = now - self._since.setdefault(run_id, now)
            if seconds > self.longest_seconds:
                self.longest_seconds, self.longest_name = seconds, f"{run.name} ({run.state})"

    @property
    def is_free(self) -> bool:
        """Whether no slot is held by the dead now."""
        return not self._since
