"""A corpus's images with a report each as a source to train on: the image's own, or its labels'."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from models.engines import EngineConfig, engine_config
from models.taggers.opening import open_tagger
from models.vlp.tokenizer import sentences
from models.vocabulary.findings import Finding
from storage.corpora import Corpus, ImageNote, read_corpus
from storage.layout import corpus_table
from storage.objects import ObjectStore, storage_options_of
from storage.records import Report, Split
from tasks.audit import rejected_images
from tasks.label_reports import LabelReports, present_entities
from tasks.training_sources import ReadSource, count_findings, drawn, no_texts

if TYPE_CHECKING:
    from models.vlp.data import PairTexts  # imports torch

REJECTED, SPEECHLESS = "rejected by the audit", "no report"


class _SpokenOf(NamedTuple):
    """An image and what is said of it."""

    note: ImageNote
    report: Report


@dataclass(frozen=True, slots=True)
class CorpusPairs:
    """Which; fields as of `flows.training_data_plans.CorpusSource`. A `TrainingSource`."""

    corpus: str
    text: Literal["reports", "labels"]
    audited_by: tuple[EngineConfig, ...]
    max_pairs: int | None
    draw_seed: int

    def release_number(self, _: ObjectStore, /) -> None:
        """None: a corpus is ingested once."""

    def read(self, store: ObjectStore, /) -> ReadSource:
        """Its reports, in the order of the images' ids."""
        from models.vlp.data import PairSource  # imports torch
        from models.vlp.training_pairs import MixedSource

        corpus = read_corpus(store, self.corpus)
        rejected = (
            rejected_images(store, corpus, self.audited_by) if self.audited_by else frozenset()
        )
        writer = LabelReports()
        report_of = own_report if self.text == "reports" else writer.write
        left_out: Counter[str] = Counter()
        train = list(_spoken_of(corpus, Split.TRAIN, rejected, report_of, left_out))
        self._require_some(corpus, train, left_out)
        if self.max_pairs is not None:
            train = _drawn(train, self.max_pairs, self.draw_seed)
        held_out = _spoken_of(corpus, Split.VALIDATION, rejected, report_of, Counter())
        source = MixedSource(
            name=self.corpus,
            pairs=PairSource(
                uri=store.uri(corpus_table(self.corpus)),
                version=corpus.version,
                storage_options=partial(storage_options_of, store.root),
            ),
            train=_texts(train),
            validation=_texts(list(held_out)),
        )
        described: dict[str, Any] = {
            "kind": "corpus",
            "corpus": self.corpus,
            "corpus_version": corpus.version,
            "source_sha256": corpus.info.source_sha256,
            "licence": corpus.info.licence,
            "restricted": corpus.info.restricted,
            "text": "derived from labels" if self.text == "labels" else "reports",
            "grammar_revision": writer.revision if self.text == "labels" else None,
            "audited_by": [[gate.kind, gate.revision()] for gate in self.audited_by],
            "left_out": dict(sorted(left_out.items())),
            "max_pairs": self.max_pairs,
            "draw_seed": self.draw_seed,
            "num_pairs": len(source.train),
            "num_patients": len({one.note.patient_id for one in train}),
            "num_validation_pairs": len(source.validation),
        }
        return ReadSource(source, corpus.info.restricted, described)

    def findings(self, store: ObjectStore, read: ReadSource, /) -> Counter[Finding]:
        """By the labels that reports were written from; of real reports, by the lexicon."""
        texts = read.source.train
        if self.text == "labels":
            taken = frozenset(texts.sample_ids)
            notes = read_corpus(store, self.corpus).image_notes(Split.TRAIN)
            return count_findings(
                present_entities(note.labels) for note in notes if note.image_id in taken
            )
        sections = zip(texts.findings, texts.impressions, strict=True)
        said = [f"{findings}\n{impression}".strip() for findings, impression in sections]
        with closing(open_tagger(engine_config("taggers", {"kind": "lexicon"}))) as tagger:
            return count_findings(tagger.tag(said))

    def _require_some(
        self, corpus: Corpus, train: Sequence[_SpokenOf], left_out: Counter[str]
    ) -> None:
        if self.text == "labels" and not any(one.note.labels for one in train):
            raise ValueError(
                f"corpus {self.corpus!r} must state labels of training patients for text: labels, "
                f"got none{_why(left_out)}; take text: reports, or ingest it with its labels"
            )
        if not train:
            raise ValueError(
                f"corpus {self.corpus!r} ({corpus.info.collection}) must have images of training "
                f"patients with a report for text: reports, got none{_why(left_out)}; "
                "take text: labels, or another corpus"
            )


def own_report(note: ImageNote) -> Report | None:
    """The image's own report; None where it has no sentence."""
    report = Report(note.findings or "", note.impression or "")
    return report if sentences(report.findings) or sentences(report.impression) else None


def _spoken_of(
    corpus: Corpus,
    split: Split,
    rejected: frozenset[str],
    report_of: Callable[[ImageNote], Report | None],
    left_out: Counter[str],
) -> Iterator[_SpokenOf]:
    """The images of a split with a report, by id; those without are counted in `left_out`."""
    for note in sorted(corpus.image_notes(split), key=lambda one: one.image_id):
        report = None if note.image_id in rejected else report_of(note)
        if report is not None:
            yield _SpokenOf(note, report)
        else:
            left_out[REJECTED if note.image_id in rejected else SPEECHLESS] += 1


def _drawn(spoken_of: Sequence[_SpokenOf], max_pairs: int, seed: int) -> list[_SpokenOf]:
    """At most so many, whole patients."""
    ids = [one.note.image_id for one in spoken_of]
    taken = drawn(ids, [one.note.patient_id for one in spoken_of], max_pairs, seed)
    return [one for one in spoken_of if one.note.image_id in taken]


def _texts(spoken_of: Sequence[_SpokenOf]) -> "PairTexts":
    from models.vlp.data import PairTexts

    if not spoken_of:
        return no_texts()
    return PairTexts(
        np.array([one.note.row for one in spoken_of], np.int64),
        tuple(one.note.image_id for one in spoken_of),
        tuple(one.report.findings for one in spoken_of),
        tuple(one.report.impression for one in spoken_of),
    )


def _why(left_out: Counter[str]) -> str:
    said = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    return f" ({said})" if said else ""
