"""Segmentation and grounding on real corpora: masks as drawn, or boxes filled."""

import json
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.evaluation import evaluate
from flows.evaluation_summary import evaluation_text
from flows.generate import generate_dataset
from flows.ingest import ingest_corpus
from flows.plan_files import parse_plan
from flows.study_images import require_marks
from flows.study_plans import StudyPlan
from flows.study_work import lock_study
from flows.training_plans import EvaluatePlan
from models.downstream.masked_images import MaskedImages, MaskOrigin
from models.vocabulary.findings import Finding
from storage.corpora import ImageNote
from storage.readers.rows import CorpusImage, Mask, patient_split
from storage.readers.siim import SIDE_PX
from storage.records import Split
from tasks.corpus_masks import (
    ByMark,
    by_mark,
    masked_images,
    read_masked_sets,
    read_masked_splits,
)
from tests.flows.conftest import tiny_plan
from tests.flows.test_study import study_settings
from tests.flows.tiny_runs import pretrained
from tests.storage.readers.made_datasets import write
from tests.storage.readers.made_files import dicom, dicom_bytes, grey, png, write_csv

MASS, PNEUMOTHORAX = Finding.MASS, Finding.PNEUMOTHORAX
SETTINGS = {
    "shares": [1.0],
    "num_resamples": 100,
    "steps": 2,
    "batch_size": 8,
    "device": "cpu",
}
BOXED = {"kind": "corpus", "corpus": "framed", "masks": "filled_boxes"}
NUM_SHOWN = 2  # images of each split of `drawn` with a pneumothorax; without, twice as many


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("factory"))
    generate_dataset(tiny_plan(), folder)
    _ingest_drawn(tmp_path_factory.mktemp("siim"), folder)
    _ingest_framed(tmp_path_factory.mktemp("nih"), folder)
    return folder


@pytest.fixture(scope="module")
def run(root: str) -> str:
    return pretrained(root, "gloria")


def _ids(split: Split, number: int) -> list[str]:
    """Images of the challenge that are of a split, by the hash that gives it them."""
    ids = (f"1.2.{place}" for place in count())
    return list(islice((one for one in ids if patient_split("siim", one) is split), number))


def _ingest_drawn(source: Path, root: str) -> None:
    """SIIM: a pneumothorax of 256 x 128 px in two overlapping masks, or none."""
    image = dicom_bytes(dicom(np.zeros((SIDE_PX, SIDE_PX), np.uint8), ViewPosition="PA"))
    lines = []
    for split in Split:
        for number, image_id in enumerate(_ids(split, 3 * NUM_SHOWN)):
            write(source / f"stage_2_images/{image_id}.dcm", image)
            masks = [_column_runs(512, 700), _column_runs(600, 768)]
            encoded = masks if number < NUM_SHOWN else ["-1"]
            lines += [{"ImageId": image_id, "EncodedPixels": runs} for runs in encoded]
    write_csv(source / "stage_2_train.csv", lines)
    ingest_corpus("siim", str(source), "drawn", root)


def _column_runs(left: int, right: int) -> str:
    """Rows 128 to 256 of the columns from left to right."""
    first = [left * SIDE_PX + 128, 128]
    return " ".join(map(str, first + [SIDE_PX - 128, 128] * (right - left - 1)))


def _ingest_framed(source: Path, root: str) -> None:
    """NIH, 64 x 32 px: a third with a framed mass, a third bare, a third with an unframed one."""
    columns = ("Image Index", "Finding Labels", "Follow-up #", "Patient ID", "Patient Age")
    columns += ("Patient Gender", "View Position")
    kinds = ("Mass", "No Finding", "Mass|Nodule")
    rows = [
        dict(zip(columns, (f"{n:04}.png", kinds[n % 3], 0, n, 50, "F", "PA"), strict=True))
        for n in range(90)
    ]
    write_csv(source / "labels.csv", rows)
    for row in rows:
        image = png(np.full((32, 64), 90, np.uint8))
        write(source / "images" / str(row["Image Index"]), image)
    lines = [f"{n:04}.png,Mass,256,128,512,256,,," for n in range(0, 90, 3)]
    head = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (source / "bbox.csv").write_text("\n".join([head, *lines]) + "\n")
    ingest_corpus("nih", str(source), "framed", root)


