import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sampling.feasibility import Demand, Supply
from models.sampling.quotas import draw_num_present, draw_uses


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.data())
def test_draw_uses_adds_up_and_keeps_every_cap(caps: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(caps)))
    weights = np.linspace(0.1, 5, len(caps))
    uses = draw_uses(weights, np.array(caps), total, np.random.default_rng(3))
    assert uses.sum() == total
    assert (uses <= caps).all()
    assert (uses >= 0).all()


def test_draw_uses_without_caps_follows_the_weights() -> None:
    weights = np.array([1.0, 3.0])
    uses = draw_uses(weights, np.array([10_000, 10_000]), 8_000, np.random.default_rng(0))
    assert abs(uses[1] / uses[0] - 3) < 0.2


def test_draw_num_present_normal_reports_have_none_and_bounds_hold() -> None:
    demand = Demand(1000, 300, 6, 2, 1, 4)
    numbers = draw_num_present(demand, Supply(50, 50, 20, 900), 0.5, np.random.default_rng(1))
    assert (numbers == 0).sum() == 300
    assert numbers.max() == 4


def test_draw_num_present_scarce_present_pool_is_not_overdrawn() -> None:
    demand = Demand(100, 0, 4, 0, 1, 4)
    numbers = draw_num_present(demand, Supply(5, 50, 0, 30), 1.0, np.random.default_rng(1))
    assert numbers.sum() == 150  # all uses that 5 entities with a cap of 30 have
    assert numbers.min() >= 1
