"""Public datasets in their official layouts, a few small images each, written by the tests."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from storage.readers.rows import CorpusReader, Skipped
from tests.storage.readers.made_files import dicom, dicom_bytes, grey, png, ramp, write_csv

Rows = dict[str, dict[str, Any]]

RUNS = "1026 2 1022 4"  # columns 1 and 2, from row 2 on, where an image is 1024 high


def read(reader: CorpusReader) -> tuple[Rows, dict[str, str]]:
    """Rows by image id, and reasons by what was skipped."""
    found = list(reader.rows())
    rows = {str(row["image_id"]): row for row in found if isinstance(row, dict)}
    return rows, {row.member: row.reason for row in found if isinstance(row, Skipped)}


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def jpeg(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (24, 16), 90).save(path, "JPEG")


def radiograph(width_px: int = 64, height_px: int = 48, **tags: Any) -> bytes:
    return dicom_bytes(dicom(ramp(width_px, height_px), **tags))


CHEXPERT_FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)


def chexpert_line(
    place: str, sex: str = "Female", age: str = "68", view: str = "AP", **findings: str
) -> dict[str, object]:
    """A line of `train.csv`; findings are named with `_` for a blank."""
    frontal = "Lateral" if "lateral" in place else "Frontal"
    stated = {name.replace("_", " "): cell for name, cell in findings.items()}
    about = {"Path": f"CheXpert-v1.0-small/{place}", "Sex": sex, "Age": age}
    about |= {"Frontal/Lateral": frontal, "AP/PA": "" if frontal == "Lateral" else view}
    return about | {name: stated.get(name, "") for name in CHEXPERT_FINDINGS}


def make_chexpert(folder: Path, *, with_test: bool = False) -> Path:
    """Four training images of three patients, one of validation, one of test."""
    train = "train/patient{:05d}/study{}/view{}.jpg"
    lines = [
        chexpert_line(train.format(1, 1, "1_frontal"), No_Finding="1.0", Pneumothorax="0.0"),
        chexpert_line(train.format(1, 1, "2_lateral"), No_Finding="1.0"),
        chexpert_line(
            train.format(2, 2, "1_frontal"), "Male", "0", "PA",
            Pleural_Effusion="1.0", Edema="-1.0", Support_Devices="1.0",
        ),
        chexpert_line(train.format(2, 3, "1_frontal"), Cardiomegaly="1.0"),
        chexpert_line(train.format(3, 1, "1_frontal"), Fracture="1.0"),
    ]  # fmt: skip
    valid = [chexpert_line("valid/patient64541/study1/view1_frontal.jpg", Cardiomegaly="1.0")]
    write_csv(folder / "train.csv", lines)
    write_csv(folder / "valid.csv", valid)
    if with_test:
        place = "test/patient64741/study1/view1_frontal.jpg"
        findings = dict.fromkeys(CHEXPERT_FINDINGS, "0.0") | {"Edema": "1.0"}
        write_csv(folder / "test_labels.csv", [{"Path": place} | findings])
        jpeg(folder / place)
    for line in (*lines, *valid):
        jpeg(folder / str(line["Path"]).removeprefix("CheXpert-v1.0-small/"))
    return folder


PADCHEST_TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"


def padchest_line(name: str, patient: str, labels: str, **cells: str) -> dict[str, object]:
    """A line of the table; by a physician, of a frontal image, unless cells say otherwise."""
    line = {
        "ImageID": name, "ImageDir": "0", "StudyDate_DICOM": "20140915", "StudyID": f"s-{name}",
        "PatientID": patient, "PatientBirth": "1930.0", "PatientSex_DICOM": "F",
        "ViewPosition_DICOM": "POSTEROANTERIOR", "Projection": "PA", "Pediatric": "No",
        "Report": "sin hallazg .", "MethodLabel": "Physician", "Labels": labels,
    }  # fmt: skip
    return {**line, **cells}


def make_padchest(folder: Path) -> Path:
    """Eight images of four patients, 16 bits deep; the first two read by physicians."""
    network = {"MethodLabel": "RNN_model"}
    lines = [
        padchest_line("a.png", "p1", "['pleural effusion', ' mediastinal mass', 'nodule', '']"),
        padchest_line("b.png", "p1", "['normal']", StudyDate_DICOM="20101231"),
        padchest_line("c.png", "p1", "['pneumonia']", **network),
        padchest_line("d.png", "p2", "['normal']", Projection="L"),
        padchest_line("e.png", "p3", "['cardiomegaly', 'scoliosis']", **network),
        padchest_line("f.png", "p4", "nan", **network),
        padchest_line("g.png", "p4", "['exclude']", **network),
        padchest_line("h.png", "p4", "['normal']", Projection="AP_horizontal", **network),
    ]
    write_csv(folder / f"{PADCHEST_TABLE}.gz", lines)
    for line in lines:
        write(folder / "0" / str(line["ImageID"]), png(ramp() * 16))
    return folder


RSNA_IMAGES = ("0004cfab", "00436515", "00704310", "008c19e8")


def make_rsna(folder: Path) -> Path:
    """Four images: normal, two opacities, not normal, lateral; the first two of one patient."""
    normal, opacity, other, lateral = RSNA_IMAGES
    box = {"x": "264.0", "y": "152.0", "width": "213.0", "height": "379.0", "Target": "1"}
    blank = {"x": "", "y": "", "width": "", "height": "", "Target": "0"}
    write_csv(
        folder / "stage_2_train_labels.csv",
        [
            {"patientId": normal} | blank,
            {"patientId": opacity} | box,
            {"patientId": opacity} | box | {"x": "562.0"},
            {"patientId": other} | blank,
            {"patientId": lateral} | blank,
        ],
    )
    classes = ("Normal", "Lung Opacity", "No Lung Opacity / Not Normal", "Normal")
    write_csv(
        folder / "stage_2_detailed_class_info.csv",
        [{"patientId": i, "class": c} for i, c in zip(RSNA_IMAGES, classes, strict=True)],
    )
    files = ("00000017_000.png", "00000017_003.png", "00030805_000.png", "00000002_000.png")
    mapping = [
        {"img_id": file, "subset_img_id": image, "orig_labels": ["Mass"]}
        for image, file in zip(RSNA_IMAGES, files, strict=True)
    ]
    name = "pneumonia-challenge-dataset-mappings_2018.json"
    write(folder / name, json.dumps(mapping).encode())
    for image in RSNA_IMAGES:
        view = "LL" if image == lateral else "AP"
        about = {"ViewPosition": view, "PatientSex": "M", "PatientAge": "051Y"}
        write(folder / "stage_2_train_images" / f"{image}.dcm", radiograph(**about))
    return folder


SIIM_IMAGES = ("1.2.276.1.1", "1.2.276.1.2", "1.2.276.1.3")


def make_siim(folder: Path, *, second_stage: bool = False) -> Path:
    """Three images: without, with two masks, with a mask that is no run lengths.

    The one with masks is as large as every image of the challenge.
    """
    clear, twice, broken = SIIM_IMAGES
    table = "stage_2_train.csv" if second_stage else "train-rle.csv"
    column = "EncodedPixels" if second_stage else " EncodedPixels"
    lines = [(clear, " -1"), (twice, RUNS), (twice, " 0 1024 0 1"), (broken, "7")]
    write_csv(folder / table, [{"ImageId": image, column: runs} for image, runs in lines])
    for image in SIIM_IMAGES:
        below = f"dicom-images-train/{image}.1/{image}.2/{image}.dcm"
        path = f"stage_2_images/{image}.dcm" if second_stage else below
        side = 1024 if image == twice else 32
        tags = {"ViewPosition": "PA", "PatientSex": "F", "PatientAge": "060Y"}
        write(folder / path, radiograph(side, side, **tags))
    return folder


def make_covidx(
    folder: Path, train: Iterable[str], test: Iterable[str], val: Iterable[str] | None = None
) -> Path:
    """The lists as given, each line `patient file class source`, and a file for each line."""
    for part, lines in (("train", train), ("test", test), ("val", val)):
        if lines is None:
            continue
        listed = list(lines)
        write(folder / f"{part}.txt", "".join(f"{line}\n" for line in listed).encode())
        for line in listed:
            write(folder / part / " ".join(line.split()[1:-2]), grey())
    return folder


def make_object_cxr(folder: Path, *, with_test: bool = False) -> Path:
    """Three training images, one of development: none, all three shapes, a damaged shape."""
    tables = {
        "train": [("1.jpg", ""), ("2.jpg", "0 1 2 5 8;1 3 3 9 7"), ("3.jpg", "0 1 2")],
        "dev": [("1.jpg", "2 10 4 20 6 12 15")],
        "test": [("9.jpg", "")],
    }
    for part in ("train", "dev", "test")[: 3 if with_test else 2]:
        lines = [{"image_name": name, "annotation": shapes} for name, shapes in tables[part]]
        write_csv(folder / f"{part}.csv", lines)
        for name, _ in tables[part]:
            jpeg(folder / part / name)
    return folder


def make_vindr(folder: Path) -> Path:
    """Two training images read by three, one of test; the second training image is inverted."""
    names = ("Aortic enlargement", "Cardiomegaly", "Pleural effusion", "Nodule/Mass", "Pneumonia")
    votes = {
        ("t1", "R1"): (1, 1, 0, 0, 0),
        ("t1", "R2"): (1, 1, 0, 1, 0),
        ("t1", "R3"): (1, 0, 0, 0, 0),
        ("t2", "R1"): (0, 0, 0, 0, 0),
        ("t2", "R2"): (0, 0, 0, 0, 0),
        ("t2", "R3"): (0, 0, 0, 0, 0),
    }
    train = [
        {"image_id": image, "rad_ID": reader}
        | dict(zip(names, stated, strict=True))
        | {"Other diseases": int(image == "t2"), "No finding": int(not any(stated))}
        for (image, reader), stated in votes.items()
    ]
    test = {"image_id": "e1"} | dict(zip(names, (0, 0, 1, 0, 0), strict=True))
    write_csv(folder / "annotations/image_labels_train.csv", train)
    last = {"Other disease": 0, "No finding": 0}
    write_csv(folder / "annotations/image_labels_test.csv", [test | last])
    corners = ("x_min", "y_min", "x_max", "y_max")

    def box(image: str, label: str, *at: float, reader: str | None = None) -> dict[str, object]:
        by = {} if reader is None else {"rad_id": reader}
        places = dict(zip(corners, at or ("", "", "", ""), strict=True))
        return {"image_id": image} | by | {"class_name": label} | places

    write_csv(
        folder / "annotations/annotations_train.csv",
        [
            box("t1", "Cardiomegaly", 10, 20, 30, 44.5, reader="R2"),
            box("t1", "Cardiomegaly", 11, 21, 31, 45, reader="R1"),
            box("t1", "Nodule/Mass", 1, 1, 2, 2, reader="R2"),
            box("t2", "No finding", reader="R1"),
        ],
    )
    write_csv(
        folder / "annotations/annotations_test.csv",
        [box("e1", "Pleural effusion", 0, 0, 5, 5), box("e1", "Pleural effusion", 6, 6, 9, 9)],
    )
    about = {"PatientSex": "F", "PatientAge": "047Y"}
    write(folder / "train/t1.dicom", radiograph(**about))
    write(folder / "train/t2.dicom", radiograph(PhotometricInterpretation="MONOCHROME1"))
    write(folder / "test/e1.dicom", radiograph(**about))
    return folder


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
)


def make_nih(folder: Path) -> Path:
    """The official release: twelve image folders in one, both lists; 40 patients, two of test."""
    (folder / "images_001" / "images").mkdir(parents=True)
    names = [f"{patient:08d}_000.png" for patient in range(1, 41)] + ["00000002_001.png"]
    lines = [
        f"{name},Mass|Edema,0,{int(name[:8])},57,M,PA,2682,2749,0.143,0.143\n" for name in names
    ]
    write(folder / "Data_Entry_2017_v2020.csv", (NIH_HEADER + "".join(lines)).encode())
    for name in names:
        write(folder / "images_001" / "images" / name, grey())
    test = ["00000001_000.png", "00000002_000.png"]
    write(folder / "test_list.txt", "\n".join(test).encode())
    train = [name for name in names[:-2] if name not in test] + ["00000002_001.png"]
    write(folder / "train_val_list.txt", "\n".join(train).encode())
    return folder
