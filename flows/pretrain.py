"""Pre-train a vision-language model on a release, or on a mixture of releases and corpora."""

from prefect import flow

from flows.training_plans import PretrainPlan
from storage.choice import release_of
from storage.layout import DatasetLayout
from storage.objects import open_store
from tasks.events import announce_checkpoint
from tasks.training import RunRef, run_name, train_model
from tasks.training_mixture import mixture_run_name, train_mixture


@flow(name="pretrain", flow_run_name="pretrain {plan.name}")
def pretrain(plan: PretrainPlan, root: str = "./factory") -> RunRef:
    """Train the plan's model on its data; the same data again are the same run.

    Args:
        plan: Release or mixture, objective, towers and training.
        root: Folder or s3://bucket/prefix that holds the data.
    """
    run = _train(plan, root)
    announce_checkpoint(root, run.run, run.trained_on)
    return run


def _train(plan: PretrainPlan, root: str) -> RunRef:
    if plan.mixture is not None:
        return train_mixture(root, plan.name, plan.mixture.parts(), plan.model)
    assert plan.dataset is not None, "a plan without a mixture has a dataset"
    return train_model(
        root, plan.name, plan.dataset, plan.release, plan.slice, plan.reviews, plan.model
    )


def planned_run(root: str, plan: PretrainPlan) -> str:
    """The name of the run that a plan makes, or made.

    Raises:
        ObjectMissing: If there is no such release or slice.
        ValueError: If the slice is of another release.
    """
    store = open_store(root)
    if plan.mixture is not None:
        return mixture_run_name(store, plan.name, plan.mixture.parts())
    assert plan.dataset is not None, "a plan without a mixture has a dataset"
    release = release_of(store, DatasetLayout(plan.dataset), plan.release, plan.slice)
    return run_name(plan.name, release)
