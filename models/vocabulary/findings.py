"""The 14 findings of ChestX-ray14 (Wang et al. 2017): dataset label and canonical term."""

from enum import StrEnum


class Finding(StrEnum):
    """Value: the label as in the `Finding Labels` column of ChestX-ray14."""

    ATELECTASIS = "Atelectasis"
    CARDIOMEGALY = "Cardiomegaly"
    CONSOLIDATION = "Consolidation"
    EDEMA = "Edema"
    EFFUSION = "Effusion"
    EMPHYSEMA = "Emphysema"
    FIBROSIS = "Fibrosis"
    HERNIA = "Hernia"
    INFILTRATION = "Infiltration"
    MASS = "Mass"
    NODULE = "Nodule"
    PLEURAL_THICKENING = "Pleural_Thickening"
    PNEUMONIA = "Pneumonia"
    PNEUMOTHORAX = "Pneumothorax"

    @property
    def term(self) -> str:
        """The canonical entity text used in requests, reports and prompts."""
        return _TERMS.get(self, self.value.replace("_", " ").lower())


_TERMS = {
    Finding.EFFUSION: "pleural effusion",
    Finding.EDEMA: "pulmonary edema",
    Finding.HERNIA: "hiatal hernia",
    Finding.MASS: "lung mass",
    Finding.NODULE: "lung nodule",
    Finding.INFILTRATION: "lung infiltrate",
    Finding.FIBROSIS: "pulmonary fibrosis",
}
