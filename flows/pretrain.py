"""Pre-train a vision-language model on a release."""

from prefect import flow

from flows.training_plans import PretrainPlan
from tasks.events import announce_checkpoint
from tasks.training import RunRef, train_model


@flow(name="pretrain", flow_run_name="pretrain {plan.name}")
def pretrain(plan: PretrainPlan, root: str = "./factory") -> RunRef:
    """Train the plan's model on one release of a dataset; the same release again is the same run.

    Args:
        plan: Release, objective, towers and training.
        root: Folder or s3://bucket/prefix that holds the dataset.
    """
    run = train_model(
        root, plan.name, plan.dataset, plan.release, plan.slice, plan.reviews, plan.model
    )
    announce_checkpoint(root, run.run, run.trained_on)
    return run
