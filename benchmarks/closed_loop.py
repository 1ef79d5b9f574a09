"""Grammar, lexicon tagger and report gate against entity sets that none of them made.

Run from the project root: `python -m benchmarks.closed_loop DATA [--reports 5000]`, DATA holding
`openi/NLMCXR_reports.tgz`. Writer and tagger share a vocabulary, so agreement alone proves little:
- the entity sets come from the MeSH terms that indexers gave to real reports ("Opacity/lung/base/
  left/mild"); each is one real report's, with some findings of other real reports denied;
- the gate must accept the report of the set, and reject, checked against the same set, the report
  of a set with one entity dropped, one turned into its opposite, or one added;
- it must reject the report itself after a sentence is deleted, after a sentence of a human hand is
  added, after the word "no" is put in or taken out, and after a comparison is put in.
"""

import argparse
import json
import os
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random

from models.engines import WriteRequest
from models.gates.report import ReportRules, check_report
from models.taggers.configs import LexiconConfig
from models.vocabulary.mesh import load_mesh_map
from models.writers.configs import GrammarConfig
from models.writers.mistakes import Entities, add, denied, drop, oppose
from storage.readers.openi import OpeniReader
from storage.readers.rows import Skipped
from storage.records import Report, Verdict, View

MAX_DENIED = 4  # findings of other reports, denied in this one

