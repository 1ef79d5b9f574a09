"""The plots of a release, drawn once: nothing they stand on changes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow.compute as pc

from browser.columns import ListColumn
from browser.dashboard.distributions import co_occurrence_plot, finding_plot, long_tail_plot
from browser.dashboard.outcomes import acceptance_over_time_plot, acceptance_plot, throughput_plot
from browser.dashboard.plots import Plot
from browser.dashboard.real import RealCounts, real_counts
from browser.entity_columns import finding_column, read_entities
from browser.facets import ENTITY, FINDING
from browser.library import Library
from browser.remembered import Remembered
from storage.layout import DatasetLayout, Table
from storage.ledger import Ledger
from storage.records import Stage
from storage.releases import Release, open_table
from storage.settled import SettledRecords

_STAGES = (Stage.WRITE, Stage.PAINT, Stage.JUDGE)
_ASKED = "entities_requested"
_MAX_REMEMBERED = 16  # of a few hundred kB each


@dataclass(frozen=True, slots=True)
class _Key:
    release: str
    fingerprint: str
    corpus: str | None


class Dashboards:
    """The plots of the releases looked at last."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._drawn: Remembered[_Key, list[Plot]] = Remembered(_MAX_REMEMBERED, lambda _: 1)

    def plots(self, dataset: str, number: int, corpus: str | None) -> list[Plot]:
        """The plots of a release; whoever comes while they are drawn waits for them.

        Args:
            dataset: Its name.
            number: Of the release.
            corpus: Real data to hold it against; None for none.

        Raises:
            Problem: If release or corpus may not be shown, or there is none.
        """
        release = self._library.release(dataset, number)
        real = None if corpus is None else real_counts(self._library, corpus)
        key = _Key(release.release_id, release.fingerprint, corpus)
        return self._drawn.get(key, lambda: list(_drawn(self._library, release, real)))


def _drawn(library: Library, release: Release, real: RealCounts | None) -> Iterator[Plot]:
    facets = library.open(release.dataset, release.number, Table.PAIRS).index.facets
    stated, found = facets[FINDING], facets[ENTITY]
    assert isinstance(stated, ListColumn)
    asked = _asked(library, release, Table.SAMPLES)
    if asked.values:
        yield finding_plot(finding_column(asked), stated, real)
        yield long_tail_plot(asked, found, real)
    accepted, refused = (
        finding_column(_asked(library, release, table)) for table in (Table.PAIRS, Table.REJECTS)
    )
    if accepted.values or refused.values:
        yield acceptance_plot(accepted, refused)
    if settled := _settled(library, release):
        yield acceptance_over_time_plot(settled)
    if stated.values:
        yield co_occurrence_plot(stated)
    if settled:
        yield throughput_plot(settled, release.num_accepted)


def _asked(library: Library, release: Release, table: Table) -> ListColumn:
    return read_entities(open_table(library.store, release, table), _ASKED)


def _settled(library: Library, release: Release) -> dict[Stage, SettledRecords]:
    """The ledger's records up to the release; later ones are of a release to come."""
    ledger = Ledger(library.store, DatasetLayout(release.dataset))
    made_at = datetime.fromisoformat(release.created_at).timestamp() + 1  # it has whole seconds
    found = {}
    for stage in _STAGES:
        table = ledger.settled(stage).table
        table = table.filter(pc.less(table["settled_at"], made_at))
        if table.num_rows:
            found[stage] = SettledRecords(table)
    return found
