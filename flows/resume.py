"""Go on with a dataset whose orchestrator crashed, however far it had come."""

from prefect import flow

from flows.generate import DEFAULT_ROOT, generate_dataset
from flows.plans import DatasetPlan
from storage.releases import Release


@flow(name="resume-dataset", flow_run_name="resume {plan.name}")
def resume_dataset(plan: DatasetPlan, root: str = DEFAULT_ROOT) -> Release:
    """Do what generate-dataset has left; an automation starts it when that has crashed.

    The same work under another name, so that an orchestrator that crashes again and again is gone
    on with once. Unlike retry-failed-units it needs no locked plan: a run may crash before that.

    Args:
        plan: That of the run that crashed.
        root: Folder or s3://bucket/prefix that holds the dataset.
    """
    return generate_dataset(plan, root)
