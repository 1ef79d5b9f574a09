"""What the automations promise an operator, without a server."""

from datetime import timedelta

import pytest
from prefect.events.schemas.automations import AutomationCore, EventTrigger
from prefect.settings import get_current_settings

from deployments.automations import mute_runs, silent_runs, stuck_runs

TWO_MINUTES = timedelta(seconds=120)
ACTING = timedelta(seconds=20)  # what a busy server took, at most, from its look to the new state


@pytest.mark.parametrize(
    "automation", [silent_runs(), mute_runs(), stuck_runs()], ids=lambda one: one.name
)
def test_slot_of_a_run_whose_process_is_gone_is_free_within_two_minutes(
    automation: AutomationCore,
) -> None:
    assert isinstance(automation.trigger, EventTrigger)
    looks_every = get_current_settings().server.events.proactive_granularity
    assert automation.trigger.within + looks_every + ACTING < TWO_MINUTES
