"""Says in a dataset's log and artifacts when its shards wait in a pool that begins nothing.

Nothing fails for it: the shards are begun when a worker comes, or when the pool is resumed.
"""

import time
from collections.abc import Callable, Collection
from uuid import UUID

from prefect.logging import get_run_logger

from tasks.artifacts import show_idle_pools
from tasks.waiting import IdlePool

LOOK_SECONDS = 10.0


class PoolWatch:
    """Looks now and then, and speaks when something has changed.

    Args:
        dataset: Whose shards wait.
        idle_pools: Asks the server which pools begin none of these runs.
    """

    def __init__(
        self, dataset: str, idle_pools: Callable[[Collection[UUID]], list[IdlePool]]
    ) -> None:
        self._dataset = dataset
        self._idle_pools = idle_pools
        self._known: dict[tuple[str, bool], IdlePool] = {}
        self._looked_at = time.monotonic()

    def look(self, runs: Collection[UUID]) -> None:
        """Say which pools have become idle, and which no longer are.

        Args:
            runs: Of the dataset's shards, that have not ended.
        """
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = time.monotonic()
        idle = {(pool.name, pool.is_paused): pool for pool in self._idle_pools(runs)}
        logger = get_run_logger()
        for why in idle.keys() - self._known.keys():
            logger.warning("%s", idle[why])
        if self._known and not idle:
            logger.info("no shard waits in vain any more")
        if idle.keys() != self._known.keys():
            show_idle_pools(self._dataset, [*idle.values()])
        self._known = idle
