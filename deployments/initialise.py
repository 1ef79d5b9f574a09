"""`cxr-factory init`: all that the factory needs on a Prefect server."""

from deployments.automations import ensure_automations
from deployments.changes import Change
from deployments.connection import connect
from deployments.pools import ensure_pools, ensure_variables
from deployments.registration import ensure_deployments
from storage.objects import open_store


def initialise(root: str) -> list[Change]:
    """Create what lacks on the server, renew what is older than the installed code.

    Args:
        root: Folder or s3://bucket/prefix that runs read and write by default.

    Raises:
        ServerUnavailable: If there is no server, or it refuses us.
        ValueError: If the root names another kind of store.
    """
    where = open_store(root).root  # absolute: a worker's runs are in folders of their own
    with connect() as client:
        return [
            *ensure_pools(client),
            *ensure_variables(client),
            *ensure_deployments(client, where),
            *ensure_automations(client),
        ]
