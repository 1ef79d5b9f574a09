"""Image files, DICOM files and a small MIMIC-CXR-JPG, written by the tests themselves."""

import csv
import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

DX_IMAGE = "1.2.840.10008.5.1.4.1.1.1.1"


def ramp(width_px: int = 256, height_px: int = 4) -> NDArray[np.uint16]:
    """0, 1, 2… from left to right."""
    return np.tile(np.arange(width_px, dtype=np.uint16), (height_px, 1))


def png(pixels_HW: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels_HW).save(buffer, "PNG")
    return buffer.getvalue()


def grey(level: int = 90, side_px: int = 16) -> bytes:
    return png(np.full((side_px, side_px), level, dtype=np.uint8))


def dicom(pixels_HW: NDArray[Any], **tags: Any) -> FileDataset:
    """A radiograph; `tags` overwrite what it says of itself."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DX_IMAGE
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = DX_IMAGE, meta.MediaStorageSOPInstanceUID
    dataset.Rows, dataset.Columns = pixels_HW.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = pixels_HW.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels_HW.dtype, np.signedinteger))
    dataset.PixelData = pixels_HW.tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def dicom_bytes(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_csv(path: Path, lines: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(dict.fromkeys(name for line in lines for name in line)))
    writer.writeheader()
    writer.writerows(lines)
    data = buffer.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


# Image, study, patient, view, date, split. Patient 10000032 came twice, the later study first.
MIMIC_IMAGES = (
    ("aa", "50000002", "10000032", "PA", "21800626", "train"),
    ("ab", "50000002", "10000032", "LATERAL", "21800626", "train"),
    ("ac", "50000002", "10000032", "AP", "21800626", "train"),
    ("ad", "50000001", "10000032", "AP", "21800506", "train"),
    ("ba", "51000001", "11000011", "PA", "21230101", "test"),
    ("ca", "52000001", "12000012", "PA", "21240101", "validate"),
)
MIMIC_REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough  // pneumonia?

 TECHNIQUE:  Chest PA and lateral

 COMPARISON:  ___

 FINDINGS:

 There is a small left pleural effusion.
 Compared with ___, the heart is normal.

 IMPRESSION:

 Small effusion in study {study}.
"""


def make_mimic(folder: Path, *, zipped: bool = True) -> Path:
    """The official layout, with six images of three patients."""
    ids = [
        {"dicom_id": image, "study_id": study, "subject_id": patient}
        for image, study, patient, *_ in MIMIC_IMAGES
    ]
    rest = [line[3:] for line in MIMIC_IMAGES]
    write_csv(
        folder / "mimic-cxr-2.0.0-split.csv.gz",
        [line | {"split": split} for line, (_, _, split) in zip(ids, rest, strict=True)],
    )
    write_csv(
        folder / "mimic-cxr-2.0.0-metadata.csv.gz",
        [
            line | {"ViewPosition": view, "StudyDate": date, "StudyTime": "93526.5"}
            for line, (view, date, _) in zip(ids, rest, strict=True)
        ],
    )
    studies = {line["study_id"]: line["subject_id"] for line in ids}
    findings = {"Edema": "", "Pleural Effusion": "1.0", "Pneumonia": "-1.0", "Fracture": "0.0"}
    write_csv(
        folder / "mimic-cxr-2.0.0-chexpert.csv.gz",
        [
            {"subject_id": patient, "study_id": study, "No Finding": ""} | findings
            for study, patient in studies.items()
        ],
    )
    reports = {
        f"files/p{patient[:2]}/p{patient}/s{study}.txt": MIMIC_REPORT.format(study=study)
        for study, patient in studies.items()
    }
    if zipped:
        with zipfile.ZipFile(folder / "mimic-cxr-reports.zip", "w") as archive:
            for name, text in reports.items():
                archive.writestr(name, text)
    else:
        for name, text in reports.items():
            path = folder / "mimic-cxr-reports" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for image, study, patient, *_ in MIMIC_IMAGES:
        path = folder / f"files/p{patient[:2]}/p{patient}/s{study}/{image}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (24, 16), 90).save(path, "JPEG")
    return folder
