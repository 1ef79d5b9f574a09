"""What Prefect's UI shows of an evaluation beyond zero-shot classification."""

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_table_artifact

from tasks.artifacts import artifact_key


def show_grounding(run: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Grounding per set and finding, beside a map that sees no image."""
    rows = [
        {
            "set": name,
            "masks": result["masks"],
            "finding": finding,
            "images": one["num_images"],
        }
        | {measure: _value_and_interval(one.get(measure)) for measure in result["macro"]}
        | {"note": one["reason"] or ""}
        for name, result in results.items()
        for finding, one in result["per_finding"].items()
    ]
    create_table_artifact(
        table=rows,
        key=f"{artifact_key(run)}-grounding",
        description=f"{run}: where findings are, by the map of their phrase.",
    )


def show_retrieval(run: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Recall both ways at each depth, beside chance."""
    rows = [
        {
            "set": name,
            "direction": direction.replace("_", " "),
            "measure": depth,
            "value": _value_and_interval(one),
            "chance": round(one["chance"], 3),
            "pairs": result["num_pairs"],
        }
        for name, result in results.items()
        for direction in ("image_to_text", "text_to_image")
        for depth, one in result[direction].items()
    ]
    create_table_artifact(
        table=rows,
        key=f"{artifact_key(run)}-retrieval",
        description=f"{run}: the text of an image among others, and the image of a text.",
    )


def show_few_labels(kind: str, run: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    """AUROC per share of the labels and finding; what is undefined says why."""
    rows = [
        {
            "set": name,
            "share of labels": one["share"],
            "finding": finding,
            "AUROC": score["auroc"],
            "95 % interval": score["ci95"],
            "note": score["reason"] or "",
        }
        for name, result in results.items()
        for one in result["shares"]
        for finding, score in one["per_finding"].items()
    ]
    create_table_artifact(
        table=rows,
        key=f"{artifact_key(run)}-{artifact_key(kind)}",
        description=f"{run}: {kind.replace('_', ' ')} at shares of the labels.",
    )


def show_dense(kind: str, run: str, results: Mapping[str, Mapping[str, Any]]) -> None:
    """Every measure per share of the labels and finding, beside an untrained image tower."""
    rows = [
        {
            "set": name,
            "masks": result.get("masks", "none"),
            "share of labels": one["share"],
            "finding": finding,
        }
        | {measure: _value_and_interval(figures.get(measure)) for measure in one["macro"]}
        | {"note": figures.get("reason") or ""}
        for name, result in results.items()
        for one in result["shares"]
        for finding, figures in {"macro": one["macro"], **one["per_finding"]}.items()
    ]
    create_table_artifact(
        table=rows,
        key=f"{artifact_key(run)}-{artifact_key(kind)}",
        description=f"{run}: {kind} at shares of the labels.",
    )


def _value_and_interval(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    return f"{figure['value']:.3f}" + (" ({:.3f} to {:.3f})".format(*figure["ci95"]))
