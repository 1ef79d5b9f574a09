import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from models.vlp.mgca import Mgca, balanced_assignments
from models.vlp.objective_configs import MgcaConfig
from models.vlp.objectives import GroundingObjective, ImageFeatures, TextFeatures, TowerWidths
from models.vlp.token_alignment import word_weights

from .plain import (
    WIDTHS,
    Row,
    both_ways,
    cross_entropy,
    region_rows,
    reordered,
    require_gradients,
    rows,
    softmax,
    some_features,
    two_layers,
    unit,
    with_more_padding,
    with_other_special_marks,
    word_rows,
    words_of,
)

NUM_PROTOTYPES = 9


def objective(**settings: float) -> Mgca:
    torch.manual_seed(1)
    config = MgcaConfig.model_validate(
        {"embedding_size": 8, "num_prototypes": NUM_PROTOTYPES, **settings}
    )
    mgca = Mgca(config, WIDTHS).double()
    mgca.constrain()  # unit norm in float64 too
    return mgca


def projected(head: torch.nn.Sequential, found: Sequence[Row]) -> list[Row]:
    return [unit(two_layers(head, row)) for row in found]


def plain_percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def plain_word_weights(texts: TextFeatures, text: int) -> list[float]:
    attention = rows(texts.attention_BL)[text]
    shares = [sum(float(attention[place]) for place in word) for word in words_of(texts, text)]
    low, high = plain_percentile(shares, 0.1), plain_percentile(shares, 0.9)
    clipped = [min(max(share, low), high) for share in shares]
    return [share / sum(clipped) for share in clipped]


def plain_alignment(queries: list[Row], keys: list[Row], weights: list[float]) -> float:
    """One sample: every token against every context, both ways."""
    contexts = []
    for query in queries:
        shares = softmax([float(query @ key) / 0.1 for key in keys])
        contexts.append(unit(sum((s * k for s, k in zip(shares, keys, strict=True)), 0 * keys[0])))
    loss = 0.0
    for place, weight in enumerate(weights):
        to_context = [float(queries[place] @ context) / 0.1 for context in contexts]
        to_query = [float(query @ contexts[place]) / 0.1 for query in queries]
        loss += weight * (cross_entropy(to_context, place) + cross_entropy(to_query, place)) / 2
    return loss


def plain_sinkhorn(scores: Sequence[Sequence[float]]) -> list[list[float]]:
    """Three rounds at epsilon 0.05, in the order of the public code: prototypes, then samples."""
    count, num = len(scores), len(scores[0])
    q = [[math.exp(scores[b][k] / 0.05) for b in range(count)] for k in range(num)]
    total = sum(sum(row) for row in q)
    q = [[value / total for value in row] for row in q]
    for _ in range(3):
        for k in range(num):
            used = sum(q[k])
            q[k] = [value / used / num for value in q[k]]
        for b in range(count):
            used = sum(q[k][b] for k in range(num))
            for k in range(num):
                q[k][b] = q[k][b] / used / count
    return [[q[k][b] * count for k in range(num)] for b in range(count)]


def plain_terms(mgca: Mgca, images: ImageFeatures, texts: TextFeatures) -> dict[str, float]:
    seen = projected(mgca.image_head, list(rows(images.pooled_BC)))
    read = projected(mgca.text_head, list(rows(texts.pooled_BC)))
    count = len(seen)
    instance = sum(both_ways([[float(i @ t) / 0.07 for t in read] for i in seen]))
    token = 0.0
    for b in range(count):
        words = projected(mgca.word_head, word_rows(texts, b))
        regions = projected(mgca.region_head, region_rows(images, b))
        token += plain_alignment(words, regions, plain_word_weights(texts, b)) / count
        token += plain_alignment(regions, words, [1 / len(regions)] * len(regions)) / count
    prototypes = rows(mgca.prototypes_KD)
    sides = [[[float(p @ row) for p in prototypes] for row in side] for side in (seen, read)]
    codes = [plain_sinkhorn(side) for side in sides]
    prototype = 0.0
    for code, other in ((codes[0], sides[1]), (codes[1], sides[0])):
        for b in range(count):
            shares = softmax([score / 0.2 for score in other[b]])
            wrong = sum(q * math.log(p) for q, p in zip(code[b], shares, strict=True))
            prototype -= wrong / count / 2
    return {"instance": instance, "token": token, "prototype": prototype}


def test_mgca_float64_equals_the_plain_equations() -> None:
    mgca, (images, texts) = objective(token_weight=0.7, prototype_weight=0.5), some_features()
    expected = plain_terms(mgca, images, texts)
    loss = mgca.loss(images, texts, 2.0)
    found = {name: term.item() for name, term in loss.terms.items()}
    assert found == pytest.approx(expected, rel=1e-9)
    total = expected["instance"] + 0.7 * expected["token"] + 0.5 * expected["prototype"]
    assert loss.total.item() == pytest.approx(total, rel=1e-9)


def test_mgca_gradients_agree_with_finite_differences() -> None:
    """Of the two losses without assignments; those are constants, which differences would move."""
    mgca, (images, texts) = objective(prototype_weight=0), some_features()
    parameters = [p for name, p in mgca.named_parameters() if name != "prototypes_KD"]
    inputs = (*require_gradients(images, texts), *parameters)
    assert torch.autograd.gradcheck(lambda *_: mgca.loss(images, texts, 2.0).total, inputs)


