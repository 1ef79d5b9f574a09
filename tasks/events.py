"""Events of our own, which deployments trigger on; never on a flow run's completion."""

from prefect.events import emit_event

from storage.objects import open_store
from storage.releases import Release

DATASET_RELEASED = "cxr-factory.dataset.released"
CHECKPOINT_TRAINED = "cxr-factory.checkpoint.trained"
ROOT_LABEL = "cxr-factory.root"  # datasets of two roots may have the same name


def announce_release(root: str, release: Release) -> None:
    """Emit that a release stands. Emitted again by every re-run: what it triggers is idempotent."""
    where = open_store(root).root  # absolute: what is triggered runs in another folder
    emit_event(
        event=DATASET_RELEASED,
        resource={
            "prefect.resource.id": f"cxr-factory.release.{release.dataset}.{release.number}",
            "prefect.resource.name": release.release_id,
            ROOT_LABEL: where,
        },
        payload={
            "root": where,
            "dataset": release.dataset,
            "release": release.number,
            "fingerprint": release.fingerprint,
            "num_accepted": release.num_accepted,
            "complete": release.complete,
        },
    )


def announce_checkpoint(root: str, run: str, release_id: str) -> None:
    """Emit that a run's checkpoint stands."""
    where = open_store(root).root
    emit_event(
        event=CHECKPOINT_TRAINED,
        resource={
            "prefect.resource.id": f"cxr-factory.run.{run}",
            "prefect.resource.name": run,
            ROOT_LABEL: where,
        },
        payload={"root": where, "run": run, "release": release_id},
    )
