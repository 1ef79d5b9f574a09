import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.readers.rows import patient_split
from storage.records import Split

PATIENTS = st.text(min_size=1, max_size=12)


@given(PATIENTS)
def test_patient_split_growing_train_share_moves_patients_only_into_train(patient: str) -> None:
    before = patient_split("nih", patient, (0.5, 0.2, 0.3))
    after = patient_split("nih", patient, (0.7, 0.1, 0.2))
    assert after is Split.TRAIN or before is not Split.TRAIN


def test_patient_split_is_the_same_for_ever() -> None:
    known = [patient_split("openi", f"CXR{number}") for number in range(1, 9)]
    assert [split.value for split in known] == KNOWN


def test_patient_split_shares_are_as_asked() -> None:
    splits = [patient_split("nih", str(patient), (0.6, 0.3, 0.1)) for patient in range(5_000)]
    assert splits.count(Split.TRAIN) / 5_000 == pytest.approx(0.6, abs=0.03)
    assert splits.count(Split.TEST) / 5_000 == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (1.2, -0.1, -0.1)])
def test_patient_split_no_partition_raises(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="add to 1"):
        patient_split("nih", "1", fractions)


KNOWN = ["train", "train", "validation", "train", "train", "validation", "train", "train"]
