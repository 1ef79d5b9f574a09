"""What writing reports through the factory costs in CPU, around a language model elsewhere.

    python -m benchmarks.writer_cost [--reports 20000] [--tagger lexicon|none] [--kill]

A local OpenAI-compatible server, in a process of its own that is not counted, answers after 300 ms
with a report of the items asked for; at most 256 requests are in flight. Counted is the CPU time of
everything else, Prefect's server included: planning, client, tagger, gate, ledger, staging, and
publishing to Lance; not the images, which another stage makes. Prints one JSON line.
Without a tagger every report is refused after its first try, and published as a reject.
With --kill the run is killed (SIGKILL) half-way and done again, and what is counted is how many
reports were asked for twice.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

from models.engines import EngineConfig, EngineInfo, Placement
from storage.records import Entity

ANSWER_SECONDS = 0.3
UNIT_SIZE, UNITS_IN_FLIGHT = 128, 4
MAX_IN_FLIGHT = 256
ENTRY_POINT = "[cxr_factory.taggers]\nnone = benchmarks.writer_cost:NoTaggerConfig\n"
_ITEM = re.compile(r"^- ([^:]+): (\w+)[^,\n]*(?:, severity (\w+))?(?:, place (.+))?$", re.MULTILINE)


class NoTaggerConfig(EngineConfig):
    """Finds nothing, at no cost."""

    placement: ClassVar[Placement] = Placement.IN_PROCESS
    kind: Literal["none"] = "none"

    def revision(self) -> str:
        """It never changes."""
        return "1"

    def open(self) -> "NoTagger":
        """Nothing to load."""
        return NoTagger()


class NoTagger:
    """See its config."""

    info = EngineInfo("none", "1", deterministic=True)

    def tag(self, texts: Sequence[str]) -> list[tuple[Entity, ...]]:
        """Nothing, for every text."""
        return [() for _ in texts]

    def close(self) -> None:
        """Nothing to give back."""


def serve() -> None:
    """Answer chat completions until killed; the first line printed is the port."""
    from aiohttp import web

    seeds: Counter[int] = Counter()

    async def chat(request: web.Request) -> web.Response:
        asked = await request.json()
        seeds[asked["seed"]] += asked["max_tokens"] > 1  # less the first tokens at opening
        await asyncio.sleep(ANSWER_SECONDS)
        content = json.dumps(_report_of(asked["messages"][1]["content"]))
        choice = {"message": {"content": content}, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 300}})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "fake"}]})

    async def sent(_: web.Request) -> web.Response:
        counts = [count for count in seeds.values() if count]
        return web.json_response({"sent": sum(counts), "distinct": len(counts)})

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/v1/sent", sent)
        app.router.add_post("/v1/chat/completions", chat)
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(run())


def _report_of(prompt: str) -> dict[str, str]:
    """A plain sentence per item."""
    sentences = []
    for text, status, severity, place in _ITEM.findall(prompt):
        where = f" in the {place}" if place else ""
        stated = f"{severity} {text}".strip()
        sentences.append(
            {
                "present": f"There is {stated}{where}.",
                "possible": f"Possible {stated}{where}.",
                "absent": f"No {text}{where}.",
            }.get(status, f"The {text} is unremarkable.")
        )
    return {"findings": " ".join(sentences), "impression": sentences[0] if sentences else ""}


def endpoint(address: str) -> dict[str, Any]:
    """The writer of a plan whose language model is the local server."""
    return {"kind": "endpoint", "address": address, "model": "fake", "passes": "structured"}


def write_and_publish(
    writer: dict[str, Any],
    tagger: str,
    num_reports: int,
    root: str,
    unit_size: int = UNIT_SIZE,
    units_in_flight: int = UNITS_IN_FLIGHT,
    max_in_flight: int = MAX_IN_FLIGHT,
) -> dict[str, int]:
    """The plan, write and publish stages of a dataset; gives the rows of its tables."""
    from prefect import flow

    from flows.generate import write_report_shard
    from flows.plans import DatasetPlan
    from flows.shards import inline_subflows
    from flows.work import lock_work
    from storage.layout import Table
    from storage.records import Stage
    from storage.selection import SelectionRules, select
    from tasks.planning import plan_samples
    from tasks.publishing import publish_rows

    plan = DatasetPlan.model_validate(
        {
            "name": "cost",
            "target": {"all": num_reports},
            "unit_size": unit_size,
            "entities": {"kind": "built-in"},
            "sampling": {"clinical_per_report": 3, "anatomy_per_report": 1, "max_uses": 10_000},
            "writer": writer,
            "tagger": {"kind": tagger},
            "report_rules": {"max_tries": 1},
            "painter": {"kind": "phantom"},
            "execution": {
                "shard_units": 10_000,
                "units_in_flight": units_in_flight,
                "max_batch_size": max_in_flight,
            },
        }
    )

    @flow(name="write-dataset")
    def write_dataset() -> dict[str, int]:
        work = lock_work(plan, root)
        with inline_subflows():
            plan_samples(work.dataset, work.lineage(), work.drawing())
            for shard in chain.from_iterable(work.wanted_shards()):
                write_report_shard(shard)
        written = {Stage.WRITE: work.dataset.ledger.settled(Stage.WRITE)}
        selection = select(work.units, written, SelectionRules(target=None))
        for table in (Table.REPORTS, Table.REJECTS):
            publish_rows(work.dataset, table, selection, work.lineage())
        return {
            "accepted": selection.num_accepted,
            "rejected": sum(len(decisions) for decisions in selection.rejects.values()),
        }

    return write_dataset()


def tree_cpu_seconds() -> float:
    """User and system time of this process and of all that descend from it and still run."""
    parents, seconds = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        pid = int(stat.parent.name)
        parents[pid] = int(fields[1])
        seconds[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    tree = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(seconds[pid] for pid in tree)


@contextmanager
def _fake_server() -> Iterator[str]:
    """Outside this process's tree, so that its CPU is not counted."""
    command = [sys.executable, "-m", "benchmarks.writer_cost", "--serve"]
    with tempfile.TemporaryFile("w+") as said:
        outer = subprocess.run(
            ["sh", "-c", '"$@" & echo $!', "sh", *command], stdout=said, text=True, check=True
        )
        assert outer.returncode == 0
        while len(lines := _lines(said)) < 2:
            time.sleep(0.1)
        pid, port = map(int, lines)
        try:
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.kill(pid, 9)


