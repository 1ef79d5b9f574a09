import pytest

from models.painters.finetuning.data import Radiograph, read_training_set
from storage.errors import DamagedObject
from storage.records import Split

from .conftest import SIDE, made_radiograph


def test_read_training_set_keeps_order_patients_and_size() -> None:
    found = read_training_set([made_radiograph(k) for k in range(4)], 16, 1)
    assert found.images_N1SS.shape == (4, 1, 16, 16)
    assert found.patient_ids == ("patient0", "patient0", "patient1", "patient1")
    with_mass, without = found.images_N1SS[:2, 0, :, :8].float().mean(dim=(1, 2))
    assert with_mass > without + 100


@pytest.mark.parametrize("split", [Split.VALIDATION, Split.TEST])
def test_read_training_set_refuses_a_patient_of_another_split(split: Split) -> None:
    given = [made_radiograph(0), made_radiograph(1, split)]
    with pytest.raises(
        ValueError, match=f"train patients only, got image 'image1' of split {split}"
    ):
        read_training_set(given, SIDE, 1)


def test_read_training_set_hash_follows_the_content() -> None:
    given = [made_radiograph(k) for k in range(3)]
    first = read_training_set(given, SIDE, 1)
    assert read_training_set(given, SIDE, 1).sha256 == first.sha256
    assert read_training_set(given[:2], SIDE, 1).sha256 != first.sha256


def test_read_training_set_without_images_or_room_says_so() -> None:
    with pytest.raises(ValueError, match="got none; ingest a larger corpus"):
        read_training_set([], SIDE, 1)
    with pytest.raises(ValueError, match="must fit memory_limit_mib 1, got more than 1 of 1024 px"):
        read_training_set([made_radiograph(0), made_radiograph(1)], 1024, 1)


def test_read_training_set_of_a_damaged_file_names_it() -> None:
    whole = made_radiograph(7)
    cut = Radiograph("image7", "p", Split.TRAIN, whole.image[:40], whole.subject)
    with pytest.raises(DamagedObject, match=r"image 'image7'.*ingest the corpus again"):
        read_training_set([cut], SIDE, 1)
