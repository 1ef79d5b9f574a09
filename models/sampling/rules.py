"""What a plan says of sampling. Light: flows import it to draw the form."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SamplingStrategy(StrEnum):
    """The two arms of study 1's ablation."""

    BALANCED = "balanced"
    RANDOM = "random"


class SamplingRules(BaseModel):
    """How entities are drawn for each report. Source: study 1 (PAPERS.md), step 3.

    Marks as in PAPERS.md: [R] stated by reviewers, [M] from memory; unmarked: this project's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: SamplingStrategy = Field(
        default=SamplingStrategy.BALANCED,
        description="Balanced: entities equally often, up to max_uses [R]. Random: as often as in "
        "the source, without a cap (the ablation) [M].",
    )
    clinical_per_report: int = Field(
        default=9, ge=1, le=50, description="Clinical entities drawn per report: k = 9 [M]."
    )
    anatomy_per_report: int = Field(
        default=3, ge=0, le=50, description="Anatomy entities drawn per report: m = 3 [M]."
    )
    max_uses: int = Field(
        default=15,
        ge=1,
        le=10_000_000,
        description="How many reports may use one entity: tau_max = 15 for 200,000 reports [M].",
    )
    normal_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of reports that state no finding as present. Study 1 sets none apart: "
        "0; about a third of MIMIC-CXR is such [M].",
    )
    present_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Mean share of present ones among the clinical entities of the other reports, "
        "before the two bounds. None: as the table has them, as in study 1.",
    )
    min_present_per_report: int = Field(
        default=1,
        ge=1,
        le=50,
        description="Fewest present findings in a report that is not normal.",
    )
    max_present_per_report: int | None = Field(
        default=None,
        ge=1,
        le=50,
        description="Most present findings in one report, so that its image stays plausible. None: "
        "no bound, as in study 1.",
    )
    uncertain_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of present findings stated as uncertain. Study 1 draws no status: 0.",
    )
    severity_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of present, certain, gradable findings given a severity. Study 1 draws "
        "none of its own: 0.",
    )

    @model_validator(mode="after")
    def _bounds_agree(self) -> "SamplingRules":
        most = self.max_present_per_report
        if most is not None and most < self.min_present_per_report:
            raise ValueError(
                "max_present_per_report must be at least min_present_per_report "
                f"({self.min_present_per_report}), got {most}; raise it"
            )
        if self.min_present_per_report > self.clinical_per_report:
            raise ValueError(
                "min_present_per_report must be at most clinical_per_report "
                f"({self.clinical_per_report}), got {self.min_present_per_report}; lower it"
            )
        return self

    @property
    def most_present(self) -> int:
        """The most present findings that one report can have."""
        bound = self.max_present_per_report
        return self.clinical_per_report if bound is None else min(bound, self.clinical_per_report)
