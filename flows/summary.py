"""Results as a few lines of text for a terminal."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flows.status import DatasetStatus, StageStatus
from storage.records import Stage
from storage.throughput import Throughput


def status_text(status: DatasetStatus) -> str:
    """A dataset in a few lines: accepted, rejected by reason, stages, release."""
    wanted = "all" if status.target is None else status.target
    lines = [
        f"dataset {status.dataset}  (plan {status.fingerprint[:12]})",
        f"  accepted     {status.accepted} of {wanted}",
        f"  rejected     {_reasons(status.rejected)}",
        f"  quarantined  {status.quarantined}",
    ]
    if Stage.JUDGE in status.stages:
        lines.append(f"  painted again {status.repainted}  (the judge said no at first)")
    for stage, one in status.stages.items():
        lines.append(
            f"  {stage:<12} {_units(one)}; {one.pace.samples_per_second:.1f} samples/s, "
            f"{one.pace.engine_seconds:.1f} engine seconds"
        )
        if len(one.workers) > 1:
            lines += [f"    {name:<22} {_pace(of)}" for name, of in one.workers.items()]
    lines += [f"  waiting      {pool}" for pool in status.idle_pools]
    release = status.release
    lines.append(f"  release      {release.release_id if release else 'none yet'}")
    if status.engine_seconds_per_accepted is not None:
        tokens = f", {status.tokens_per_accepted:.0f} tokens" if status.tokens_per_accepted else ""
        cost = f"{status.engine_seconds_per_accepted:.3f} engine s{tokens} per pair"
        lines.append(f"  cost         {cost}")
    return "\n".join([*lines, *_finding_lines(status)])


def _units(stage: StageStatus) -> str:
    running = f", {stage.running} running" if stage.running else ""
    said = f"{stage.done} units done{running}, {stage.failed} failed, {stage.missing} missing"
    if stage.missing and stage.eta_seconds is not None:
        said += f", {timedelta(seconds=round(stage.eta_seconds))} at this pace"
    return said


def _pace(pace: Throughput) -> str:
    return (
        f"{pace.num_units} units, {pace.samples_per_second:.1f} samples/s, "
        f"{pace.engine_seconds:.1f} engine seconds"
    )


def _finding_lines(status: DatasetStatus) -> list[str]:
    """A table: findings down, what each stage kept across."""
    rows = [finding.as_row() for finding in status.findings]
    if not rows:
        return []
    table = [[*rows[0]], *([str(cell) for cell in row.values()] for row in rows)]
    return [f"  {name:<20}" + "".join(f"{cell:>11}" for cell in cells) for name, *cells in table]


def shortfall(status: DatasetStatus) -> str | None:
    """Why a dataset fell short of its target, in one line; None when it did not."""
    if status.complete:
        return None
    return (
        f"{status.dataset}: expected {status.target} accepted pairs, got {status.accepted} after "
        f"every candidate ({_reasons(status.rejected)}; {status.quarantined} quarantined); "
        "raise the reserve or loosen a gate in a plan of another name"
    )


def training_text(metrics: Mapping[str, Any]) -> str:
    """A training in one line."""
    training = metrics["training"]
    return (
        f"run {metrics['run']} on {metrics['release']}: {training['steps']} steps, "
        f"loss {training['loss']:.3f}, {training['seconds']:.0f} s"
    )


def zero_shot_text(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Zero-shot AUROC per set: macro, macro of each view, then per finding.

    Views are stated wherever there are several: in real corpora the sick are mostly AP.
    """
    lines = []
    for name, result in results.items():
        lines.append(
            f"zero-shot on {name} ({result['num_images']} images): macro AUROC "
            f"{_score(result['macro_auroc'], result['ci95'])}"
        )
        views = result["per_view"] if len(result["per_view"]) > 1 else {}
        lines += [
            f"  {view + ', macro':<20} {_score(one['macro_auroc'], one['ci95'])}  "
            f"{one['num_images']} images"
            for view, one in views.items()
        ]
        lines += [
            f"  {finding:<20} {_score(score['auroc'], score['ci95'], score['reason'])}"
            for finding, score in result["per_finding"].items()
        ]
    return "\n".join(lines)


def _score(value: float | None, interval: Any, reason: str | None = None) -> str:
    if value is None:
        return reason or "undefined"
    low, high = interval
    return f"{value:.3f}  (95 % {low:.3f} to {high:.3f})"


def _reasons(rejected: Mapping[str, int]) -> str:
    total = sum(rejected.values())
    by_reason = ", ".join(f"{count} {reason}" for reason, count in rejected.items())
    return f"{total}" + (f" ({by_reason})" if by_reason else "")