def _shown(masked: MaskedImages, finding: Finding) -> list[str]:
    return [masked.groups[number] for number, _, _ in masked.showing(finding)]


def test_drawn_masks_are_those_of_the_source_at_the_towers_size(root: str, run: str) -> None:
    splits = read_masked_splits.fn(
        "siim", root, run, "drawn", MaskOrigin.DRAWN, (PNEUMOTHORAX,), None, 0
    )
    expected = np.zeros((32, 32), bool)
    expected[4:8, 16:24] = True
    for masked, split in zip((splits.train, splits.validation, splits.test), Split, strict=True):
        ids = _ids(split, 3 * NUM_SHOWN)
        assert sorted(masked.groups) == sorted(ids), "as split at ingest"
        assert sorted(_shown(masked, PNEUMOTHORAX)) == sorted(ids[:NUM_SHOWN])
        assert masked.origin is MaskOrigin.DRAWN
        for _, image_HW, mask_HW in masked.showing(PNEUMOTHORAX):
            assert image_HW.shape == (32, 32)
            np.testing.assert_array_equal(mask_HW, expected)


def test_filled_boxes_leave_out_what_is_labelled_and_not_framed(root: str, run: str) -> None:
    splits = read_masked_splits.fn(
        "nih", root, run, "framed", MaskOrigin.FILLED_BOXES, (MASS,), None, 0
    )
    expected = np.zeros((16, 32), bool)
    expected[2:6, 8:24] = True
    sets = (splits.train, splits.validation, splits.test)
    assert sum(len(one.images) for one in sets) == 60
    for masked, split in zip(sets, Split, strict=True):
        assert {patient_split("nih", who) for who in masked.groups} == {split}
        assert set(_shown(masked, MASS)) == {who for who in masked.groups if int(who) % 3 == 0}
        assert {image_HW.shape for image_HW in masked.images} == {(16, 32)}, "without padding"
        for _, _, mask_HW in masked.showing(MASS):
            np.testing.assert_array_equal(mask_HW, expected)


def test_blank_training_images_are_drawn_and_the_others_are_all_kept(root: str, run: str) -> None:
    splits = read_masked_splits.fn(
        "siim", root, run, "drawn", MaskOrigin.DRAWN, (PNEUMOTHORAX,), 1, 0
    )
    assert len(splits.train.images) == 2 * NUM_SHOWN
    assert len(_shown(splits.train, PNEUMOTHORAX)) == NUM_SHOWN
    assert len(splits.test.images) == len(splits.validation.images) == 3 * NUM_SHOWN
    many = ByMark(("a", "b"), tuple(map(str, range(100))))
    assert many.drawn(3, seed=0) == many.drawn(3, seed=0) != many.drawn(3, seed=1)
    assert len(set(many.drawn(3, seed=0))) == 2 + 6
    assert many.drawn(None, seed=0) == many.drawn(1000, seed=0)[:2] + many.blank
    assert set(many.drawn(1000, seed=0)) == set(many.all)


def test_images_are_told_apart_by_marks_and_labels() -> None:
    def note(image_id: str, labels: tuple[str, ...], uncertain: tuple[str, ...] = ()) -> ImageNote:
        return ImageNote(0, image_id, image_id, labels, uncertain)

    notes = [
        note("framed", ("Mass",)),
        note("unframed", ("Mass",)),
        note("possible", (), ("Mass",)),
        note("half", ("Mass", "Nodule")),
        note("other", ("Hernia",)),
        note("unlabelled", ()),
    ]
    marked = {"framed": {"Mass"}, "half": {"Mass"}, "unlabelled": {"Mass"}, "other": {"Hernia"}}
    found = by_mark(notes, marked, (MASS, Finding.NODULE))
    assert found.shown == ("framed", "unlabelled")
    assert found.blank == ("other",)
    assert by_mark(notes, marked, (Finding.NODULE,)).shown == ()


