import pytest
from pydantic import ValidationError

from models.sampling.rules import SamplingRules, SamplingStrategy


def test_rules_defaults_are_those_of_the_study() -> None:
    rules = SamplingRules()
    assert rules.strategy is SamplingStrategy.BALANCED
    assert (rules.clinical_per_report, rules.anatomy_per_report, rules.max_uses) == (9, 3, 15)
    assert rules.most_present == 9


def test_rules_every_field_has_a_description() -> None:
    assert all(field.description for field in SamplingRules.model_fields.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_uses": 0}, "greater than or equal to 1"),
        ({"normal_share": 1.5}, "less than or equal to 1"),
        ({"tau_max": 3}, "Extra inputs"),
        ({"min_present_per_report": 4, "max_present_per_report": 3}, "must be at least"),
        ({"min_present_per_report": 4, "clinical_per_report": 3}, "must be at most"),
    ],
)
def test_rules_impossible_settings_raise(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SamplingRules.model_validate(settings)
