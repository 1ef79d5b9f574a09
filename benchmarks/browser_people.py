"""What people do in the browser beside looking at pages, on a large release. One JSON line.

    python -m benchmarks.browser_people --rows 200000
    python -m benchmarks.browser_people --rows 1000000

Dashboards, more like this image, decisions and the pages after them, saving a slice: seconds that a
client on loopback waits, the first time and the median of the others.
"""

import argparse
import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

import aiohttp
import numpy as np

from benchmarks.browser import NAME, Row, make, peak_mib, served
from storage.embedding_tables import EmbeddingOrigin, write_embeddings
from storage.layout import DatasetLayout, Table
from storage.objects import open_store
from storage.releases import open_release, open_table

IMAGE_BYTES, NUM_FEATURES, REPEATS, NUM_A_POST = 1000, 64, 20, 48
PAIRS, REVIEW = f"/datasets/{NAME}/1/pairs", f"/review/{NAME}"


def main() -> None:
    """Make the release and its embeddings, serve them for review, measure; write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--root", help="Made there and kept; by default in a scratch folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or scratch
        make(root, options.rows, IMAGE_BYTES)
        embedded = embed(root)
        with served(root, "--review", "--reviewer", "ann") as (address, pid):
            measured = asyncio.run(measure(address))
            measured["server_peak_mib"] = peak_mib(pid)
    line = {"benchmark": "browser_people", **vars(options), "embed_seconds": embedded, **measured}
    line |= {"cpu_count": os.cpu_count(), "load": [round(one, 1) for one in os.getloadavg()]}
    sys.stdout.write(json.dumps(line) + "\n")


def embed(root: str) -> float:
    """Embeddings by chance with their vector index; seconds that it took."""
    store, layout = open_store(root), DatasetLayout(NAME)
    release = open_release(store, layout)
    ids = open_table(store, release, Table.PAIRS).to_table(columns=["sample_id"])["sample_id"]
    vectors_ND = np.random.default_rng(0).normal(size=(len(ids), NUM_FEATURES)).astype(np.float32)
    origin = EmbeddingOrigin(
        release.release_id, release.fingerprint, '{"kind": "handcrafted"}', "1", False, False
    )
    began = time.perf_counter()
    write_embeddings(store, layout, "chance", origin, ids.to_pylist(), vectors_ND)
    return round(time.perf_counter() - began, 1)


async def measure(address: str) -> Row:
    """Each of it in turn."""
    own = {"Origin": address}
    async with aiohttp.ClientSession(address, headers=own) as session:
        began = time.perf_counter()
        await _ask(session, PAIRS)
        figures: Row = {"cold_seconds": round(time.perf_counter() - began, 2)}
        listed = json.loads(await _ask(session, f"/api/datasets/{NAME}/releases/1/pairs?size=500"))
        ids = [card["sample_id"] for card in listed["cards"]]

        async def dashboard(_: int) -> None:
            await _ask(session, f"/datasets/{NAME}/1/dashboard")

        async def similar(at: int) -> None:
            await _ask(session, f"/datasets/{NAME}/1/similar?sample={ids[at]}")

        async def decide(at: int) -> None:
            form = {"release": "1", "table": "pairs", "decision": "keep"}
            marked = [("sample", one) for one in ids[at : at + NUM_A_POST]]
            fields = [*form.items(), ("post", secrets.token_hex(16)), *marked]
            await _post(session, f"{REVIEW}/decisions", fields)

        async def decide_and_look(at: int) -> None:
            await decide(at)
            await _ask(session, f"{PAIRS}?review=kept&view=AP")

        async def save_slice(at: int) -> None:
            query = f"min:technical/contrast=0.{at + 10}&view=AP"
            fields = [("release", "1"), ("name", f"s-{secrets.token_hex(8)}"), ("query", query)]
            await _post(session, f"{REVIEW}/slices", fields)

        async def slices(_: int) -> None:
            await _ask(session, f"{REVIEW}/slices")

        todo = (dashboard, similar, decide, decide_and_look, save_slice, slices)
        for kind in todo:
            figures |= await _timed(kind)
    return figures


async def _timed(kind: Callable[[int], Awaitable[None]]) -> Row:
    seconds = []
    for at in range(REPEATS):
        began = time.perf_counter()
        await kind(at)
        seconds.append(time.perf_counter() - began)
    first, *others = seconds
    return {
        f"{kind.__name__}_first_ms": round(first * 1000, 1),
        f"{kind.__name__}_ms": round(statistics.median(others) * 1000, 1),
    }


async def _ask(session: aiohttp.ClientSession, path: str) -> bytes:
    async with session.get(path) as answer:
        answer.raise_for_status()
        return await answer.read()


async def _post(session: aiohttp.ClientSession, path: str, fields: list[tuple[str, str]]) -> None:
    async with session.post(path, data=fields, headers={"Accept": "application/json"}) as answer:
        if not answer.ok:
            raise RuntimeError(f"expected {path} to take the form, got: {await answer.text()}")


if __name__ == "__main__":
    main()
