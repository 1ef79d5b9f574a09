"""What a plan draws must never change: the same plan, the same samples, for ever."""

import hashlib

from models.sampling.patients import PatientMix
from models.sampling.rules import SamplingRules
from storage.identity import canonical_json
from storage.units import partition
from tasks.planning import Drawing, built_in_table

# SHA-256 of all rows as JSON, taken before samples were made as columns.
GOLDEN = "71566b918a50bdae6d2caace159bb514d5d7af4f917fc0d3c592a93b374772ff"


def test_rows_of_a_plan_are_those_that_were_ever_drawn() -> None:
    drawing = Drawing(
        table=built_in_table(None, None, finding_weight=2.0),
        rules=SamplingRules(
            clinical_per_report=5,
            anatomy_per_report=2,
            max_uses=80,
            normal_share=0.2,
            uncertain_share=0.3,
            severity_share=0.5,
            max_present_per_report=3,
        ),
        patients=PatientMix(min_age_years=20, max_age_years=80),
        split_shares=(0.6, 0.2, 0.2),
        seed=11,
        fingerprint="f" * 64,
        units=tuple(partition(500, 700, 32)),
    )
    rows = [
        row
        for first in range(0, 700, 100)
        for row in drawing.rows(range(first, first + 100)).to_pylist()
    ]
    assert hashlib.sha256(canonical_json(rows)).hexdigest() == GOLDEN
