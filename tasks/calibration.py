"""The tasks that calibrate a gate: real images in, what a plan names and held-out figures out."""

from dataclasses import asdict
from typing import Any, NamedTuple

from prefect import get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE

from models.engines import EngineConfig
from models.gates.calibration_rules import CalibrationRules
from storage.corpora import read_corpus
from storage.folders import working_folder
from storage.layout import model_folder
from storage.objects import ObjectStore, open_store
from storage.records import Split
from tasks.artifacts import artifact_key
from tasks.image_sources import (
    CorpusImages,
    FolderImages,
    Found,
    SpoiledImages,
    evenly,
    read_examples,
    shrunk,
)
from tasks.settle import code_version
from tasks.training import update_metrics

BANK_FILE = "bank.safetensors"

GoodImages = CorpusImages | FolderImages
BadImages = CorpusImages | FolderImages | SpoiledImages


class _Labelled(NamedTuple):
    good: Found
    bad: Found

    @property
    def restricted(self) -> bool:
        return self.good.restricted or self.bad.restricted


@task(name="calibrate-similarity", cache_policy=NO_CACHE, persist_result=False)
def calibrate_similarity(
    root: str,
    run: str,
    good: GoodImages,
    bad: BadImages,
    encoder: EngineConfig,
    rules: CalibrationRules,
) -> dict[str, Any]:
    """Write `models/<run>/bank.safetensors`, calibrated on one half of the patients.

    Returns:
        What is written to the run's `metrics.json`: the figures are of the other half.

    Raises:
        ValueError: If a source has no images, or too few patients.
        EngineUnavailable: If the encoder's weights are missing.
    """
    from models.gates.bank import BankOrigin, save_bank
    from models.gates.calibration import calibrate_on_half  # imports scikit-learn

    store, opened = open_store(root), encoder.open()
    labelled = _read_labelled(store, good, bad, rules)
    bank, held_out = calibrate_on_half(
        opened, labelled.good.examples, labelled.bad.examples, rules.acceptance, rules.seed
    )
    origin = BankOrigin(opened.info.kind, opened.info.revision, labelled.restricted)
    with working_folder(store, model_folder(run)) as folder:
        save_bank(bank, origin, folder / BANK_FILE)
    metrics = {
        "run": run,
        "gate": {
            "kind": "similarity",
            "bank": store.uri(f"{model_folder(run)}/{BANK_FILE}"),
            "encoder": encoder.model_dump(mode="json"),
        },
        "origin": asdict(origin),
        "calibration": asdict(bank.calibration),
        "held_out": held_out.as_dict(),
        "num_unreadable": labelled.good.num_unreadable + labelled.bad.num_unreadable,
        "code_version": code_version(),
    }
    show_held_out(run, metrics)
    return update_metrics(store, run, metrics)


def show_held_out(run: str, metrics: dict[str, Any]) -> None:
    """A table of what the gate caught, by fault; of restricted images, of all faults together.

    What is wrong with a restricted image is in words of its source, which stay under the root.
    """
    held_out, restricted = metrics["held_out"], metrics["origin"]["restricted"]
    faults = {} if restricted else held_out["recall_by_kind"]
    rows = [{"fault": fault, "recall": recall} for fault, recall in faults.items()]
    create_table_artifact(
        table=[{"fault": "all", "recall": held_out["recall"]}, *rows],
        key=f"{artifact_key(run)}-calibration",
        description=(
            f"{run}: acceptance of good images {held_out['acceptance']:.3f}, measured on "
            f"{held_out['num_good']} good and {held_out['num_bad']} bad images of other patients."
        ),
    )


def _read_labelled(
    store: ObjectStore, good: GoodImages, bad: BadImages, rules: CalibrationRules
) -> _Labelled:
    found = read_examples(store, good, rules, good=True)
    if isinstance(bad, SpoiledImages):
        from models.gates.examples import spoiled_examples

        spoiled = spoiled_examples(found.examples, bad.num_per_kind, rules.seed)
        labelled = _Labelled(found, Found(spoiled, 0, found.restricted))
    else:
        labelled = _Labelled(found, read_examples(store, bad, rules, good=False))
    if num_unreadable := found.num_unreadable + labelled.bad.num_unreadable:
        get_run_logger().warning("%d images could not be read and were left out", num_unreadable)
    return labelled


@task(name="calibrate-agreement", cache_policy=NO_CACHE, persist_result=False)
def calibrate_agreement(
    root: str, run: str, corpus: str, encoder: EngineConfig, rules: CalibrationRules
) -> dict[str, Any]:
    """Choose the least cosine on pairs of training patients; writes the run's `metrics.json`.

    Raises:
        ValueError: If the corpus has too few images with an impression.
    """
    from models.gates import thresholds

    store = open_store(root)
    source, opened = read_corpus(store, corpus), encoder.open()
    shown = evenly(source.images(Split.TRAIN), source.num_rows, rules.max_images)
    pairs = [image for image in shown if image.impression]
    figures = thresholds.calibrate_agreement(
        opened.embed([shrunk(image.image, rules.max_side_px) for image in pairs]),
        opened.embed_texts([image.impression for image in pairs]),
        [image.patient_id for image in pairs],
        rules.acceptance,
        rules.seed,
    )
    metrics = {
        "run": run,
        "gate": {
            "kind": "agreement",
            "encoder": encoder.model_dump(mode="json"),
            "min_cosine": round(figures.min_cosine, 6),
        },
        "held_out": asdict(figures),
        "code_version": code_version(),
    }
    return update_metrics(store, run, metrics)
