"""The commands `reviews`, `slice` and `blind-study`, found through entry points.

They only read, or put one small object: no flow is needed.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.command_options import DEFAULT_ROOT, AsJson, Root, show

Release = Annotated[int | None, typer.Option(help="By default the newest.", min=1)]


def reviews(dataset: str, root: Root = DEFAULT_ROOT, as_json: AsJson = False) -> None:
    """What people decided so far, how well they agree, and what blind studies found."""
    from flows.review_summary import review_summary, review_text

    summary = review_summary(root, dataset)
    show(asdict(summary), review_text(summary), as_json)


def save_slice(
    dataset: str,
    name: Annotated[str, typer.Argument(help="Of the slice.")],
    filter_file: Annotated[Path, typer.Argument(help="A YAML filter; {} takes all pairs.")],
    root: Root = DEFAULT_ROOT,
    release: Release = None,
    as_json: AsJson = False,
) -> None:
    """Save a filter over a release's pairs under a name, to train on or to export."""
    from flows.plan_files import load_plan
    from storage.layout import DatasetLayout
    from storage.objects import open_store
    from storage.releases import open_release
    from storage.slice_scan import matching_ids
    from storage.slices import Slice, SliceFilter
    from storage.slices import save_slice as put_slice

    wanted = load_plan(filter_file, SliceFilter)
    store, layout = open_store(root), DatasetLayout(dataset)
    of = open_release(store, layout, release)
    count = len(matching_ids(store, of, wanted))
    put_slice(store, layout, name, Slice(release=of.number, filter=wanted))
    found = {"slice": name, "release": of.release_id, "num_pairs": count}
    show(found, f"slice {name}: {count} of {of.num_accepted} pairs of {of.release_id}", as_json)


def blind_study(
    dataset: str,
    name: Annotated[str, typer.Argument(help="Of the study.")],
    corpus: Annotated[str, typer.Option(help="An ingested corpus of real images.")],
    root: Root = DEFAULT_ROOT,
    split: Annotated[
        Literal["train", "validation"], typer.Option(help="Whose images are shown.")
    ] = "validation",
    release: Release = None,
    num_each: Annotated[int, typer.Option(help="Real images, and as many made ones.")] = 50,
    image_size_px: Annotated[int, typer.Option(help="Side that all are shown at.")] = 256,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw a blind reader study: real and made images mixed, of which readers guess."""
    from flows.plan_files import parse_plan
    from storage.blind_records import BlindStudyPlan
    from storage.blind_study import create_study
    from storage.layout import DatasetLayout
    from storage.objects import open_store

    settings = {
        "corpus": corpus,
        "split": split,
        "release": release,
        "num_each": num_each,
        "image_size_px": image_size_px,
        "seed": seed,
    }
    plan = parse_plan(settings, BlindStudyPlan, source="blind-study")
    study = create_study(open_store(root), DatasetLayout(dataset), name, plan)
    found = {"study": name, "release": f"{dataset}@{study.release}", "num_items": len(study.items)}
    found |= {"restricted": study.restricted}
    show(found, f"blind study {name}: {len(study.items)} images to read", as_json)
