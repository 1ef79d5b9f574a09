"""Whose radiograph a synthetic one is: view, sex and age, drawn for each sample from its id."""

import hashlib

from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.records import Sex, View


class PatientMix(BaseModel):
    """Shares of views, sexes and ages. Defaults: ChestX-ray14 (Wang et al. 2017), adults."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ap_share: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of AP views, the others are PA; 40 % in ChestX-ray14.",
    )
    female_share: float = Field(
        default=0.435, ge=0, le=1, description="Share of women; 43.5 % in ChestX-ray14."
    )
    min_age_years: int = Field(default=18, ge=0, le=120, description="Youngest age, years.")
    max_age_years: int = Field(
        default=90, ge=0, le=120, description="Oldest age, years; all from youngest on equally."
    )

    @model_validator(mode="after")
    def _ages_agree(self) -> "PatientMix":
        if self.max_age_years < self.min_age_years:
            raise ValueError(
                f"max_age_years must be at least min_age_years ({self.min_age_years}), "
                f"got {self.max_age_years}; raise it"
            )
        return self

    def describe(self, sample_id: str) -> tuple[View, Sex, int]:
        """View, sex and age in years of one sample; the same for ever for the same id."""
        num_ages = self.max_age_years - self.min_age_years + 1
        return (
            View.AP if position(sample_id, "view") < self.ap_share else View.PA,
            Sex.FEMALE if position(sample_id, "sex") < self.female_share else Sex.MALE,
            self.min_age_years + int(position(sample_id, "age") * num_ages),
        )


def position(sample_id: str, purpose: str) -> float:
    """A number in [0, 1) that a sample and a purpose hash to, uniform over samples.

    A hash and not a generator's stream, so that no library version can move it.
    """
    digest = hashlib.sha256(f"{sample_id}:{purpose}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: exact, and below 1
