"""The Prefect server of one machine: on SQLite, what wants to write waits its turn.

    python -m deployments.waiting_prefect server start --port 4200

SQLite lets one write at a time. Prefect begins most of its transactions as readers; one of them
that comes to write while another writes is refused at once ("database is locked"), however long it
was told to wait. On a busy server automations then miss events for good, and workers' signs of life
are refused. Begun as writers they wait; Prefect itself begins so where it says `with_for_update`.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.cli import app
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import set_database_config
from prefect.server.utilities.database import get_dialect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class WaitingSqlite(AioSqliteConfiguration):
    """SQLite, every transaction begun as a writer; what only reads has none in Prefect."""

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Wait for all that write, up to the minute that Prefect allows."""
        async with super().begin_transaction(session, with_for_update=True) as transaction:
            yield transaction


def main() -> None:
    """Prefect's own command, on such a database where it is SQLite."""
    address = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(address).name == "sqlite":
        set_database_config(WaitingSqlite(address))
    app()


if __name__ == "__main__":
    main()