def test_segmentation_and_grounding_on_drawn_masks_are_written_and_said(
    root: str, run: str
) -> None:
    labels = {"kind": "corpus", "corpus": "drawn"}
    tasks: list[dict[str, Any]] = [
        {
            "kind": "segmentation",
            "name": "siim",
            "labels": labels | {"blank_per_shown": 1},
            "settings": SETTINGS | {"findings": ["Pneumothorax"]},
        },
        {"kind": "grounding", "name": "siim", "labels": labels},
    ]
    plan = EvaluatePlan.model_validate({"run": run, "tasks": tasks})
    assert EvaluatePlan.model_validate_json(plan.model_dump_json()) == plan
    results = evaluate(plan, root)
    stored = json.loads((Path(root) / "models" / run / "metrics.json").read_text())
    assert stored["segmentation"] == json.loads(json.dumps(results["segmentation"]))
    segmented, grounded = (stored[kind]["siim"] for kind in ("segmentation", "grounding"))
    assert segmented["masks"] == grounded["masks"] == "drawn"
    (full,) = segmented["shares"]
    assert (full["num_train_images"], segmented["num_images"]) == (2 * NUM_SHOWN, 3 * NUM_SHOWN)
    assert full["per_finding"]["Pneumothorax"]["num_test_images"] == NUM_SHOWN
    assert (grounded["num_images"], grounded["num_validation_images"]) == (NUM_SHOWN, NUM_SHOWN)
    pneumothorax = grounded["per_finding"]["Pneumothorax"]
    assert pneumothorax["chance_pointing_game"]["value"] == 32 / 32**2
    assert pneumothorax["fixed_map_dice"]["value"] == 1, "always in the same place"
    said = evaluation_text(results)
    assert f"segmentation on siim ({3 * NUM_SHOWN} images, masks drawn): " in said
    assert f"grounding on siim ({NUM_SHOWN} images, masks drawn): " in said


def test_segmentation_and_grounding_on_filled_boxes_say_so_and_what_is_undefined(
    root: str, run: str
) -> None:
    settings = SETTINGS | {"findings": ["Mass", "Hernia"]}
    tasks: list[dict[str, Any]] = [
        {"kind": "segmentation", "name": "nih", "labels": BOXED, "settings": settings},
        {"kind": "grounding", "name": "nih", "labels": BOXED, "settings": {"num_resamples": 100}},
    ]
    results = evaluate(EvaluatePlan.model_validate({"run": run, "tasks": tasks}), root)
    segmented, grounded = results["segmentation"]["nih"], results["grounding"]["nih"]
    assert segmented["masks"] == grounded["masks"] == "filled_boxes"
    (full,) = segmented["shares"]
    assert 0 <= full["per_finding"]["Mass"]["dice"]["value"] <= 1
    reason = full["per_finding"]["Hernia"]["reason"]
    assert reason == "undefined: no image to train on shows it"
    assert 0 <= grounded["per_finding"]["Mass"]["iou"]["value"] <= 1
    reason = grounded["per_finding"]["Nodule"]["reason"]
    assert reason == "undefined: no validation image shows it"
    assert "grounding on nih (" in evaluation_text(results)
    assert ", masks filled boxes): " in evaluation_text(results)


