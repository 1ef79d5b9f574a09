"""What was accepted, of which finding and when, and what it took: by tables and ledger."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from browser.columns import ListColumn
from browser.dashboard.distributions import column_counts
from browser.dashboard.plots import Bars, Cell, Curve, Plot, PlotData, bar_plot, curve_plot
from browser.rendering import number, plain
from models.plotting.axes import LinearAxis
from storage.blind_results import wilson_interval
from storage.records import Outcome, Stage
from storage.settled import OUTCOMES, SettledRecords
from storage.throughput import throughput, throughput_by_worker

_NUM_BINS = 40
_MINUTE = 60.0


def acceptance_plot(accepted: ListColumn, refused: ListColumn) -> Plot:
    """Acceptance of samples that were asked to show each finding.

    Args:
        accepted: Findings asked of each pair.
        refused: Findings asked of each reject.
    """
    kept, lost = column_counts(accepted), column_counts(refused)
    findings = sorted(kept.keys() | lost.keys())
    totals = [kept.get(one, 0) + lost.get(one, 0) for one in findings]
    shares = [kept.get(one, 0) / total for one, total in zip(findings, totals, strict=True)]
    intervals = [
        wilson_interval(kept.get(one, 0), total)
        for one, total in zip(findings, totals, strict=True)
    ]
    rows: list[list[Cell]] = [
        [plain(one), kept.get(one, 0), lost.get(one, 0), round(share, 4), *_rounded(interval)]
        for one, share, interval in zip(findings, shares, intervals, strict=True)
    ]
    data = PlotData(
        name="acceptance-per-finding",
        title="Acceptance per finding",
        description="Share of samples asked to show a finding that were accepted, of all that were "
        "accepted or refused, with the 95 % interval (Wilson).",
        notes=[],
        columns=["finding", "accepted", "refused", "acceptance", "95 % from", "95 % to"],
        rows=rows,
    )
    bars = Bars("accepted", shares, intervals)
    return bar_plot(data, [plain(one) for one in findings], [bars], LinearAxis("acceptance", 1.0))


def acceptance_over_time_plot(settled: Mapping[Stage, SettledRecords]) -> Plot:
    """Acceptance of each stage over the time since the first unit was settled.

    Args:
        settled: The ledger's records of stages that have any.
    """
    times = {stage: _times(records) for stage, records in settled.items()}
    first = min(float(of.min()) for of, _ in times.values())
    last = max(float(of.max()) for of, _ in times.values())
    edges = np.linspace(first, last, _NUM_BINS + 1)
    curves, rows = [], list[list[Cell]]()
    for stage, (at_N, kept_N) in times.items():
        bin_N = np.clip(np.searchsorted(edges, at_N, side="right") - 1, 0, _NUM_BINS - 1)
        num_B = np.bincount(bin_N, minlength=_NUM_BINS)
        kept_B = np.bincount(bin_N[kept_N], minlength=_NUM_BINS)
        minutes_B = (edges[1:] - first) / _MINUTE
        points: list[tuple[float, float] | None] = []
        for minutes, num, kept in zip(minutes_B, num_B.tolist(), kept_B.tolist(), strict=True):
            points.append((float(minutes), kept / num) if num else None)
            if num:
                rows.append([str(stage), round(float(minutes), 2), num, kept, round(kept / num, 4)])
        curves.append(Curve(str(stage), points))
    data = PlotData(
        name="acceptance-over-time",
        title="Acceptance over time",
        description="Share of the samples settled in each fortieth of the time from the first "
        "settled unit to the last that its stage accepted; a gap is a time in which none was "
        "settled.",
        notes=[],
        columns=["stage", "until, minutes", "settled", "accepted", "acceptance"],
        rows=rows,
    )
    minutes = LinearAxis("minutes since the first unit was settled", (last - first) / _MINUTE)
    return curve_plot(data, curves, minutes, LinearAxis("acceptance", 1.0))


def throughput_plot(settled: Mapping[Stage, SettledRecords], num_accepted: int) -> Plot:
    """Samples a second of each stage on each worker, and what a pair took.

    Args:
        settled: The ledger's records of stages that have any.
        num_accepted: Pairs of the release.
    """
    rows: list[list[Cell]] = []
    labels, speeds, engine_seconds, num_tokens = list[str](), list[float](), 0.0, 0
    for stage, records in settled.items():
        in_all = throughput(records)
        engine_seconds += in_all.engine_seconds
        num_tokens += in_all.num_tokens
        for place, of in throughput_by_worker(records).items():
            labels.append(f"{stage}, {place}" if place else str(stage))
            speeds.append(of.samples_per_second)
            rows.append(
                [
                    str(stage),
                    place,
                    of.num_units,
                    of.num_samples,
                    round(of.samples_per_second, 3),
                    round(of.engine_seconds, 1),
                    of.num_tokens,
                    _per_pair(of.engine_seconds, num_accepted),
                    _per_pair(of.num_tokens, num_accepted),
                ]
            )
    notes = [
        f"{what} per accepted pair, all stages: {number(spent / num_accepted)}"
        for what, spent in (("engine seconds", engine_seconds), ("tokens", num_tokens))
        if num_accepted
    ]
    data = PlotData(
        name="throughput",
        title="Throughput and cost",
        description="Samples settled a second while at least one unit was in work, by stage and "
        "worker (a host and its device).",
        notes=notes,
        columns=[
            "stage", "worker", "units", "samples", "samples/s", "engine seconds", "tokens",
            "engine seconds per accepted pair", "tokens per accepted pair",
        ],
        rows=rows,
    )  # fmt: skip
    bars = Bars("samples/s", speeds)
    return bar_plot(data, labels, [bars], LinearAxis("samples a second", max(speeds)))


def _times(records: SettledRecords) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """When each sample was settled, and whether it was kept."""
    outcomes = records.outcomes
    row_N = np.searchsorted(records.units, outcomes.number_N)
    settled_at = records.table["settled_at"].to_numpy()
    return settled_at[row_N], outcomes.outcome_N == OUTCOMES.index(Outcome.ACCEPTED)


def _rounded(interval: tuple[float, float]) -> list[Cell]:
    return [round(bound, 4) for bound in interval]


def _per_pair(spent: float, num_accepted: int) -> float | None:
    return round(spent / num_accepted, 4) if num_accepted else None
