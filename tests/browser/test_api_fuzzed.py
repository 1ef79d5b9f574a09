"""`/api` fuzzed from its own description: every answer is as described, and none our error."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import BaseSchema, Case, HookContext
from schemathesis.specs.openapi.checks import positive_data_acceptance

from browser.settings import Settings
from tests.browser.released import FIRST_REJECT, NAME, reference, served

NUM_CALLS = 25  # of every operation
_REAL: dict[str, list[Any]] = {
    "name": [NAME],
    "number": [1],
    "table": ["pairs", "rejects"],
    "sample_id": [reference(index).sample_id for index in (0, 129, FIRST_REJECT + 1)],
}
_FILTERS = {
    "q": ["nodule", '"no pleural effusion" left', '"', "(", "AND", "é∆", "*", "effusion~2"],
    "view": ["PA", "LATERAL", ""],
    "entity": ["abnormality:pleural effusion", "abnormality:"],
    "sort": ["index", "-index", "technical/contrast", "-technical/contrast", "contrast"],
    "min:technical/contrast": ["3", "-1e308", "nan", "1e400"],
    "max:technical/contrast": ["3", "", "0x3"],
}
_TABLES = "/api/datasets/{name}/releases/{number}/{table}"


def _often_real(_: HookContext, made_up: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Names that there are beside names made up, so that not all is simply missing."""
    real = st.fixed_dictionaries({name: st.sampled_from(all_) for name, all_ in _REAL.items()})
    return st.builds(
        lambda made, there, which: {
            name: there.get(name, value) if which[at % len(which)] else value
            for at, (name, value) in enumerate((made or {}).items())
        },
        made_up,
        real,
        st.sampled_from([(True,), (True, True, False), (False,)]),
    )


def _with_filters(context: HookContext, made_up: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Filters, which the description has in words: a facet's name is of the table."""
    assert context.operation is not None
    if context.operation.path not in (_TABLES, f"{_TABLES}/counts"):
        return made_up
    filters = st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(all_) for name, all_ in _FILTERS.items()}
    )
    return st.builds(lambda query, more: (query or {}) | more, made_up, filters)


@pytest.fixture(scope="module")
def api(settings: Settings) -> Iterator[BaseSchema]:
    with served(settings) as address:
        schema = schemathesis.openapi.from_url(f"{address}/api/openapi.json")
        schema.hooks.hook("before_generate_path_parameters")(_often_real)
        schema.hooks.hook("before_generate_query")(_with_filters)
        yield schema


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as found:
        yield found


def test_every_answer_is_as_described(api: BaseSchema, session: requests.Session) -> None:
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 8
    for operation in operations:

        @limits(max_examples=NUM_CALLS, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(hooks=api.hooks))
        def call(case: Case) -> None:
            case.call_and_validate(session=session, excluded_checks=[positive_data_acceptance])

        call()
