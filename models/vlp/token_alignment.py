"""MGCA's token-wise alignment: each word with what it sees, each region with what it reads.

Shape suffixes: B batch, W words, D shared embedding, Q the tokens of one side, K of the other.
"""

import torch
from torch import Tensor
from torch.nn import functional

LOW, HIGH = 0.1, 0.9  # percentiles of the public code


def alignment_loss(
    queries_BQD: Tensor,
    query_mask_BQ: Tensor,
    keys_BKD: Tensor,
    key_mask_BK: Tensor,
    weights_BQ: Tensor,
    temperature: float,
) -> Tensor:
    """InfoNCE within each sample between its tokens and their cross-modal contexts.

    A token's context is the mean of the other side's tokens under softmax(cosine / temperature),
    brought to unit norm. It must be told from the contexts of the sample's other tokens, and the
    token from the other tokens; both directions count half.

    Args:
        queries_BQD: Unit-norm tokens of one side.
        query_mask_BQ: True where there is one.
        keys_BKD: Unit-norm tokens of the other side.
        key_mask_BK: True where there is one.
        weights_BQ: Importance of each query, zero where there is none; each row sums to 1.
        temperature: Of the attention and of the contrast.

    Returns:
        Mean over samples of the weighted sum over queries, nats, scalar.

    Source: Wang et al. 2022 (MGCA), token-wise alignment, without learnt query, key and value
    matrices, as in the public code.
    """
    scores_BQK = queries_BQD @ keys_BKD.transpose(1, 2) / temperature
    attention_BQK = scores_BQK.masked_fill(~key_mask_BK[:, None], -torch.inf).softmax(dim=2)
    contexts_BQD = functional.normalize(attention_BQK @ keys_BKD, dim=-1)
    logits_BQQ = queries_BQD @ contexts_BQD.transpose(1, 2) / temperature
    outside_BQQ = ~(query_mask_BQ[:, :, None] & query_mask_BQ[:, None])
    own_QQ = torch.eye(logits_BQQ.shape[1], dtype=torch.bool, device=logits_BQQ.device)
    logits_BQQ = logits_BQQ.masked_fill(outside_BQQ & ~own_QQ, -torch.inf)
    to_context_BQ = logits_BQQ.log_softmax(dim=2).diagonal(dim1=1, dim2=2)
    to_query_BQ = logits_BQQ.log_softmax(dim=1).diagonal(dim1=1, dim2=2)
    return -(weights_BQ * (to_context_BQ + to_query_BQ) / 2).sum(dim=1).mean()


@torch.no_grad()
def word_weights(attention_BW: Tensor, mask_BW: Tensor) -> Tensor:
    """Importance of each word: the text tower's attention without its extremes, (B, W).

    Clipped to the 10th and 90th percentile of the text's own words; each row sums to 1, zero at
    padding. No gradient passes. Source: MGCA's public code.
    """
    known_BW = attention_BW.masked_fill(~mask_BW, torch.nan)
    low_B1 = known_BW.nanquantile(LOW, dim=1, keepdim=True)
    high_B1 = known_BW.nanquantile(HIGH, dim=1, keepdim=True)
    clipped_BW = attention_BW.clamp(low_B1, high_B1) * mask_BW
    return clipped_BW / clipped_BW.sum(dim=1, keepdim=True)