def test_mgca_prototype_gradient_treats_the_assignments_as_constants() -> None:
    mgca, (images, texts) = objective(instance_weight=0, token_weight=0), some_features()
    (gradient,) = torch.autograd.grad(mgca.loss(images, texts, 2.0).total, [mgca.prototypes_KD])
    seen, read = (rows(e) for e in (mgca.embed_images(images), mgca.embed_texts(texts)))
    prototypes = rows(mgca.prototypes_KD)
    expected = np.zeros_like(prototypes)
    for own, other in ((seen, read), (read, seen)):
        code = plain_sinkhorn((other @ prototypes.T).tolist())
        for b in range(4):
            shares = softmax([float(own[b] @ p) / 0.2 for p in prototypes])
            for k in range(NUM_PROTOTYPES):
                expected[k] += (shares[k] - code[b][k]) / 0.2 / 4 / 2 * own[b]
    np.testing.assert_allclose(rows(gradient), expected, rtol=1e-9, atol=1e-14)


def test_mgca_prototypes_wait_for_the_end_of_the_first_epoch() -> None:
    mgca, (images, texts) = objective(), some_features()

    def moves(progress: float) -> bool:
        mgca.zero_grad(set_to_none=True)
        torch.autograd.backward(mgca.loss(images, texts, progress).total)
        return mgca.prototypes_KD.grad is not None

    assert (moves(0.0), moves(0.99), moves(1.0)) == (False, False, True)


def test_mgca_constrain_brings_prototypes_back_to_unit_norm() -> None:
    mgca = objective()
    direction = torch.nn.functional.normalize(mgca.prototypes_KD.detach(), dim=1)
    mgca.prototypes_KD.data.mul_(3)
    mgca.constrain()
    torch.testing.assert_close(mgca.prototypes_KD.detach(), direction)


@pytest.mark.parametrize("change", [with_more_padding, with_other_special_marks])
def test_mgca_padding_and_special_marks_change_nothing(
    change: Callable[[TextFeatures], TextFeatures],
) -> None:
    mgca, (images, texts) = objective(), some_features()
    torch.testing.assert_close(
        mgca.loss(images, change(texts), 2.0).total,
        mgca.loss(images, texts, 2.0).total,
        rtol=1e-12,
        atol=0,
    )


def test_mgca_padding_gets_no_gradient() -> None:
    mgca, (images, texts) = objective(), some_features()
    texts.local_BLC.requires_grad_()
    (gradient,) = torch.autograd.grad(mgca.loss(images, texts, 2.0).total, [texts.local_BLC])
    assert torch.isfinite(gradient).all()
    assert (gradient[texts.words_BL < 0] == 0).all()


def test_mgca_order_of_the_batch_changes_nothing() -> None:
    mgca, (images, texts) = objective(), some_features()
    again = mgca.loss(*reordered(images, texts, [1, 3, 0, 2]), 2.0)
    torch.testing.assert_close(again.total, mgca.loss(images, texts, 2.0).total, rtol=1e-9, atol=0)


def test_balanced_assignments_use_prototypes_alike_and_follow_the_scores() -> None:
    random = torch.Generator().manual_seed(0)
    scores = torch.rand(40, 8, generator=random, dtype=torch.float64)
    code = balanced_assignments(scores, 0.05, 50)
    torch.testing.assert_close(code.sum(dim=1), torch.ones(40, dtype=torch.float64))
    torch.testing.assert_close(code.sum(dim=0), torch.full((8,), 5.0, dtype=torch.float64),
                               rtol=1e-3, atol=0)  # fmt: skip
    own = torch.eye(8, dtype=torch.float64)
    assert (balanced_assignments(own, 0.05, 3).argmax(dim=1) == torch.arange(8)).all()


def test_balanced_assignments_float32_extremes_stay_finite() -> None:
    scores = torch.full((6, 4), -1.0)
    scores[0, 0] = 1.0
    assert torch.isfinite(balanced_assignments(scores, 0.03, 10)).all()


def test_word_weights_clip_to_the_percentiles_of_real_words() -> None:
    attention = torch.tensor([[1.0, 2.0, 3.0, 100.0, 50.0], [4.0, 9.0, 9.0, 9.0, 9.0]])
    mask = torch.tensor([[True] * 4 + [False], [True] + [False] * 4])
    weights = word_weights(attention, mask)
    low, high = 1.3, 3 + 0.7 * 97
    total = low + 2 + 3 + high
    assert weights[0].tolist() == pytest.approx(
        [low / total, 2 / total, 3 / total, high / total, 0]
    )
    assert weights[1].tolist() == [1, 0, 0, 0, 0]


def test_mgca_maps_equal_the_plain_equations() -> None:
    mgca, (images, texts) = objective(), some_features()
    assert isinstance(mgca, GroundingObjective)
    attention = mgca.attention_maps(images, texts)
    similarity = mgca.similarity_maps(images, texts)
    for b in range(4):
        words = projected(mgca.word_head, word_rows(texts, b))
        regions = projected(mgca.region_head, region_rows(images, b))
        for place, word in enumerate(words):
            shares = softmax([float(word @ region) / 0.1 for region in regions])
            np.testing.assert_allclose(rows(attention[b, place]).ravel(), shares, rtol=1e-9)
        means = [sum(float(word @ region) for word in words) / len(words) for region in regions]
        np.testing.assert_allclose(rows(similarity[b]).ravel(), means, rtol=1e-9, atol=1e-12)


def test_mgca_for_a_tower_with_one_region_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"mgca needs a map of several regions .*, got 1; raise"):
        Mgca(MgcaConfig(), TowerWidths(7, 5, 6, 4, num_regions=1))
