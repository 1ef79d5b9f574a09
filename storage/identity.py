"""Who a sample is: fingerprint of a plan, id and seeds of a sample. Pure functions of content."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from storage.records import Stage

SEED_BITS = 63  # a seed fits a signed 64-bit column, and what torch and numpy take


def canonical_json(value: Any) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8; refuses NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def fingerprint(content: Mapping[str, Any]) -> str:
    """Names the work: SHA-256 of all that affects content, 64 hex digits."""
    return hashlib.sha256(canonical_json(content)).hexdigest()


def sample_id(plan_fingerprint: str, index: int) -> str:
    """32 hex digits from (fingerprint, index); the same plan gives the same ids for ever."""
    return hashlib.sha256(f"{plan_fingerprint}:{index}".encode()).hexdigest()[:32]


def sample_seed(sample: str, stage: Stage, try_number: int) -> int:
    """Seed of one try at one sample in one stage, 0 ≤ seed < 2^63; never depends on the batch.

    Args:
        sample: The sample's id.
        stage: Write, paint or judge.
        try_number: 1 for the first try.
    """
    digest = hashlib.sha256(f"{sample}:{stage}:{try_number}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)
