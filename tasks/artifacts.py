"""What Prefect's UI shows of a dataset: acceptance, progress, and where the release lies."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from models.sampling.entity_table import RARE_MENTIONS
from storage.records import NOT_FOR_CLINICAL_USE
from storage.releases import Release
from storage.selection import Selection
from tasks.acceptance import FindingAcceptance
from tasks.browser_links import browser_links
from tasks.tagging import EntityFigures
from tasks.waiting import IdlePool


def show_acceptance(dataset: str, selection: Selection) -> None:
    """A table of what was accepted, and what was refused by reason."""
    rows = [{"outcome": "accepted", "reason": "", "samples": selection.num_accepted}]
    rows += [
        {"outcome": "rejected", "reason": str(reason), "samples": count}
        for reason, count in sorted(selection.rejected.items(), key=lambda item: -item[1])
    ]
    rows.append(
        {"outcome": "quarantined", "reason": "engine failed", "samples": len(selection.quarantined)}
    )
    if selection.num_repainted:
        again = {"outcome": "painted again", "reason": "judge said no at first"}
        rows.append(again | {"samples": selection.num_repainted})
    said = f"Acceptance of {dataset}: {selection.num_missing_units} units missing."
    create_table_artifact(
        table=rows,
        key=f"{artifact_key(dataset)}-acceptance",
        description=f"{said} {_of_dataset(dataset)} {_of_reasons(dataset, selection)}".rstrip(),
    )


def show_findings(dataset: str, findings: Sequence[FindingAcceptance]) -> None:
    """A table of how far each finding came: requested, kept by each stage, published."""
    said = f"Samples of {dataset} that are to show a finding, by stage that kept them."
    create_table_artifact(
        table=[finding.as_row() for finding in findings],
        key=f"{artifact_key(dataset)}-acceptance-per-finding",
        description=f"{said} {_of_dataset(dataset)}".rstrip(),
    )


def show_release(root: str, release: Release) -> None:
    """Where a release lies and what it holds."""
    wanted = "all" if release.target is None else str(release.target)
    state = "complete" if release.complete else f"short of its target of {wanted}"
    versions = "\n".join(f"| {name} | {version} |" for name, version in release.versions.items())
    path = f"/datasets/{release.dataset}/{release.number}"
    links = browser_links({page: f"{path}/{page}" for page in ("pairs", "rejects", "dashboard")})
    create_markdown_artifact(
        markdown=(
            f"# {release.release_id}\n\n{NOT_FOR_CLINICAL_USE}\n\n"
            f"{release.num_accepted} pairs, {state}. {links}\n\n"
            f"`{root}/datasets/{release.dataset}/pairs.lance` at version "
            f"{release.versions['pairs']}\n\n| table | version |\n| --- | --- |\n{versions}\n"
        ),
        key=f"{artifact_key(release.dataset)}-release",
        description=f"Release {release.number} of {release.dataset}.",
    )


def _of_dataset(dataset: str) -> str:
    return browser_links({"See its samples": f"/datasets/{dataset}"})


def _of_reasons(dataset: str, selection: Selection) -> str:
    """To the newest release's rejects of each reason; a table's cells cannot link."""
    rejects = f"/datasets/{dataset}/newest/rejects?reason="
    pages = {str(reason): rejects + quote(str(reason)) for reason in sorted(selection.rejected)}
    links = browser_links(pages)
    return f"Refused: {links}" if links else ""


def show_idle_pools(dataset: str, pools: Sequence[IdlePool]) -> None:
    """Which work pools begin none of the shards that wait in them; none: all goes on."""
    said = "\n".join(f"- {pool}" for pool in pools) or "No shard waits in vain."
    create_markdown_artifact(
        markdown=said,
        key=f"{artifact_key(dataset)}-waiting",
        description=f"Work pools that begin no shards of {dataset}.",
    )


def show_entities(corpus: str, figures: EntityFigures) -> None:
    """How uneven the entities of a corpus are, by kind: figures alone, no text of its reports."""
    rows = [
        {
            "kind": str(kind),
            "entities": tail.num_entities,
            "mentions": tail.num_mentions,
            "share of mentions of the top tenth": round(tail.share_of_top_tenth, 3),
            f"share with fewer than {RARE_MENTIONS} mentions": round(tail.share_rare, 3),
            "Gini": round(tail.gini, 3),
        }
        for kind, tail in [("all", figures.overall), *figures.by_kind.items()]
    ]
    create_table_artifact(
        table=rows,
        key=f"{artifact_key(corpus)}-entities",
        description=f"Entities of {corpus}'s training reports, found by {figures.tagger}.",
    )


def artifact_key(name: str) -> str:
    """Prefect's artifact keys allow lower case letters, digits and dashes."""
    return name.replace("_", "-")


def show_zero_shot(run: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    """AUROC per set, view and finding, with intervals; what is undefined says why."""
    rows = [
        {
            "set": name,
            "view": view,
            "finding": finding,
            "AUROC": score["auroc"],
            "95 % interval": score["ci95"],
            "positives": score["positives"],
            "note": score["reason"] or "",
        }
        for name, result in results.items()
        for view, of_view in {"all": result, **result["per_view"]}.items()
        for finding, score in of_view["per_finding"].items()
    ]
    macro = "; ".join(f"{name}: macro {result['macro_auroc']}" for name, result in results.items())
    create_table_artifact(
        table=rows, key=f"{artifact_key(run)}-zero-shot", description=f"{run}: {macro}"
    )
