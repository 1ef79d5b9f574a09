"""The real reports that a plan's language model is shown, read where the plan only names them."""

from collections.abc import Iterator

from models.engines import EngineConfig
from models.sampling.patients import position
from models.vocabulary.modifiers import load_modifiers
from models.writers.language_model.configs import ExampleReports, LanguageModelConfig
from storage.corpora import Corpus, read_corpus
from storage.objects import ObjectStore
from storage.records import Report, Split


def read_examples(writer: EngineConfig, store: ObjectStore) -> EngineConfig:
    """The writer with the reports that its plan wants shown; any other writer as it is.

    Raises:
        ValueError: If there is no such corpus, or it has too few reports to show.
    """
    if not isinstance(writer, LanguageModelConfig) or writer.examples is None:
        return writer
    corpus = read_corpus(store, writer.examples.corpus)
    return writer.with_examples(_chosen(corpus, writer.examples))


def _chosen(corpus: Corpus, wanted: ExampleReports) -> list[Report]:
    """As many different reports as wanted, first in the order that the seed gives."""
    placed = sorted(
        (position(report_id, f"example {wanted.seed}"), report_id, report)
        for report_id, report in _showable(corpus)
    )
    different = {report.findings: report for _, _, report in placed}
    if len(different) < wanted.num:
        raise ValueError(
            f"writer.examples: expected {wanted.num} different reports of training patients with "
            f"both sections and no comparison in corpus {corpus.name!r}, got {len(different)}; "
            "lower num"
        )
    return list(different.values())[: wanted.num]


def _showable(corpus: Corpus) -> Iterator[tuple[str, Report]]:
    """Reports that a writer may imitate: whole, and of a single time, as the report gate asks."""
    compares = load_modifiers().comparison_word
    for report in corpus.reports(Split.TRAIN):
        if not (report.findings and report.impression):
            continue
        if compares(f"{report.findings} {report.impression}") is None:
            yield report.report_id, Report(report.findings, report.impression)
