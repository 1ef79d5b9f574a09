"""The pretrain stage's task: a release in, a checkpoint and its metrics out."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.vlp.configs import PretrainingConfig
from storage.choice import choose
from storage.folders import working_folder
from storage.json_files import parse_json
from storage.layout import DatasetLayout, Table, model_folder
from storage.objects import ObjectStore, open_store, storage_options_of
from storage.releases import Release
from storage.review_rules import ReviewRules
from tasks.settle import code_version

if TYPE_CHECKING:
    from models.vlp.checkpoint import TrainingProvenance  # imports torch
    from models.vlp.trainer import TrainingResult

METRICS_FILE = "metrics.json"


@dataclass(frozen=True, slots=True)
class RunRef:
    """A model run under a root: what crosses Prefect instead of weights.

    Attributes:
        trained_on: The release ("demo@1"); of a mixture, its sources ("demo@1 + nih").
    """

    root: str
    run: str
    trained_on: str
    metrics: dict[str, Any]


def run_name(plan_name: str, release: Release) -> str:
    """One name per plan and release, so that training twice on one release is one run."""
    return f"{plan_name}-r{release.number}"


@task(name="train-model", cache_policy=NO_CACHE, persist_result=False, retries=1)
def train_model(
    root: str,
    plan_name: str,
    dataset: str,
    release_number: int | None,
    slice_name: str | None,
    reviews: ReviewRules,
    config: PretrainingConfig,
) -> RunRef:
    """Train on a release, or go on where a run was cut off; writes `metrics.json`.

    Raises:
        ObjectMissing: If there is no such release or slice.
        ValueError: If slice and reviews leave nothing to train on.
        PlanMismatch: If a run of this name was made by another plan.
    """
    from models.vlp.checkpoint import TrainingProvenance  # imports torch
    from models.vlp.data import PairSource
    from models.vlp.trainer import pretrain

    store, layout = open_store(root), DatasetLayout(dataset)
    choice = choose(store, layout, release_number, slice_name, reviews)
    release = choice.release
    run = run_name(plan_name, release)
    source = PairSource(
        uri=store.uri(layout.table(Table.PAIRS)),
        version=release.versions[Table.PAIRS],
        storage_options=partial(storage_options_of, root),
    )
    provenance = TrainingProvenance(
        plan=config.model_dump_json(),
        dataset=dataset,
        release=release.release_id,
        code_version=code_version(),
        choice=choice.described,
    )
    with working_folder(store, model_folder(run)) as folder:
        result = pretrain(config, source, folder, provenance, among=choice.sample_ids)
    return finished_run(
        store,
        run,
        config,
        provenance,
        result,
        restricted=release.restricted,
        num_chosen=choice.num_samples,
    )


def finished_run(
    store: ObjectStore,
    run: str,
    config: PretrainingConfig,
    provenance: "TrainingProvenance",
    result: "TrainingResult",
    *,
    restricted: bool,
    num_chosen: int,
) -> RunRef:
    """Write what is known of a finished training into its `metrics.json`.

    Args:
        store: The root.
        run: Name of the run.
        config: Of the model.
        provenance: As in the checkpoint.
        result: Of the training.
        restricted: Whether it learnt from credentialed data.
        num_chosen: Samples that were taken of its data, of all splits that were read.
    """
    read_back = {
        "plan": config.model_dump(mode="json"),
        "sources": json.loads(provenance.sources or "[]"),
    }
    metrics = {
        "run": run,
        "release": provenance.release,
        "restricted": restricted,
        "provenance": asdict(provenance) | read_back,
        "num_samples_chosen": num_chosen,
        "training": {
            "steps": result.num_steps,
            "loss": result.loss,
            "seconds": round(result.seconds, 3),
        },
    }
    merged = update_metrics(store, run, metrics)
    return RunRef(store.root, run, provenance.release, merged)


def update_metrics(store: ObjectStore, run: str, metrics: dict[str, Any]) -> dict[str, Any]:
    """Merge into the run's `metrics.json`; a stage replaces what it wrote before."""
    merged = read_metrics(store, run) | metrics
    data = json.dumps(merged, indent=2, sort_keys=True).encode()
    store.put(f"{model_folder(run)}/{METRICS_FILE}", data)
    return merged


def read_metrics(store: ObjectStore, run: str) -> dict[str, Any]:
    """What is known of a run; empty before its training ended."""
    key = f"{model_folder(run)}/{METRICS_FILE}"
    return parse_json(store.get(key), store.uri(key)) if store.exists(key) else {}
