"""What a user may set about CLIP, GLoRIA and MGCA. Light: imports no torch before `build`.

"Public code" is the authors' own repository; where it and the paper differ, it is followed,
since the published weights come from it. `docs/pretraining.md` lists what differs here.
"""

from typing import Literal

from pydantic import Field

from models.vlp.objectives import ObjectiveConfig, PretrainingObjective, TowerWidths


class ClipConfig(ObjectiveConfig):
    """CLIP (Radford et al. 2021): symmetric cross-entropy with a learnt logit scale."""

    kind: Literal["clip"] = "clip"
    embedding_size: int = Field(128, ge=8, le=4096, description="Shared space (paper: 512)")
    initial_temperature: float = Field(
        0.07, gt=0, le=1, description="Softmax temperature that training begins with (paper: 0.07)"
    )
    max_logit_scale: float = Field(
        100, gt=1, le=10_000, description="Logits are never scaled by more (paper: 100)"
    )

    def build(self, widths: TowerWidths) -> PretrainingObjective:
        """Linear heads and open_clip's loss."""
        from models.vlp.clip import Clip

        return Clip(self, widths)


class GloriaConfig(ObjectiveConfig):
    """GLoRIA (Huang et al. 2021): images with reports, and words with the regions they attend to.

    The factors multiply similarities: each is 1 / temperature.
    """

    kind: Literal["gloria"] = "gloria"
    embedding_size: int = Field(128, ge=8, le=4096, description="Shared space (paper: 768)")
    attention_factor: float = Field(
        4.0, gt=0, le=100, description="On a word's scores over regions (public code: 4)"
    )
    word_factor: float = Field(
        5.0, gt=0, le=100, description="On words' cosines before their log-sum-exp (public code: 5)"
    )
    logit_factor: float = Field(
        10.0, gt=0, le=1000, description="On both losses' similarities (public code: 10)"
    )
    global_weight: float = Field(
        1.0, ge=0, le=100, description="Of the global loss (public code: 1)"
    )
    local_weight: float = Field(1.0, ge=0, le=100, description="Of the local loss (public code: 1)")

    def build(self, widths: TowerWidths) -> PretrainingObjective:
        """Linear heads and both losses.

        Raises:
            ValueError: If the image tower gives no map of several regions.
        """
        from models.vlp.gloria import Gloria

        return Gloria(self, widths)


class MgcaConfig(ObjectiveConfig):
    """MGCA (Wang et al. 2022): instance-, token- and prototype-level alignment."""

    kind: Literal["mgca"] = "mgca"
    embedding_size: int = Field(128, ge=8, le=4096, description="Shared space (paper: 128)")
    instance_temperature: float = Field(
        0.07, gt=0, le=10, description="Of image against report (public code: 0.07)"
    )
    token_temperature: float = Field(
        0.1, gt=0, le=10, description="Of words against regions (public code: 0.1)"
    )
    prototype_temperature: float = Field(
        0.2, gt=0, le=10, description="Of an embedding over the prototypes (public code: 0.2)"
    )
    num_prototypes: int = Field(
        500, ge=2, le=100_000, description="Clusters that reports and images share (paper: 500)"
    )
    sinkhorn_epsilon: float = Field(
        0.05, ge=0.03, le=10, description="Softness of the assignments (public code: 0.05)"
    )
    sinkhorn_rounds: int = Field(
        3, ge=1, le=100, description="Rounds of balancing the assignments (public code: 3)"
    )
    prototypes_frozen_epochs: float = Field(
        1, ge=0, le=10_000, description="Epochs before the prototypes move (public code: 1)"
    )
    instance_weight: float = Field(1.0, ge=0, le=100, description="Of this loss (public code: 1)")
    token_weight: float = Field(1.0, ge=0, le=100, description="Of this loss (public code: 1)")
    prototype_weight: float = Field(1.0, ge=0, le=100, description="Of this loss (public code: 1)")

    def build(self, widths: TowerWidths) -> PretrainingObjective:
        """Non-linear heads, prototypes and the three losses.

        Raises:
            ValueError: If the image tower gives no map of several regions.
        """
        from models.vlp.mgca import Mgca

        return Mgca(self, widths)
