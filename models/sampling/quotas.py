"""How often each entity is used and how many present findings each report has, before any is dealt.

Study 1 draws for each report and redraws what is over its cap. Deciding all uses first gives the
same caps without the search for free entities that ends in retries when nearly all are used up.
"""

import numpy as np
from numpy.typing import NDArray

from models.sampling.feasibility import Demand, Supply


def draw_uses(
    weights: NDArray[np.float64],
    caps: NDArray[np.int64],
    total: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Draw `total` times by weight; draw those over their cap again, by capacity left.

    Args:
        weights: (entities,), > 0.
        caps: (entities,), most uses of each; they add to at least `total`.
        total: Draws.
        generator: Source of randomness.

    Returns:
        Uses of each entity, int64 (entities,), at most its cap, adding to `total`.
    """
    assert caps.sum() >= total, (caps.sum(), total)
    if not total:
        return np.zeros(len(caps), np.int64)
    drawn = generator.multinomial(total, weights / weights.sum())
    uses = np.minimum(drawn, caps)
    while excess := total - int(uses.sum()):
        left = caps - uses
        # a round settles most of the excess even when capacity left equals it
        drawn = generator.multinomial(excess, left / left.sum())
        uses += np.minimum(drawn, left)
    return uses


def draw_num_present(
    demand: Demand, supply: Supply, mean_share: float, generator: np.random.Generator
) -> NDArray[np.int8]:
    """How many of each report's clinical entities are present ones.

    Normal reports have none; the others a binomial number, within the rules' bounds, moved one by
    one until both pools suffice.

    Args:
        demand: What the reports need.
        supply: What the table can give.
        mean_share: Mean share of present ones in a report that is not normal.
        generator: Source of randomness.

    Returns:
        int8 (candidates,).
    """
    lowest, highest = demand.present_bounds(supply)
    normal = np.zeros(demand.num_candidates, bool)
    normal[generator.permutation(demand.num_candidates)[: demand.num_normal]] = True
    drawn = generator.binomial(demand.clinical_per_report, mean_share, demand.num_candidates)
    numbers = np.clip(drawn, lowest, highest)
    numbers[normal] = 0
    fewest, most = demand.present_total(supply)
    wanted = int(np.clip(numbers.sum(), fewest, most))
    while missing := wanted - int(numbers.sum()):
        step = 1 if missing > 0 else -1
        movable = np.flatnonzero(~normal & (numbers != (highest if step > 0 else lowest)))
        numbers[generator.permutation(movable)[: abs(missing)]] += step
    return numbers.astype(np.int8)
