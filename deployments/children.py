"""A process of the fleet: started with a log of its own, watched, stopped.

Between it and us stands `models.server_guard`, which ends it and all that it started when we end,
however we end.
"""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

RESTART_SECONDS = 5.0  # between starts of one that keeps dying
_SHOWN_CHARACTERS = 300


class Child:
    """One process, by name."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._command = [sys.executable, "-m", "models.server_guard", *command]
        self._environment = dict(environment)
        self._guard: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self) -> None:
        """Start it; what it says is added to its log."""
        self.ask_to_stop()  # of one that died, the end of its pipe
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._guard = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,  # a terminal's Ctrl-C is ours to pass on
            )
        self._started = time.monotonic()

    def exit_status(self) -> int | None:
        """How it ended; None while it runs."""
        assert self._guard is not None, f"{self.name} was not started"
        return self._guard.poll()

    def may_restart(self) -> bool:
        """Whether its last start is long enough ago."""
        return time.monotonic() - self._started >= RESTART_SECONDS

    def ask_to_stop(self) -> None:
        """Have the guard end it; returns at once."""
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()

    def wait(self) -> None:
        """Until it and all that it started are gone; the guard kills what does not stop."""
        if self._guard is not None:
            self._guard.wait()

    def last_words(self) -> str:
        """The last line that it said."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].strip()[:_SHOWN_CHARACTERS] if lines else "it said nothing"