# Written by hand in the manner of real reports, not by the grammar; with the term each speaks of.
HUMAN_SENTENCES = {
    "pneumothorax": "Small right apical pneumothorax measuring approximately 2 cm.",
    "pleural effusion": "There is blunting on the left from a layering effusion.",
    "cardiomegaly": "The heart is mildly enlarged.",
    "pneumonia": "Appearance is compatible with a developing bronchopneumonia.",
    "hiatal hernia": "Air-fluid level behind the heart from a large hiatal hernia.",
    "lung nodule": "An 8 mm nodule projects over the anterior second rib interspace.",
    "scoliosis": "Note is made of a gentle dextroscoliosis.",
    "pacemaker": "Dual-lead pacer in expected position.",
    "emphysema": "Lungs show emphysematous change.",
    "rib fracture": "Old healed fractures of several left ribs.",
    "pulmonary edema": "Mild interstitial edema cannot be excluded.",
    "tortuous aorta": "The thoracic aorta is tortuous and ectatic.",
    "atelectasis": "Streaks at the bases are most consistent with subsegmental atelectasis.",
    "elevated hemidiaphragm": "The right hemidiaphragm is elevated.",
    "central venous catheter": "A right-sided PICC line terminates in the SVC.",
    "hilar enlargement": "Fullness of the left hilum.",
    "calcified granuloma": "Scattered calcified granulomata bilaterally.",
    "kyphosis": "No kyphosis.",
    "tuberculosis": "Lungs are without evidence of active tuberculosis.",
    "osteopenia": "Bones appear demineralized.",
}


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path, help="folder that holds openi/")
    parser.add_argument("--reports", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    real = list(real_entity_sets(options.data / "openi"))
    sets = [draw_set(real, Random(f"{options.seed}:{i}")) for i in range(options.reports)]
    loop = Loop(sets, options.seed)
    started = time.process_time()
    accepted = loop.verdicts(loop.reports)
    seconds = time.process_time() - started
    line = {
        "benchmark": "closed_loop",
        "reports": len(sets),
        "real_entity_sets": len(real),
        "entities_per_report": round(sum(map(len, sets)) / len(sets), 2),
        "accepted": share(accepted, passed=True),
        "rejected_if_set_altered": {
            name: share(loop.verdicts(loop.write_altered(alter)), passed=False)
            for name, alter in (
                ("dropped", drop),
                ("opposite", oppose),
                ("added", partial(add, others=loop.pool)),
            )
        },
        "rejected_if_text_corrupted": {
            name: share(loop.verdicts_of_corrupted(corrupt), passed=False)
            for name, corrupt in CORRUPTIONS.items()
        },
        "reasons_of_refused": dict(Counter(str(v.reason) for v in accepted if not v.passed)),
        "tagged_and_checked_per_cpu_second": round(len(sets) / seconds),
        "written_per_cpu_second": loop.written_per_second,
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
    sys.stdout.write(json.dumps(line) + "\n")


def real_entity_sets(source: Path) -> Iterator[Entities]:
    """Entities of each real report that has any, one per term of the vocabulary."""
    mesh = load_mesh_map()
    for row in OpeniReader(source).rows():
        if not isinstance(row, Skipped):
            entities = filter(None, map(mesh.entity, row["mesh"]))
            by_text = {entity.text: entity for entity in entities}
            if by_text:
                yield tuple(by_text.values())


def draw_set(real: Sequence[Entities], random: Random) -> Entities:
    """One real report's entities, and up to `MAX_DENIED` findings of other reports, denied."""
    entities = {entity.text: entity for entity in random.choice(real)}
    for _ in range(random.randint(0, MAX_DENIED)):
        other = random.choice(random.choice(real))
        if other.kind.is_clinical and other.text not in entities:
            entities[other.text] = denied(other)
    return tuple(entities.values())


def share(verdicts: Sequence[Verdict], passed: bool) -> dict[str, float]:
    """Share of verdicts with this outcome, and of how many."""
    hits = sum(verdict.passed is passed for verdict in verdicts)
    return {"share": round(hits / len(verdicts), 5), "of": len(verdicts)}


class Loop:
    """Writer, tagger and gate over one list of entity sets, and the ways to spoil a report."""

    def __init__(self, sets: Sequence[Entities], seed: int) -> None:
        self._sets = sets
        self._seed = seed
        self._writer = GrammarConfig().open()
        self._tagger = LexiconConfig().open()
        self.pool = sorted({e for entities in sets for e in entities}, key=repr)
        started = time.process_time()
        self.reports = self._write(sets)
        self.written_per_second = round(len(sets) / (time.process_time() - started))

    def verdicts(self, reports: Sequence[Report | None]) -> list[Verdict]:
        """The gate's word on each report against the set at its place; None is passed over."""
        pairs = [(s, r) for s, r in zip(self._sets, reports, strict=True) if r is not None]
        findings = self._tagger.tag([report.findings for _, report in pairs])
        impressions = self._tagger.tag([report.impression for _, report in pairs])
        return [
            check_report(wanted, report, in_findings, in_impression, ReportRules())
            for (wanted, report), in_findings, in_impression in zip(
                pairs, findings, impressions, strict=True
            )
        ]

    def write_altered(self, alter: Callable[[Entities, Random], Entities]) -> list[Report]:
        """Reports of altered sets, at the places of the unaltered ones."""
        return self._write([alter(s, self._random(i)) for i, s in enumerate(self._sets)])

    def verdicts_of_corrupted(
        self, corrupt: Callable[[str, Entities, Random], str | None]
    ) -> list[Verdict]:
        """The gate's word on the same reports with FINDINGS corrupted, where that can be done."""
        texts = [
            corrupt(report.findings, entities, self._random(i))
            for i, (report, entities) in enumerate(zip(self.reports, self._sets, strict=True))
        ]
        return self.verdicts(
            [
                None if text is None else replace(report, findings=text)
                for report, text in zip(self.reports, texts, strict=True)
            ]
        )

    def _write(self, sets: Sequence[Entities]) -> list[Report]:
        requests = [
            WriteRequest(str(i), self._random(i).getrandbits(63), entities, View.PA)
            for i, entities in enumerate(sets)
        ]
        return [answer.report for answer in self._writer.write(requests)]

    def _random(self, index: int) -> Random:
        return Random(f"{self._seed}:alter:{index}")


def delete_sentence(findings: str, entities: Entities, random: Random) -> str | None:
    """FINDINGS without one sentence; every sentence of the grammar alone says something asked."""
    sentences = split_sentences(findings)
    sentences.pop(random.randrange(len(sentences)))
    return " ".join(sentences)


def insert_sentence(findings: str, entities: Entities, random: Random) -> str | None:
    """FINDINGS with a sentence of a human hand on a finding that was not asked for."""
    asked = {entity.text for entity in entities}
    fitting = [text for term, text in HUMAN_SENTENCES.items() if term not in asked]
    sentences = split_sentences(findings)
    sentences.insert(random.randint(0, len(sentences)), random.choice(fitting))
    return " ".join(sentences)


def put_in_no(findings: str, entities: Entities, random: Random) -> str | None:
    """The first "There is a …" becomes "There is no …"."""
    changed = re.sub(
        r"There (is|are) (?:an? )?(?!no |evidence)", r"There \1 no ", findings, count=1
    )
    return None if changed == findings else changed


def take_out_no(findings: str, entities: Entities, random: Random) -> str | None:
    """The first denial loses its "no"."""
    changed = re.sub(r"\bNo evidence of |\b[Nn]o (?=[a-z])|Negative for ", "", findings, count=1)
    return None if changed == findings else changed


def compare(findings: str, entities: Entities, random: Random) -> str | None:
    """A remark on an earlier examination is added."""
    remark = random.choice(("This is unchanged.", "Stable appearance.", "New since last week."))
    return f"{findings} {remark}"


def split_sentences(text: str) -> list[str]:
    """Sentences with their stops."""
    return re.split(r"(?<=\.) ", text)


CORRUPTIONS: dict[str, Callable[[str, Entities, Random], str | None]] = {
    "sentence_deleted": delete_sentence,
    "sentence_inserted": insert_sentence,
    "no_put_in": put_in_no,
    "no_taken_out": take_out_no,
    "comparison_put_in": compare,
}


if __name__ == "__main__":
    main()
