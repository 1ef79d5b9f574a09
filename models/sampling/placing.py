"""Which anatomy of a report a finding is placed in, and dealing anatomy so that more can be.

Shapes: N reports, K clinical and M anatomy entities in each.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.sampling.dealing import Conflicts, Entities, fits, independent

NOWHERE = -1
MayBePlaced = Callable[[NDArray[np.integer], NDArray[np.integer]], NDArray[np.bool_]]
_MAX_ROUNDS = 30
_WORTH_ANOTHER_ROUND = 0.002  # share of proposals accepted below which the search ends
_MAX_PROPOSALS = 100_000


def place_findings(
    clinical_RK: Entities,
    num_present_R: NDArray[np.int8],
    anatomy_RM: Entities,
    may_be_placed: MayBePlaced,
) -> NDArray[np.int8]:
    """Give each present finding the first anatomy of its report it may be in and none yet has.

    Returns:
        int8 (reports, K): column of the anatomy, or `NOWHERE`.
    """
    num_rows, num_clinical = clinical_RK.shape
    num_anatomy = anatomy_RM.shape[1]
    chosen = np.full((num_rows, num_clinical), NOWHERE, np.int8)
    free = np.ones((num_rows, num_anatomy), bool)
    for finding in range(int(num_present_R.max(initial=0))):
        open_ = num_present_R > finding
        for place in range(num_anatomy):
            possible = open_ & free[:, place]
            rows = np.flatnonzero(possible)
            rows = rows[may_be_placed(clinical_RK[rows, finding], anatomy_RM[rows, place])]
            chosen[rows, finding] = place
            free[rows, place] = False
            open_[rows] = False
    return chosen


def improve_places(
    clinical_NK: Entities,
    num_present_N: NDArray[np.int8],
    anatomy_NM: Entities,
    may_be_placed: MayBePlaced,
    conflicts: Conflicts,
    generator: np.random.Generator,
) -> None:
    """Swap idle anatomy between reports, in place, wherever more findings are placed for it.

    Uses do not change, and no report comes to hold an anatomy twice.
    """
    num_columns = anatomy_NM.shape[1]
    if num_columns == 0:
        return
    flat = anatomy_NM.reshape(-1)
    for _ in range(_MAX_ROUNDS):
        idle = _idle_places(clinical_NK, num_present_N, anatomy_NM, may_be_placed)
        pairs = generator.permutation(idle)[: 2 * _MAX_PROPOSALS]
        here, there = pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :][: len(pairs) // 2]
        proposed = len(here)
        keep = independent(here // num_columns, there // num_columns)
        here, there = here[keep], there[keep]
        good = fits(anatomy_NM, here, flat[there], conflicts)
        good &= fits(anatomy_NM, there, flat[here], conflicts)
        here, there = here[good], there[good]
        gain = np.zeros(len(here), np.int64)
        for target, source in ((here, there), (there, here)):
            rows, columns = np.divmod(target, num_columns)
            before = anatomy_NM[rows]
            after = before.copy()
            after[np.arange(len(rows)), columns] = flat[source]
            for anatomy, sign in ((after, 1), (before, -1)):
                placed = place_findings(
                    clinical_NK[rows], num_present_N[rows], anatomy, may_be_placed
                )
                gain += sign * (placed != NOWHERE).sum(axis=1)
        here, there = here[gain > 0], there[gain > 0]
        flat[here], flat[there] = flat[there], flat[here]
        if len(here) <= _WORTH_ANOTHER_ROUND * proposed:
            return


def _idle_places(
    clinical_NK: Entities,
    num_present_N: NDArray[np.int8],
    anatomy_NM: Entities,
    may_be_placed: MayBePlaced,
) -> NDArray[np.intp]:
    """Flat places of the anatomy that no finding of its report is in."""
    chosen = place_findings(clinical_NK, num_present_N, anatomy_NM, may_be_placed)
    idle = np.ones(anatomy_NM.shape, bool)
    rows, findings = np.nonzero(chosen != NOWHERE)
    idle[rows, chosen[rows, findings]] = False
    return np.flatnonzero(idle)
