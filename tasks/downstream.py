"""The evaluate stage's further tasks: a trained run and images in, metrics out."""

from functools import partial
from typing import Any

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from models.downstream.few_labels import FineTuningConfig, LinearProbeConfig
from models.downstream.grounding import GroundingConfig, evaluate_grounding, phrase_maps
from models.downstream.heldout import masked_phantoms
from models.downstream.labelled_splits import LabelledSplits
from models.downstream.masked_images import MaskedImages
from models.downstream.retrieval import ImageTexts, RetrievalConfig, evaluate_retrieval
from models.engines import EngineConfig
from models.images import decode_png
from models.vocabulary.concepts import load_vocabulary
from storage.layout import DatasetLayout, Table
from storage.objects import open_store, storage_options_of
from storage.records import Split
from storage.releases import open_release, open_table
from storage.tables import lance_errors
from tasks.evaluation import measured_with_draws, measured_with_scores, painting, trained_model


@task(name="require-maps", cache_policy=NO_CACHE, persist_result=False)
def require_maps(root: str, run: str, config: GroundingConfig) -> None:
    """Refuse a run that cannot say where, before anything is painted for it.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If its model makes no such maps.
    """
    phrase_maps(trained_model(root, run), config)(np.zeros((8, 8), np.uint8), "chest")


@task(name="paint-masked-set", cache_policy=NO_CACHE, persist_result=False)
def paint_masked_set(name: str, painter: EngineConfig, num_images: int, seed: int) -> MaskedImages:
    """Held-out images and the masks of their findings.

    Raises:
        ValueError: If the painter knows no masks.
    """
    with painting(painter) as queue:
        return masked_phantoms(queue, num_images, seed, load_vocabulary(), name)


@task(name="evaluate-grounding", cache_policy=NO_CACHE, persist_result=False)
def measure_grounding(
    root: str, run: str, validation: MaskedImages, test: MaskedImages, config: GroundingConfig
) -> dict[str, Any]:
    """Zero-shot grounding of a run, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If its model makes no such maps.
    """
    return measured_with_draws(
        root,
        run,
        "grounding",
        test.name,
        lambda model: evaluate_grounding(model, validation, test, config),
        said={"masks": test.origin.value},
    )


@task(name="read-pairs", cache_policy=NO_CACHE, persist_result=False)
def read_pairs(
    name: str,
    root: str,
    dataset: str,
    release_number: int | None,
    split: Split,
    max_pairs: int,
    seed: int,
) -> ImageTexts:
    """Pairs of a release's split with their whole reports, grouped by patient where one is real.

    Raises:
        ObjectMissing: If there is no such release.
        ValueError: If the split has no pairs.
    """
    from models.vlp.data import PairSource, read_texts  # imports torch
    from models.vlp.text_views import views_of

    store, layout = open_store(root), DatasetLayout(dataset)
    release = open_release(store, layout, release_number)
    source = PairSource(
        uri=store.uri(layout.table(Table.PAIRS)),
        version=release.versions[Table.PAIRS],
        storage_options=partial(storage_options_of, root),
    )
    texts = read_texts(source, split)
    reports = [report for (report,) in views_of(texts, "report")]
    random = np.random.default_rng([seed, *b"retrieval"])
    chosen = np.sort(random.choice(len(texts), min(max_pairs, len(texts)), replace=False))
    rows = texts.rows[chosen].tolist()
    table = open_table(store, release, Table.PAIRS)
    patients = table.take(rows, columns=["source_patient_id"])["source_patient_id"].to_pylist()
    with lance_errors(table.uri):
        images = table.read_blobs("image", indices=rows, preserve_order=True)
    return ImageTexts(
        name=name,
        images=[decode_png(png or b"") for _, png in images],
        texts=tuple(reports[number] for number in chosen),
        groups=tuple(
            patient or texts.sample_ids[number]
            for patient, number in zip(patients, chosen, strict=True)
        ),
    )


@task(name="evaluate-retrieval", cache_policy=NO_CACHE, persist_result=False)
def measure_retrieval(
    root: str, run: str, pairs: ImageTexts, config: RetrievalConfig
) -> dict[str, Any]:
    """Image-text retrieval of a run, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If there are no two different texts.
    """
    return measured_with_draws(
        root,
        run,
        "retrieval",
        pairs.name,
        lambda model: evaluate_retrieval(model, pairs, config),
    )


@task(name="evaluate-linear-probe", cache_policy=NO_CACHE, persist_result=False)
def measure_linear_probe(
    root: str, run: str, splits: LabelledSplits, config: LinearProbeConfig
) -> dict[str, Any]:
    """A linear probe of a run, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
    """
    from models.downstream.linear_probe import evaluate_linear_probe  # imports scikit-learn

    return measured_with_scores(
        root,
        run,
        "linear_probe",
        splits.name,
        lambda model: evaluate_linear_probe(model, splits, config),
    )


@task(name="evaluate-fine-tuning", cache_policy=NO_CACHE, persist_result=False)
def measure_fine_tuning(
    root: str, run: str, splits: LabelledSplits, config: FineTuningConfig
) -> dict[str, Any]:
    """Full fine-tuning of a run's image tower, written to the run's `metrics.json`.

    Raises:
        ObjectMissing: If there is no such run.
        ValueError: If the device is not there, or the loss is no number.
    """
    from models.downstream.fine_tuning import evaluate_fine_tuning  # imports torch

    return measured_with_scores(
        root,
        run,
        "fine_tuning",
        splits.name,
        lambda model: evaluate_fine_tuning(model, splits, config),
    )
