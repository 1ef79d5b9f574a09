"""The server's SQLite: of two that read and then write, the second waits and is not refused."""

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database import dependencies
from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL, temporary_settings

from deployments import waiting_prefect
from deployments.waiting_prefect import WaitingSqlite

POSTGRES = "postgresql+asyncpg://prefect:secret@127.0.0.1:5432/prefect"


def _address(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder}/prefect.db"


async def _count_up_at_once(config: AioSqliteConfiguration, times: int) -> int:
    """So many transactions side by side, each of which reads a number and writes the next."""
    engine = await config.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE counter AS SELECT 0 AS number"))

    async def count_up() -> None:
        async with await config.session(engine) as session, config.begin_transaction(session):
            (number,) = (await session.execute(sa.text("SELECT number FROM counter"))).one()
            await asyncio.sleep(0.02)  # all others come to here
            await session.execute(sa.text(f"UPDATE counter SET number = {number + 1}"))

    await asyncio.gather(*(count_up() for _ in range(times)))
    async with engine.connect() as connection:
        (number,) = (await connection.execute(sa.text("SELECT number FROM counter"))).one()
        return int(number)


def test_all_that_read_and_then_write_are_counted(tmp_path: Path) -> None:
    assert asyncio.run(_count_up_at_once(WaitingSqlite(_address(tmp_path)), 5)) == 5


def test_prefects_own_refuses_them_or_this_module_is_no_longer_needed(tmp_path: Path) -> None:
    with pytest.raises(sa.exc.OperationalError, match="database is locked"):
        asyncio.run(_count_up_at_once(AioSqliteConfiguration(_address(tmp_path)), 5))


@pytest.mark.parametrize("is_sqlite", [True, False])
def test_prefects_command_runs_on_it_where_the_database_is_sqlite(
    is_sqlite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran_on: list[object] = []
    monkeypatch.setitem(dependencies.MODELS_DEPENDENCIES, "database_config", None)
    monkeypatch.setattr(
        waiting_prefect,
        "app",
        lambda: ran_on.append(dependencies.MODELS_DEPENDENCIES["database_config"]),
    )
    address = _address(tmp_path) if is_sqlite else POSTGRES
    with temporary_settings({PREFECT_API_DATABASE_CONNECTION_URL: address}):
        waiting_prefect.main()
    assert [type(found) for found in ran_on] == [WaitingSqlite if is_sqlite else type(None)]
