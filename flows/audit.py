"""Study 1's first step: put a real corpus to the gates that made images must pass."""

from collections.abc import Mapping
from typing import Any

from prefect import flow

from flows.plans import ImageGateConfig, Name
from tasks.audit import audit_images


@flow(name="audit-corpus", flow_run_name="audit {corpus}")
def audit_corpus(
    corpus: Name, gates: tuple[ImageGateConfig, ...], root: str = "./factory"
) -> dict[str, Any]:
    """Check every image of a corpus by image gates; the table and a sheet lie beside the corpus.

    Args:
        corpus: An ingested corpus of images.
        gates: As in a plan's image_rules.
        root: Folder or s3://bucket/prefix that holds the corpus.
    """
    return audit_images(root, corpus, gates)


def audit_text(summary: Mapping[str, Any]) -> str:
    """What was found: per gate and reason, then where it goes with view or finding."""
    total, rejected = summary["num_images"], summary["num_rejected"]
    lines = [f"{summary['corpus']}: {rejected} of {total} images rejected ({rejected / total:.1%})"]
    for row in summary["rows"]:
        place = row["name"] if row["group"] != "all" else f"{row['gate']}: {row['reason']}"
        indent = "  " if row["group"] == "all" else "    "
        lines.append(
            f"{indent}{place:<32} {row['num_rejected']:>6} of {row['num_images']:<7} "
            f"{row['share']:.1%}"
        )
    return "\n".join([*lines, f"table, verdicts and sheet: {summary['folder']}"])
