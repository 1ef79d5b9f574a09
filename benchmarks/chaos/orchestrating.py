"""Who sees every dataset to its release: the operator's part, where the fleet's own does not do."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.chaos.fleet import Fleet
from benchmarks.chaos.made import Made

AUTOMATION_SECONDS = 90.0  # from a crash of generate-dataset to the run that goes on with it
_IN_USE = "is in use by process"


@dataclass
class Commands:
    """Datasets that commands make, one at a time; a command that ended early is run again.

    Attributes:
        num_again: Commands run again.
        num_refused: Of those, ones that found the dataset's lock held, after all had ended.
    """

    fleet: Fleet
    waiting: list[Made]
    num_again: int = 0
    num_refused: int = 0
    said: list[str] = field(default_factory=list)
    _running: "subprocess.Popen[bytes] | None" = None

    def look(self) -> None:
        """Begin the next, or the same again."""
        if self._running is not None and self._running.poll() is None:
            return
        if self._running is not None:
            self._ended(self._running.returncode)
        if self.waiting:
            self._begin(self.waiting[0])

    def stop(self) -> None:
        """End the one that runs."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()

    def _begin(self, made: Made) -> None:
        plan = self.fleet.folder / f"{made.name}.yaml"
        plan.write_text(yaml.safe_dump(made.plan.model_dump(mode="json")))
        words = ["generate", str(plan), "--root", made.root, "--dispatch", "inline", "--json"]
        self._running = self.fleet.command(words, self._log(made))

    def _ended(self, status: int) -> None:
        made = self.waiting[0]
        self._running = None
        if status == 0:
            self.waiting.pop(0)
            return
        self.num_again += 1
        said = self._log(made).read_text(errors="replace")
        self.num_refused += _IN_USE in said
        if status > 0:
            self.said.append(f"{made.name}: {' '.join(said.split())[-300:]}")

    def _log(self, made: Made) -> Path:
        return self.fleet.folder / f"{made.name}.log"


@dataclass
class Operator:
    """Begins datasets in the pools, and those again that nothing works on any more.

    Attributes:
        num_automatic: Runs of resume-dataset that the automation began.
        num_by_hand: Datasets that were begun again, because what went on with them died too.
        missed: Crashes of generate-dataset that nothing went on after.
    """

    fleet: Fleet
    num_automatic: int = 0
    num_by_hand: int = 0
    missed: list[str] = field(default_factory=list)
    _idle_since: dict[str, float] = field(default_factory=dict)

    def look(self, datasets: Sequence[Made]) -> None:
        """Begin what has no run, and again what none goes on with, after the automation's time.

        Raises:
            httpx.HTTPError: While the server is away or busy; the next look does the rest.
        """
        runs = self.fleet.runs.orchestrators()
        self.num_automatic = sum(run.name.startswith("resume") for run in runs)
        for made in datasets:
            of_it = [run for run in runs if run.dataset == made.name]
            if not of_it:
                self._begin(made)
                continue
            if made.released or not all(run.has_ended for run in of_it):
                self._idle_since.pop(made.name, None)
                continue
            idle = time.monotonic() - self._idle_since.setdefault(made.name, time.monotonic())
            last = of_it[-1]
            is_automatic = last.name.startswith("generate") and last.state == "CRASHED"
            if is_automatic and idle < AUTOMATION_SECONDS:
                continue
            if is_automatic:
                self.missed.append(f"{made.name}: nothing went on after the crash of {last.name!r}")
            self._begin(made)
            self.num_by_hand += 1
            self._idle_since.pop(made.name)

    def _begin(self, made: Made) -> None:
        """As the form in the UI does."""
        parameters = {"plan": made.plan.model_dump(mode="json"), "root": made.root}
        self.fleet.runs.begin(parameters)