def test_corpus_without_such_masks_is_one_line_before_anything_is_trained(
    root: str, run: str, tmp_path: Path
) -> None:
    lines = [{"image": f"{k}.png", "patient_id": f"p{k}", "labels": "Mass"} for k in range(3)]
    for line in lines:
        write(tmp_path / line["image"], grey(side_px=48))
    write_csv(tmp_path / "list.csv", lines)
    ingest_corpus("folder", str(tmp_path), "bare", root)
    findings = {"findings": ["Mass"]}
    for labels, said in (
        ({"corpus": "framed"}, r"'framed' \(nih\) has no masks; say masks: filled_boxes if it has"),
        ({"corpus": "bare", "masks": "filled_boxes"}, r"'bare' \(folder\) has no boxes to fill"),
        ({"corpus": "absent"}, "expected a corpus 'absent'"),
    ):
        for kind, settings in (("segmentation", SETTINGS | findings), ("grounding", {})):
            of_corpus = {"kind": "corpus", **labels}
            task = {"kind": kind, "name": "x", "labels": of_corpus, "settings": settings}
            with pytest.raises(ValueError, match=said) as refused:
                evaluate(EvaluatePlan.model_validate({"run": run, "tasks": [task]}), root)
            assert "\n" not in str(refused.value)


def test_study_names_the_corpora_of_its_masks_and_refuses_one_without_before_its_first_cell(
    root: str,
) -> None:
    tasks = [
        {"kind": "grounding", "name": "nih", "labels": {"kind": "corpus", "corpus": "framed"}},
        {"kind": "grounding", "name": "siim", "labels": {"kind": "corpus", "corpus": "drawn"}},
    ]
    plan = StudyPlan.model_validate(study_settings(evaluation={"tasks": tasks}))
    assert plan.named_corpora() == ["framed", "drawn"]
    with pytest.raises(ValueError, match=r"'framed' \(nih\) has no masks; say masks: filled_boxes"):
        require_marks(lock_study(plan, root))


def test_grounding_without_marked_validation_patients_is_one_line(
    root: str, run: str, tmp_path: Path
) -> None:
    """As where an official test list holds all framed images."""
    lines = [
        {"Image Index": f"{n}.png", "Finding Labels": "Mass", "Follow-up #": 0, "Patient ID": n}
        | {"Patient Age": 50, "Patient Gender": "F", "View Position": "PA"}
        for n in range(20)
    ]
    write_csv(tmp_path / "labels.csv", lines)
    for line in lines:
        write(tmp_path / "images" / str(line["Image Index"]), grey())
    (tmp_path / "test_list.txt").write_text("0.png")
    (tmp_path / "train_val_list.txt").write_text("\n".join(f"{n}.png" for n in range(1, 20)))
    head = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    (tmp_path / "bbox.csv").write_text(f"{head}\n0.png,Mass,256,128,512,256,,,\n")
    ingest_corpus("nih", str(tmp_path), "official", root)
    with pytest.raises(ValueError, match="validation patients with boxes, corpus 'official' has n"):
        read_masked_sets.fn("nih", root, run, "official", MaskOrigin.FILLED_BOXES)


def test_mask_of_another_size_than_its_image_is_one_line() -> None:
    image = CorpusImage(
        image_id="a",
        patient_id="a",
        image=grey(side_px=16),
        sha256="",
        width_px=16,
        height_px=16,
        labels=("Pneumothorax",),
        view=None,
        sex=None,
        age_years=None,
        follow_up=0,
        boxes=(),
        split=Split.TEST,
        masks=(Mask("Pneumothorax", (0, 9)),),
    )
    with pytest.raises(ValueError, match="Pneumothorax mask of image 'a': expected run lengths of"):
        masked_images("x", [image], MaskOrigin.DRAWN, 8, (PNEUMOTHORAX,))


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"name": "nih", "labels": BOXED, "num_images": 30}, "takes all its .* got num_images"),
        ({"labels": BOXED}, "needs a name of its own, got 'phantoms'; say name: framed"),
        ({"name": "nih", "labels": BOXED | {"masks": "painted"}}, "drawn"),
    ],
)
def test_grounding_plan_that_names_both_or_nothing_of_its_own_is_one_line(
    task: dict[str, Any], said: str
) -> None:
    plan = {"run": "a-r1", "tasks": [{"kind": "grounding", **task}]}
    with pytest.raises(ValueError, match=said) as refused:
        parse_plan(plan, EvaluatePlan, "plan.yaml")
    assert "\n" not in str(refused.value)
