"""The whole run in a folder: the fleet, what an undisturbed run gives, the kills, the checks."""

import os
import platform
import random
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from benchmarks.chaos.chaos import Chaos, say
from benchmarks.chaos.checks import Identities, identities
from benchmarks.chaos.fleet import Fleet, shared_state
from benchmarks.chaos.kills import Schedule
from benchmarks.chaos.made import Made, datasets, variant_plan
from flows.generate import generate_dataset
from tests.deployments.databases import postgres, redis
from tests.models.painters.diffusion.tiny_pipeline import save_tiny_pipeline


def chaos(
    folder: Path,
    s3_root: str,
    python_path: str,
    *,
    num_kills: int,
    num_datasets: int,
    seed: int,
    deadline_seconds: float,
) -> dict[str, object]:
    """Make datasets under kills; what the JSON line says.

    Args:
        folder: Empty; holds the fleet's state, its logs, and the root of half of the datasets.
        s3_root: Root of the other half; the usual variables say where it is.
        python_path: What a process is told to know the painters.
        num_kills: Of all kinds in turn.
        num_datasets: Even; made at the same time, as far as there is room.
        seed: Of what is killed, and when.
        deadline_seconds: After which what is not released has failed.
    """
    began = time.monotonic()
    root = str(folder / "factory")
    checkpoint = save_tiny_pipeline(folder / "checkpoint")
    made = datasets(num_datasets, root, s3_root, checkpoint)
    chance = random.Random(seed)
    with ExitStack() as started:
        databases = (started.enter_context(postgres()), started.enter_context(redis(folder)))
        fleet = Fleet(folder, root, python_path, shared_state(*databases))
        started.enter_context(fleet.running())
        say(f"fleet at {fleet.url}")
        undisturbed = _undisturbed(fleet, {one.variant for one in made}, str(folder / "inline"))
        say("undisturbed runs are made")
        run = Chaos(fleet, made, Schedule(num_kills, chance), chance, deadline_seconds)
        run.run()
        say("all is released; checking")
        run.check(undisturbed)
    return {
        "benchmark": "chaos",
        "kills": len(run.kills),
        "seed": seed,
        "datasets": len(made),
        "on_s3": sum(one.root.startswith("s3://") for one in made),
        "by_painter": dict(Counter(one.plan.painter.kind for one in made)),
        "released": sum(one.released for one in made),
        "by_kind": run.by_kind(),
        "longest_held_by_the_dead_seconds": round(run.slots.longest_seconds, 1),
        "held_by": run.slots.longest_name,
        "gone_on_with_by_automation": run.operator.num_automatic,
        "begun_again_by_hand": run.operator.num_by_hand,
        "commands_run_again": run.commands.num_again,
        "failures": run.found,
        "seconds": round(time.monotonic() - began, 1),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }


def _undisturbed(fleet: Fleet, variants: set[int | None], root: str) -> dict[int, Identities]:
    """What each deterministic plan gives, made in this process while nothing is killed."""
    found = {}
    with temporary_settings({PREFECT_API_URL: fleet.url}):
        for variant in sorted(one for one in variants if one is not None):
            plan = variant_plan(variant, f"undisturbed-{variant}")
            inline = plan.execution.model_copy(update={"dispatch": "inline"})
            generate_dataset(plan.model_copy(update={"execution": inline}), root)
            found[variant] = identities(Made(plan, root, variant, by_command=False))
    return found
