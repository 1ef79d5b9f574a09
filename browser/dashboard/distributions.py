"""What a release's pairs speak of, against what was asked and against real data."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from browser.columns import Column, ListColumn
from browser.dashboard.plots import (
    Bars,
    Cell,
    Curve,
    Plot,
    PlotData,
    bar_plot,
    curve_plot,
    matrix_plot,
)
from browser.dashboard.real import RealCounts
from browser.rendering import number, plain
from models.plotting.axes import LinearAxis, LogAxis
from models.sampling.realised import jensen_shannon_bits, spread
from models.vocabulary.findings import Finding
from storage.records import EntityKind

_FINDINGS = tuple(str(finding) for finding in Finding)
_MOST_POINTS = 40  # of a curve over ranks
_ANATOMY = str(EntityKind.ANATOMY)


def finding_plot(asked: ListColumn, found: Column, real: RealCounts | None) -> Plot:
    """Shares of the 14 findings: asked of all candidates, stated by pairs, in a real corpus.

    Args:
        asked: Findings asked of each candidate.
        found: Findings that each pair states.
        real: A corpus to hold them against.
    """
    counts = {"asked": column_counts(asked), "in pairs": column_counts(found)}
    if real is not None:
        counts[f"in {real.corpus}"] = real.findings
    vectors = {name: _vector(of, _FINDINGS) for name, of in counts.items()}
    shares = {name: of / max(1, of.sum()) for name, of in vectors.items()}
    drawn = vectors["in pairs"]
    notes = [
        f"Jensen-Shannon divergence of pairs from {_other(name)}: "
        f"{number(jensen_shannon_bits(drawn, of))} bits (0 the same, 1 nothing in common)"
        for name, of in vectors.items()
        if name != "in pairs"
    ]
    rows: list[list[Cell]] = [
        [plain(finding), *_cells(place, vectors, shares)] for place, finding in enumerate(_FINDINGS)
    ]
    data = PlotData(
        name="findings",
        title="Findings, asked and found",
        description="Share of each of the 14 findings among all mentions of findings, as asked of "
        "every candidate, as the pairs' reports state them (present or possible)"
        + (f", and as {real.corpus} has them." if real else "."),
        notes=notes,
        columns=[
            "finding",
            *(f"{name}, {what}" for name in counts for what in ("samples", "share")),
        ],
        rows=rows,
    )
    greatest = max(float(of.max()) for of in shares.values())
    bars = [Bars(name, [float(one) for one in of]) for name, of in shares.items()]
    axis = LinearAxis("share of mentions of findings", greatest)
    return bar_plot(data, [plain(finding) for finding in _FINDINGS], bars, axis)


def long_tail_plot(asked: ListColumn, found: Column, real: RealCounts | None) -> Plot:
    """Uses of clinical entities by rank, on logarithmic axes: a long tail is a falling line."""
    counts = {"asked": column_counts(asked), "in pairs": column_counts(found)}
    if real is not None and real.entities:
        counts[f"in {real.corpus}"] = real.entities
    falling = {name: _falling(of) for name, of in counts.items()}
    notes = [_spread_note(name, uses) for name, uses in falling.items()]
    points = {name: _points(uses) for name, uses in falling.items()}
    data = PlotData(
        name="long-tail",
        title="Long tail of entities",
        description="How often each clinical entity (present or denied) is used, the most used "
        "first: ranks and uses on logarithmic axes. A level line is balanced, a falling one is a "
        "long tail.",
        notes=notes,
        columns=["series", "rank", "uses"],
        rows=[[name, rank, uses] for name, of in points.items() for rank, uses in of],
    )
    return curve_plot(
        data,
        [Curve(name, of) for name, of in points.items()],
        LogAxis("rank of the entity", max(len(uses) for uses in falling.values())),
        LogAxis("uses", max(float(uses.max(initial=1)) for uses in falling.values())),
    )


def co_occurrence_plot(found: ListColumn) -> Plot:
    """How many pairs state two findings together; on the diagonal, how many state each."""
    names = sorted(found.values)
    rows_FN = np.zeros((len(names), found.num_rows), bool)
    for place, name in enumerate(names):
        rows_FN[place, found.rows_of(found.values.index(name))] = True
    counts = [[int((one & other).sum()) for other in rows_FN] for one in rows_FN]
    labels = [plain(name) for name in names]
    data = PlotData(
        name="co-occurrence",
        title="Findings that stand together",
        description="Pairs whose report states both findings, as present or possible; on the "
        "diagonal, pairs that state the one. Darker is more.",
        notes=[],
        columns=["finding", *labels],
        rows=[[label, *of] for label, of in zip(labels, counts, strict=True)],
    )
    return matrix_plot(data, labels, counts)


def column_counts(column: Column) -> dict[str, int]:
    """How many rows of a list column have each value."""
    assert isinstance(column, ListColumn)
    num_V = np.diff(column.start_V)
    return dict(zip(column.values, num_V.tolist(), strict=True))


def _cells(
    place: int, vectors: dict[str, NDArray[np.int64]], shares: dict[str, NDArray[np.float64]]
) -> list[Cell]:
    cells: list[Cell] = []
    for name, of in vectors.items():
        cells += [int(of[place]), round(float(shares[name][place]), 4)]
    return cells


def _other(name: str) -> str:
    return "what was asked" if name == "asked" else name.removeprefix("in ")


def _vector(counts: dict[str, int], names: Sequence[str]) -> NDArray[np.int64]:
    return np.array([counts.get(name, 0) for name in names], np.int64)


def _falling(counts: dict[str, int]) -> NDArray[np.int64]:
    """Uses of clinical entities, the greatest first."""
    uses = [of for value, of in counts.items() if value.partition(":")[0] != _ANATOMY]
    return np.sort(np.array(uses, np.int64))[::-1]


def _spread_note(name: str, uses: NDArray[np.int64]) -> str:
    of = spread(uses)
    return (
        f"{name}: {number(of.num_entities)} entities, {number(of.num_mentions)} mentions, Gini "
        f"{of.gini:.3f}, entropy {of.entropy_bits:.2f} bits (evenness {of.evenness:.3f})"
    )


def _points(uses: NDArray[np.int64]) -> list[tuple[float, float]]:
    """Some of the ranks with their uses, evenly apart on a logarithmic axis."""
    if not len(uses):
        return []
    edges = np.geomspace(1, len(uses), min(_MOST_POINTS, len(uses)))
    ranks = np.unique(np.rint(edges).astype(np.int64))
    return [(int(rank), int(uses[rank - 1])) for rank in ranks]
