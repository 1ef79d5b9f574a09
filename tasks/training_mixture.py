"""The pretrain stage's task for a mixture: several sources in, a checkpoint and its metrics out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.vlp.configs import PretrainingConfig
from models.vlp.phases import PhaseWeights
from models.vocabulary.findings import Finding
from storage.folders import working_folder
from storage.identity import canonical_json
from storage.layout import model_folder, valid_name
from storage.objects import ObjectStore, open_store
from tasks.settle import code_version
from tasks.training import RunRef, finished_run
from tasks.training_sources import ReadSource, TrainingSource


@dataclass(frozen=True, slots=True)
class MixtureParts:
    """What is mixed.

    Attributes:
        sources: Each once, in the order in which phases first name them.
        phases: With a weight for each source.
    """

    sources: tuple[TrainingSource, ...]
    phases: tuple[PhaseWeights, ...]


@dataclass(frozen=True, slots=True)
class TrainingCounts:
    """What there is to train on.

    Attributes:
        num_pairs: Of all sources together; a pair of two sources counts twice.
        by_source: Pairs of each, by its name ("demo@1", "nih"), in their order.
        findings: How many pairs speak of each of the 14 findings as present, by its label.
    """

    num_pairs: int
    by_source: tuple[tuple[str, int], ...]
    findings: dict[str, int]


@task(name="train-mixture", cache_policy=NO_CACHE, persist_result=False, retries=1)
def train_mixture(
    root: str, plan_name: str, mixture: MixtureParts, config: PretrainingConfig
) -> RunRef:
    """Train on a mixture, or go on where a run was cut off; writes `metrics.json`.

    Raises:
        ObjectMissing: If there is no such release or slice.
        ValueError: If there is no such corpus, a source has nothing to train on, or too little for
            its share of a batch.
        PlanMismatch: If a run of this name was made by another plan, or of other data.
    """
    from models.vlp.checkpoint import TrainingProvenance  # imports torch
    from models.vlp.trainer import pretrain_mixture
    from models.vlp.training_pairs import TrainingMixture

    store = open_store(root)
    run = mixture_run_name(store, plan_name, mixture)
    read = [source.read(store) for source in mixture.sources]
    provenance = TrainingProvenance(
        plan=config.model_dump_json(),
        dataset="",
        release=" + ".join(one.source.name for one in read),
        code_version=code_version(),
        sources=canonical_json(described_sources(read, mixture.phases)).decode(),
    )
    training = TrainingMixture(tuple(one.source for one in read), mixture.phases)
    with working_folder(store, model_folder(run)) as folder:
        result = pretrain_mixture(config, training, folder, provenance)
    return finished_run(
        store,
        run,
        config,
        provenance,
        result,
        restricted=any(one.restricted for one in read),
        num_chosen=sum(len(one.source.train) + len(one.source.validation) for one in read),
    )


def mixture_run_name(store: ObjectStore, plan_name: str, mixture: MixtureParts) -> str:
    """`<name>-mix`, then `-r<release>` for each release among the sources, in their order.

    So that a newer release is a new run, as it is where a plan names one release alone.

    Raises:
        ObjectMissing: If there is no such release.
        ValueError: If the name becomes too long.
    """
    numbers = [source.release_number(store) for source in mixture.sources]
    releases = "".join(f"-r{number}" for number in numbers if number is not None)
    return valid_name("run name", f"{plan_name}-mix{releases}")


def count_training_pairs(root: str, mixture: MixtureParts) -> TrainingCounts:
    """What a mixture has to train on, without training.

    Raises:
        ObjectMissing: If there is no such release or slice.
        ValueError: If there is no such corpus, or a source has nothing to train on.
    """
    store = open_store(root)
    totals = dict.fromkeys((finding.value for finding in Finding), 0)
    by_source: list[tuple[str, int]] = []
    for source in mixture.sources:
        read = source.read(store)
        by_source.append((read.source.name, len(read.source.train)))
        for finding, count in source.findings(store, read).items():
            totals[finding.value] += count
    return TrainingCounts(sum(count for _, count in by_source), tuple(by_source), totals)


def described_sources(
    read: Sequence[ReadSource], phases: Sequence[PhaseWeights]
) -> list[dict[str, Any]]:
    """Each source with the phases it is in: their numbers from 1, shares and its weight there."""
    return [
        {
            **one.described,
            "phases": [
                _described_phase(number, phase, place)
                for number, phase in enumerate(phases, start=1)
                if phase.weights[place]
            ],
        }
        for place, one in enumerate(read)
    ]


def _described_phase(number: int, phase: PhaseWeights, place: int) -> dict[str, Any]:
    said: dict[str, Any] = {"phase": number, "share": phase.share, "weight": phase.weights[place]}
    # said where it differs, so that a run from before there was a choice still resumes
    return said if phase.batches == "mixed" else said | {"batches": phase.batches}
