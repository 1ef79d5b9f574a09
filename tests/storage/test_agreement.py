import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from storage.agreement import Question, agreements, cohen_kappa
from storage.review_records import Review, ReviewDecision
from storage.reviews import standing_reviews
from tests.storage.made import decided

_DECISIONS = {"k": ReviewDecision.KEEP, "r": ReviewDecision.REJECT, "f": ReviewDecision.FLAG}


def _said(**letters: str) -> dict[str, dict[str, Review]]:
    """Each reviewer's decisions on samples 0, 1, …; a dot is none."""
    return standing_reviews(
        decided(str(sample), name, _DECISIONS[letter])
        for name, of_name in letters.items()
        for sample, letter in enumerate(of_name)
        if letter != "."
    )


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_cohen_kappa_is_that_of_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    counts = [[0, 0], [0, 0]]
    for one, other in pairs:
        counts[not one][not other] += 1
    found = cohen_kappa(counts)
    if len({value for pair in pairs for value in pair}) == 1:
        assert found is None
        return
    assert found is not None
    kappa, (low, high) = found
    assert kappa == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)), abs=1e-9)
    assert -1 <= low <= kappa + 1e-12 and kappa - 1e-12 <= high <= 1


def test_cohen_kappa_interval_is_that_of_a_bootstrap() -> None:
    counts = np.array([[200, 60], [45, 95]])
    random = np.random.default_rng(0)
    drawn = random.multinomial(400, counts.ravel() / 400, size=4000).reshape(-1, 2, 2)
    kappas = [found[0] for table in drawn if (found := cohen_kappa(table.tolist()))]
    found = cohen_kappa(counts.tolist())
    assert found is not None
    assert found[1] == pytest.approx(np.percentile(kappas, [2.5, 97.5]), abs=0.01)


def test_agreements_count_samples_both_decided_and_flags_apart() -> None:
    standing = _said(ann="kkrrfk.", bob="krrrkff", eve="......k")
    found = {(one.reviewers, one.question): one for one in agreements(standing)}
    assert len(found) == 3 * 2
    keep = found[("ann", "bob"), Question.KEEP]
    assert (keep.num_samples, keep.share) == (4, 0.75)
    assert keep.kappa == pytest.approx(cohen_kappa_score(list("kkrr"), list("krrr")))
    flag = found[("ann", "bob"), Question.FLAG]
    assert (flag.num_samples, flag.share) == (6, pytest.approx(4 / 6))
    assert flag.kappa == pytest.approx(cohen_kappa_score([0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]))
    apart = found[("ann", "eve"), Question.KEEP]
    assert (apart.num_samples, apart.kappa, apart.ci95) == (0, None, None)
    assert apart.undefined == "no sample that both decided"


def test_agreements_where_nothing_varies_are_undefined_and_say_so() -> None:
    (keep, flag) = agreements(_said(ann="kkk", bob="kkk"))
    assert (keep.share, keep.kappa) == (1.0, None)
    assert "both said the same of every sample" in keep.undefined
    assert flag.kappa is None
