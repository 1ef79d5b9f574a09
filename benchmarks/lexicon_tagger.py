"""The lexicon tagger on real reports: F1 per finding against reference labels, and speed.

Run from the project root: `python -m benchmarks.lexicon_tagger DATA`, DATA holding
`openi/NLMCXR_reports.tgz` and `openi/gold14_negbio.csv`. The tagger was developed on reports of
even number; the figures are of the odd ones. A finding counts as said when the tagger calls it
present.
"""

import argparse
import csv
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.taggers.configs import LexiconConfig
from models.vocabulary.concepts import load_vocabulary
from models.vocabulary.findings import Finding
from storage.readers.openi import OpeniReader
from storage.readers.rows import Skipped
from storage.records import Entity, EntityStatus

USABLE = tuple(finding for finding in Finding if finding is not Finding.HERNIA)  # gold has none


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that holds openi/")
    parser.add_argument("--half", choices=("odd", "even"), default="odd")
    options = parser.parse_args()
    gold = read_gold(options.data / "openi" / "gold14_negbio.csv")
    remainder = 1 if options.half == "odd" else 0
    texts = {
        name: text
        for name, text in read_texts(options.data / "openi")
        if name in gold and int(name.removeprefix("CXR")) % 2 == remainder
    }
    tagger = LexiconConfig().open()
    started = time.process_time()
    tagged = tagger.tag(list(texts.values()))
    seconds = time.process_time() - started
    said = [stated_findings(entities) for entities in tagged]
    figures = {
        f: score([f in s for s in said], [f in gold[name] for name in texts]) for f in USABLE
    }
    line = {
        "benchmark": "lexicon_tagger",
        "half": options.half,
        "reports": len(texts),
        "macro_f1": round(sum(f["f1"] for f in figures.values()) / len(figures), 4),
        "findings": {finding.value: figure for finding, figure in figures.items()},
        "reports_per_cpu_second": round(len(texts) / seconds),
        "tagger_revision": tagger.info.revision,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    sys.stdout.write(json.dumps(line) + "\n")


def read_gold(path: Path) -> dict[str, frozenset[Finding]]:
    """Findings that the reference labels call positive, by report name ("CXR1")."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["filename"]: frozenset(f for f in Finding if row[f.value] == "1") for row in rows}


def read_texts(source: Path) -> Iterator[tuple[str, str]]:
    """Name and text (findings, then impression) of every whole report."""
    for row in OpeniReader(source).rows():
        if not isinstance(row, Skipped):
            yield row["report_id"], "\n".join(filter(None, (row["findings"], row["impression"])))


def stated_findings(entities: Sequence[Entity]) -> frozenset[Finding]:
    """Findings among entities that are called present."""
    concepts = load_vocabulary().concepts
    present = (e.text for e in entities if e.status is EntityStatus.PRESENT)
    findings = (concepts[text].finding for text in present if text in concepts)
    return frozenset(finding for finding in findings if finding is not None)


def score(said: Sequence[bool], true: Sequence[bool]) -> dict[str, float]:
    """Precision, recall, F1 and the number of true ones; 0 where undefined."""
    hits = sum(s and t for s, t in zip(said, true, strict=True))
    precision = hits / sum(said) if any(said) else 0.0
    recall = hits / sum(true) if any(true) else 0.0
    total = precision + recall
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / total if total else 0.0, 4),
        "positives": sum(true),
    }


if __name__ == "__main__":
    main()