def _lines(file: Any) -> list[str]:
    file.seek(0)
    text: str = file.read()
    return text.splitlines() if text.endswith("\n") else []


def _register(folder: str) -> None:
    """Make the empty tagger known, as an installed package would."""
    info = Path(folder) / "no_tagger-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: no-tagger\nVersion: 1\n")
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    sys.path.insert(0, folder)


@contextmanager
def prefect_server(folder: str) -> Iterator[None]:
    """A Prefect server of its own, with the settings of the command, and the empty tagger."""
    from flows.cli import PREFECT_DEFAULTS

    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    for name, value in PREFECT_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        _register(folder)
        yield


def measure_cost(address: str, tagger: str, num_reports: int) -> dict[str, Any]:
    """CPU and wall time of one dataset."""
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as root,
        prefect_server(folder),
    ):
        write_and_publish(endpoint(address), tagger, 256, f"{root}/first")  # imports, connections
        cpu, wall = tree_cpu_seconds(), time.perf_counter()
        rows = write_and_publish(endpoint(address), tagger, num_reports, f"{root}/counted")
        cpu, wall = tree_cpu_seconds() - cpu, time.perf_counter() - wall
    per_report = round(1000 * cpu / num_reports, 2)
    return {"cpu_ms_per_report": per_report, "wall_seconds": round(wall, 1), **rows}


def measure_kill(address: str, tagger: str, num_reports: int) -> dict[str, Any]:
    """Kill a run when half of its reports were asked for; run it again; count what was doubled."""
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", "benchmarks.writer_cost", "--write", address, root]
        command += ["--reports", str(num_reports), "--tagger", tagger]
        run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        while _sent(address)["sent"] < num_reports // 2:
            assert run.poll() is None, "the run ended before half of its reports were written"
            time.sleep(0.02)
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        again = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    counted = _sent(address)
    rows: dict[str, int] = json.loads(again.stdout)
    return {"sent_again": counted["sent"] - counted["distinct"], **counted, **rows}


def _sent(address: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{address}/sent", timeout=30) as answer:
        counted: dict[str, int] = json.load(answer)
        return counted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=20_000)
    parser.add_argument("--tagger", choices=("none", "lexicon"), default="lexicon")
    parser.add_argument("--kill", action="store_true", help="kill half-way and run again")
    parser.add_argument("--serve", action="store_true", help="only run the server")
    parser.add_argument("--write", nargs=2, metavar=("ADDRESS", "ROOT"), help="only write")
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    if arguments.write:
        address, root = arguments.write
        with tempfile.TemporaryDirectory() as folder, prefect_server(folder):
            rows = write_and_publish(endpoint(address), arguments.tagger, arguments.reports, root)
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    measure = measure_kill if arguments.kill else measure_cost
    with _fake_server() as address:
        measured = measure(address, arguments.tagger, arguments.reports)
    line = {
        "benchmark": "writer_cost",
        "reports": arguments.reports,
        "tagger": arguments.tagger,
        "unit_size": UNIT_SIZE,
        "in_flight_at_most": MAX_IN_FLIGHT,
        "answer_seconds": ANSWER_SECONDS,
        **measured,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
