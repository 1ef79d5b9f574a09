"""The sampler on a table the size of study 1's: time, memory, caps, contradictions, determinism.

Run from the project root: `python -m benchmarks.sampler [--samples 200000] [--entities 150000]`.
The strings are synthetic (qualifiers x findings x anatomy, and made-up terms) with Zipf counts.
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from dataclasses import asdict
from itertools import product

import numpy as np

from models.sampling.compatibility import Compatibility
from models.sampling.dealing import find_conflicts
from models.sampling.entity_table import EntityTable
from models.sampling.feasibility import smallest_max_uses
from models.sampling.realised import realised_distribution
from models.sampling.rules import SamplingRules
from models.sampling.sampler import EntityDraw, draw
from models.vocabulary.concepts import Vocabulary, load_vocabulary
from storage.records import EntityKind

ANATOMY_SHARE, DENIED_SHARE = 0.15, 0.2
SIZES = ("", "small", "large", "mild", "severe", "increased", "decreased", "acute", "chronic")
SIDES = ("", "left", "right", "bilateral")
WHERE = ("", "upper", "lower", "apical", "basilar", "peripheral")


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--entities", type=int, default=150_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    vocabulary = load_vocabulary()
    table = synthetic_table(vocabulary, options.entities, options.seed)
    cap = smallest_max_uses(table, SamplingRules(), options.samples)
    if cap is None:
        parser.error("expected a table that can feed the samples, got too few entities")
    rules = SamplingRules(max_uses=max(cap, SamplingRules().max_uses))
    before_mib = peak_mib()
    started = time.perf_counter()
    drawn = draw(table, rules, options.samples, options.seed, vocabulary)
    seconds = time.perf_counter() - started
    figures = {
        "benchmark": "sampler",
        "samples": options.samples,
        "entities": len(table),
        "clinical_per_report": rules.clinical_per_report,
        "anatomy_per_report": rules.anatomy_per_report,
        "max_uses": rules.max_uses,
        "seconds": round(seconds, 2),
        "peak_mib": round(peak_mib()),
        "peak_mib_before_draw": round(before_mib),
        **check(drawn, rules, vocabulary),
    }
    again = draw(table, rules, options.samples, options.seed, vocabulary)
    figures["same_seed_same_result"] = again.digest() == drawn.digest()
    figures["peak_mib_with_checks"] = round(peak_mib())
    figures["realised"] = asdict(realised_distribution(drawn))
    figures["python"] = platform.python_version()
    figures["cpus"] = os.cpu_count()
    sys.stdout.write(json.dumps(figures) + "\n")


def synthetic_table(vocabulary: Vocabulary, num_entities: int, seed: int) -> EntityTable:
    """A long-tailed table of distinct strings of all five kinds."""
    generator = np.random.default_rng(seed)
    num_anatomy = int(ANATOMY_SHARE * num_entities)
    num_denied = int(DENIED_SHARE * num_entities)
    num_present = num_entities - num_anatomy - num_denied
    clinical = [concept.text for concept in vocabulary.clinical()]
    places = [concept.text for concept in vocabulary.anatomies()]
    findings = [
        " ".join(word for word in words if word) for words in product(SIZES, SIDES, WHERE, clinical)
    ]
    placed = [f"{finding} in {place}" for finding, place in product(clinical, places)]
    sided = [f"{where} {place}".strip() for where, place in product(WHERE, places)]
    terms = [*findings, *placed]
    strings = {
        EntityKind.ABNORMALITY: _fill(terms, num_present, "finding", generator),
        EntityKind.NON_ABNORMALITY: _fill(terms, num_denied, "denied", generator),
        EntityKind.ANATOMY: _fill(sided, num_anatomy, "region", generator),
    }
    counts = np.minimum(generator.zipf(1.6, num_entities), 1_000_000).tolist()
    named = [(text, kind) for kind, texts in strings.items() for text in texts]
    return EntityTable.from_counts(
        (text, kind, count) for (text, kind), count in zip(named, counts, strict=True)
    )


def check(drawn: EntityDraw, rules: SamplingRules, vocabulary: Vocabulary) -> dict[str, int]:
    """Entities over their cap, and entities in conflict with another of their report."""
    conflicts = Compatibility(drawn.table, vocabulary).conflicts
    return {
        "over_cap": int((drawn.uses() > rules.max_uses).sum()),
        "contradictions": len(find_conflicts(drawn.clinical_NK, conflicts)),
        "repeated_anatomy": len(find_conflicts(drawn.anatomy_NM, conflicts)),
    }


def peak_mib() -> float:
    """Peak resident memory of this process, MiB (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _fill(terms: list[str], num: int, word: str, generator: np.random.Generator) -> list[str]:
    """`num` distinct strings: the terms in random order, then made-up ones."""
    chosen = [terms[index] for index in generator.permutation(len(terms))[: num * 2 // 3]]
    unique = list(dict.fromkeys(chosen))
    return unique + [f"made up {word} {number}" for number in range(num - len(unique))]


if __name__ == "__main__":
    main()
