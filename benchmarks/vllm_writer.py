"""Reports through the factory against a bare client of the same vLLM server.

    make vllm smollm2
    python -m benchmarks.vllm_writer [--reports 384] [--rounds 2] [--model FOLDER]

One supervised vLLM server serves both; the factory reaches it by the writer `endpoint`, whose
client the writer `vllm` shares. The factory plans, writes, gates (by an empty tagger: every report
is refused after its first try and published as a reject) and publishes reports of a fixed number
of tokens; the bare client then sends the very same requests, as many in flight, and keeps nothing.
In turns, ABAB, after a short round of each that is not counted. Prints one JSON line: the factory's
speed as a share of the bare client's, up to the published table and without the server's start.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import lance

from benchmarks.writer_cost import prefect_server, write_and_publish
from models.chat.engine import server_seed
from models.vllm_server import ServerSettings, VllmServer
from models.writers.language_model.configs import EndpointConfig
from models.writers.language_model.parsing import REPORT_SCHEMA
from models.writers.language_model.prompting import load_prompts
from storage.layout import DatasetLayout, Table

UNIT_SIZE, UNITS_IN_FLIGHT = 16, 8  # docs/plans.md: some times as many as are in flight
MAX_IN_FLIGHT = 32
WARM_UP_REPORTS = 32
# Or whoever sends the same prompts second would find them read already.
WITHOUT_CACHE = ("--no-enable-prefix-caching",)
MODEL = Path(".venv-vllm/SmolLM2-135M-Instruct")


def writer_of(address: str) -> EndpointConfig:
    """One pass, and at most 64 tokens, which a small model always uses up."""
    return EndpointConfig(
        address=address,
        model="small",
        passes="structured",
        max_findings_tokens=48,
        max_impression_tokens=16,
    )


def through_factory(config: EndpointConfig, num_reports: int, root: str) -> float:
    """Seconds of planning, writing and publishing."""
    writer = config.model_dump(mode="json", exclude_unset=True) | {"kind": config.kind}
    start = time.perf_counter()
    rows = write_and_publish(
        writer, "none", num_reports, root, UNIT_SIZE, UNITS_IN_FLIGHT, MAX_IN_FLIGHT
    )
    seconds = time.perf_counter() - start
    assert rows == {"accepted": 0, "rejected": num_reports}, rows
    return seconds


def requests_of(config: EndpointConfig, root: str) -> list[dict[str, Any]]:
    """The bodies the factory sent, from the prompts and seeds it published."""
    table = lance.dataset(str(Path(root) / DatasetLayout("cost").table(Table.REJECTS)))
    system = load_prompts(config.prompt).structured.system
    schema = {"name": "answer", "strict": True, "schema": REPORT_SCHEMA}
    return [
        {
            "model": config.model,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": written["prompt"]},
            ],
            "seed": server_seed(written["seed"]),
            "temperature": config.temperature,
            "top_p": config.top_p,
            "max_tokens": config.max_findings_tokens + config.max_impression_tokens,
            "response_format": {"type": "json_schema", "json_schema": schema},
        }
        for written in table.to_table(columns=["written"])["written"].to_pylist()
    ]


async def send_all(address: str, bodies: list[dict[str, Any]]) -> list[int]:
    """Tokens of each answer."""
    free = asyncio.Semaphore(MAX_IN_FLIGHT)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def send(body: dict[str, Any]) -> int:
            async with free, session.post(f"{address}/chat/completions", json=body) as answer:
                assert answer.status == HTTPStatus.OK, await answer.text()
                return int((await answer.json())["usage"]["completion_tokens"])

        return await asyncio.gather(*map(send, bodies))


def measure(address: str, num_reports: int, num_rounds: int) -> dict[str, Any]:
    """Both, in turns."""
    config = writer_of(address)
    factory, bare, tokens = [], [], 0
    with tempfile.TemporaryDirectory() as folder, prefect_server(folder):
        for number in range(num_rounds + 1):
            root = f"{folder}/root{number}"
            count = num_reports if number else WARM_UP_REPORTS
            factory.append(through_factory(config, count, root))
            bodies = requests_of(config, root)
            start = time.perf_counter()
            tokens = sum(asyncio.run(send_all(address, bodies)))
            bare.append(time.perf_counter() - start)
    return {
        "in_flight": MAX_IN_FLIGHT,
        "tokens_a_report": round(tokens / num_reports, 1),
        "factory_seconds": [round(seconds, 1) for seconds in factory[1:]],
        "bare_seconds": [round(seconds, 1) for seconds in bare[1:]],
        "share_of_bare_speed": round(sum(bare[1:]) / sum(factory[1:]), 3),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", type=Path, default=MODEL)
    arguments = parser.parse_args()
    settings = ServerSettings(arguments.model, "small", "auto", 2048, None, WITHOUT_CACHE)
    server = VllmServer(settings)
    try:
        measured = measure(server.address(), arguments.reports, arguments.rounds)
    finally:
        server.close()
    line = {
        "benchmark": "vllm_writer",
        "model": arguments.model.name,
        "reports": arguments.reports,
        **measured,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
    }
    sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
