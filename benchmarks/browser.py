"""The browser on releases of 200,000 and 1,000,000 pairs. One JSON line each.

    python -m benchmarks.browser --rows 200000 --image-bytes 20000
    python -m benchmarks.browser --rows 1000000 --image-bytes 1000

The release is made through the publisher's own schema; images are random bytes (they are read one
at a time, so their size tells only in the time of an image), reports are drawn from 4,096. The
server is a process of its own; times are what a client on loopback waits for.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import lance
import numpy as np
import pyarrow as pa

from models.vocabulary.concepts import load_vocabulary
from storage.layout import DatasetLayout, Table
from storage.objects import ObjectStore, open_store
from storage.publisher import publish
from storage.records import Entity, EntityKind, EntityStatus, GateScore, Provenance
from storage.releases import create_release
from storage.rows import to_table
from storage.schemas import encode_rows
from storage.table_schemas import Lineage, table_schema
from storage.tables import PublishedTable
from storage.text_index import index_texts

Row = dict[str, Any]
NAME, UNIT, BLOCK, NUM_TEMPLATES, REPEATS = "many", 32, 8192, 4096, 50
THUMBNAIL_BYTES, REJECT_SHARE = 4000, 0.05
PEOPLE, THINK_SECONDS, CROWD_SECONDS = 32, 1.0, 30.0


def main() -> None:
    """Make the release, serve it, measure; write one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--image-bytes", type=int, default=20_000)
    parser.add_argument("--root", help="Made there and kept; by default in a scratch folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.root or scratch
        made = make(root, options.rows, options.image_bytes)
        with served(root) as (address, pid):
            measured = asyncio.run(measure(address, pid))
            measured["server_peak_mib"] = peak_mib(pid)
    line = {"benchmark": "browser", **vars(options), **made, **measured}
    line |= {"cpu_count": os.cpu_count(), "load": [round(one, 1) for one in os.getloadavg()]}
    sys.stdout.write(json.dumps(line) + "\n")


def make(root: str, num_rows: int, image_bytes: int) -> Row:
    """A release of so many pairs, unless the root has it; what its word index cost."""
    store, layout = open_store(root), DatasetLayout(NAME)
    if next(store.list(layout.releases_folder), None):
        return {}
    lineage, rng = Lineage(NAME, "f" * 64, restricted=False), np.random.default_rng(0)
    templates = [template(random.Random(seed)) for seed in range(NUM_TEMPLATES)]
    num_rejects = int(num_rows * REJECT_SHARE)
    for table in (Table.SAMPLES, Table.REPORTS):
        PublishedTable(store, layout.table(table), table_schema(table, lineage)).create_if_absent()
    for table, count, images in (
        (Table.REJECTS, num_rejects, 1),
        (Table.PAIRS, num_rows, image_bytes),
    ):
        schema = table_schema(table, lineage)
        published = PublishedTable(store, layout.table(table), schema)
        stored = to_table([row | _blobs(rng) for row in templates], _plain(schema))
        blocks = range(-(-count // BLOCK))
        publish(published, blocks, block_maker(schema, stored, count, images, rng))
    began = time.perf_counter()
    index_texts(PublishedTable(store, layout.table(Table.PAIRS), schema))
    seconds = time.perf_counter() - began
    index_texts(PublishedTable(store, layout.table(Table.REJECTS), schema))
    create_release(store, layout, lineage, target=num_rows, complete=True)
    return {"word_index_seconds": round(seconds, 2), "word_index_mib": _index_mib(store, layout)}


def template(rng: random.Random) -> Row:
    """The columns of one sample that many rows share."""
    found, sentences = [], []
    for concept in rng.sample(load_vocabulary().clinical(), 6):
        absent = rng.random() < 0.4
        kind = concept.kind.negated if absent else concept.kind
        status = EntityStatus.ABSENT if absent else EntityStatus.PRESENT
        place = rng.choice(concept.anatomies) if concept.anatomies and not absent else None
        found.append(Entity(concept.text, kind, status, place))
        where = f" in the {place}" if place else ""
        sentences.append(f"{'No' if absent else 'There is'} {concept.text}{where}.")
        if place:
            found.append(Entity(place, EntityKind.ANATOMY, EntityStatus.PRESENT))
    gates = {"contrast": 12.0, "border_fraction": 0.46, "saturated_fraction": 0.6}
    scores = [GateScore("technical", name, rng.random(), at, True) for name, at in gates.items()]
    scores += [GateScore("report", f"measure_{at}", rng.random(), 0.0, True) for at in range(6)]
    provenance = encode_rows([_provenance(" ".join(sentences))], Provenance)[0]
    return {
        "split": rng.choice(["train", "train", "test"]),
        "entities_requested": encode_rows(found[:4], Entity),
        "view": rng.choice(["PA", "AP"]),
        "sex": rng.choice(["F", "M"]),
        "age_years": rng.randrange(18, 95),
        "findings": " ".join(sentences),
        "impression": " ".join(sentences[:2]),
        "entities_found": encode_rows(found, Entity),
        "tries": rng.choice([2, 2, 2, 3, 4]),
        "scores": encode_rows(scores, GateScore),
        "written": provenance,
        "painted": provenance,
        "sha256": "0" * 64,
        "width_px": 512,
        "height_px": 512,
        "signature": "0" * 64,
        "masks": [],
        "judged": None,
        "answers": [],
        "stage": "paint",
        "outcome": "rejected",
        "reason": rng.choice(["constant", "border", "text mismatch"]),
        "source_corpus": None,
        "source_report_id": None,
        "source_patient_id": None,
        "sample_id": "",
        "index": 0,
        "unit": 0,
    }


def block_maker(
    schema: pa.Schema, stored: pa.Table, count: int, image_bytes: int, rng: np.random.Generator
) -> Callable[[int], pa.Table]:
    """Rows of a block: drawn from the templates, with an index, a unit, an id and an image each."""
    noise = rng.bytes(1 << 24)

    def rows_of(block: int) -> pa.Table:
        index = np.arange(block * BLOCK, min(count, (block + 1) * BLOCK))
        own = np.random.default_rng(block)
        rows = stored.take(pa.array(own.integers(0, NUM_TEMPLATES, len(index))))
        starts = own.integers(0, len(noise) - image_bytes, len(index)).tolist()
        made = {
            "index": pa.array(index),
            "unit": pa.array(index // UNIT),
            "sample_id": pa.array([own.bytes(16).hex() for _ in index]),
            "image": _images([noise[at : at + image_bytes] for at in starts], schema),
        }
        columns = [made[name] if name in made else rows[name] for name in schema.names]
        return pa.Table.from_arrays(columns, schema=schema)

    return rows_of


@contextmanager
def served(root: str, *options: str) -> Iterator[tuple[str, int]]:
    """The browser as a process of its own, ready to answer; options as `browse` takes them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "cxr-factory"), "browse"]
    server = subprocess.Popen(
        [*command, "--root", root, "--port", str(port), *options], stdout=subprocess.DEVNULL
    )
    try:
        while server.poll() is None:
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait()


async def measure(address: str, pid: int) -> Row:
    """Each kind of page 50 times one after another, then 32 people at once."""
    pages = f"{address}/datasets/{NAME}/1/pairs"
    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()
        await _get(session, pages)
        figures: Row = {"cold_seconds": round(time.perf_counter() - began, 2)}
        listed = await _json(session, f"{address}/api/datasets/{NAME}/releases/1/pairs?size=500")
        counts = await _json(session, f"{address}/api/datasets/{NAME}/releases/1/pairs/counts")
        asked = _asked(pages, listed, counts)
        for kind, addresses in asked.items():
            before = cpu_seconds(pid)
            seconds = [await _get(session, one) for one in addresses]
            cpu = (cpu_seconds(pid) - before) / len(addresses)
            figures[f"{kind}_cpu_ms"] = round(cpu * 1000, 1)
            figures[f"{kind}_ms"] = round(statistics.median(seconds) * 1000, 1)
            figures[f"{kind}_worst_ms"] = round(max(seconds) * 1000, 1)
    before, began = cpu_seconds(pid), time.perf_counter()
    crowd = await _crowd(Walks(pages, asked, counts["num_rows"]))
    busy = (cpu_seconds(pid) - before) / (time.perf_counter() - began)
    return figures | crowd | {"people_cores": round(busy, 2)}


def _asked(pages: str, listed: Row, counts: Row) -> dict[str, list[str]]:
    """Addresses of each kind, none of them asked twice where an answer could be remembered."""
    cards = listed["cards"]
    facets = {one["name"]: [count["value"] for count in one["counts"]] for one in counts["facets"]}
    words = sorted({word for card in cards for word in card["line"].lower().strip(".").split()})
    places, entities = random.Random(1), facets["entity"][:REPEATS]
    phrases = [f'"no {value.partition(":")[2]}"' for value in entities]
    return {
        "first_page": [pages] * REPEATS,
        "facet": [f"{pages}?entity={quote(one)}&view=AP" for one in entities],
        "slider": [f"{pages}?min:technical/contrast=0.{at:02}" for at in range(1, REPEATS + 1)],
        "search": [f"{pages}?q={quote(one)}" for one in words[:REPEATS]],
        "phrase": [f"{pages}?q={quote(one)}" for one in phrases],
        "next_page": [
            f"{pages}?after={at}" for at in places.sample(range(counts["num_rows"]), REPEATS)
        ],
        "sample": [f"{pages}/{card['sample_id']}" for card in cards[:REPEATS]],
    }


class Walks:
    """What people look at: half of it what others looked at too, half of it nobody before."""

    def __init__(self, pages: str, asked: dict[str, list[str]], num_rows: int) -> None:
        self._pages = pages
        self._shared = [one for addresses in asked.values() for one in addresses]
        self._facets = asked["facet"]
        self._num_rows = num_rows

    def address(self, rng: random.Random) -> str:
        """Where somebody goes next."""
        if rng.random() < 0.5:
            return rng.choice(self._shared)
        at, decade = rng.randrange(self._num_rows), rng.randrange(2, 9)
        return rng.choice(
            [
                f"{self._pages}?after={at}",
                f"{rng.choice(self._facets)}&min:technical/contrast={rng.random():.4f}",
                f"{rng.choice(self._facets)}&age={decade}0-{decade}9",
            ]
        )


async def _crowd(walks: Walks) -> Row:
    """People who look at a page, think for a second, and go on."""
    seconds: list[float] = []
    until = time.perf_counter() + CROWD_SECONDS

    async def person(number: int) -> None:
        rng = random.Random(number)
        async with aiohttp.ClientSession() as session:
            while time.perf_counter() < until:
                seconds.append(await _get(session, walks.address(rng)))
                await asyncio.sleep(rng.uniform(0.5, 1.5) * THINK_SECONDS)

    await asyncio.gather(*(person(number) for number in range(PEOPLE)))
    p95 = statistics.quantiles(seconds, n=20)[-1]
    return {"people": PEOPLE, "people_pages": len(seconds), "people_p95_ms": round(p95 * 1000, 1)}


async def _get(session: aiohttp.ClientSession, address: str) -> float:
    """Seconds until the whole answer is here."""
    began = time.perf_counter()
    async with session.get(address) as answer:
        answer.raise_for_status()
        await answer.read()
    return time.perf_counter() - began


async def _json(session: aiohttp.ClientSession, address: str) -> Row:
    async with session.get(address) as answer:
        answer.raise_for_status()
        found: Row = await answer.json()
        return found


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far: what a busy machine does not stretch."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(pid: int) -> int:
    """Most memory that a process ever held."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [one for one in status if one.startswith("VmHWM")]
    return int(line.split()[1]) >> 10


def _provenance(prompt: str) -> Provenance:
    return Provenance(
        engine="phantom",
        engine_revision="phantom-1",
        attempt="1-3df52a67db8e",
        seed=1,
        tries=1,
        prompt=prompt,
        prompt_sha256="0" * 64,
        flow_run_id="",
        task_run_id="",
        code_version="cxr-factory 0.1.0",
        engine_seconds=0.02,
        settings="{}",
    )


def _blobs(rng: np.random.Generator) -> Row:
    return {"thumbnail": rng.bytes(THUMBNAIL_BYTES)}


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([field for field in schema if field.name != "image"])


def _images(images: list[bytes], schema: pa.Schema) -> pa.Array:
    is_blob = not pa.types.is_binary(schema.field("image").type)
    return lance.blob_array(images) if is_blob else pa.array(images)


def _index_mib(store: ObjectStore, layout: DatasetLayout) -> float:
    listed = store.list(f"{layout.table(Table.PAIRS)}/_indices/")
    return round(sum(info.num_bytes for info in listed) / 2**20, 1)


if __name__ == "__main__":
    main()
