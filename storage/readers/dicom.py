"""One DICOM radiograph as it is meant to be shown: 8-bit grey, white is dense.

The order is the standard's (PS3.3, C.11 and C.7.6.3.1.2): stored values, modality transform
(rescale slope and intercept, or a table), VOI transform (a table, or window and its function),
then MONOCHROME1 inverted.
"""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from storage.readers.grey import eight_bits, full_range

INVERTED = "MONOCHROME1"  # its lowest value is white
TAGS = ("ViewPosition", "PatientSex", "PatientAge")
_STEP = 1e-6  # a linear window of width 1 is a step at its centre
_GREY = (INVERTED, "MONOCHROME2")


def read_dicom(content: bytes) -> NDArray[np.uint8]:
    """Grey levels of a single-frame radiograph, (height, width), 0 is black.

    Uncompressed, RLE and the JPEG family (baseline, lossless, JPEG-LS, JPEG 2000) are read.

    Raises:
        ValueError: If it is damaged, has no pixels, or is no single grey frame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # small breaches of the standard, common in archives
            dataset = pydicom.dcmread(io.BytesIO(content))
            _require_radiograph(dataset)
            return _shown(dataset)
    except MemoryError:
        raise
    except Exception as error:  # pydicom and its decoders raise nearly anything on damaged files
        raise ValueError(f"DICOM: {' '.join(str(error).split())[:200]}") from error


def read_tags(path: Path) -> dict[str, str]:
    """View, sex and age as a DICOM file's header says them; empty where it does not.

    Returns:
        `ViewPosition`, `PatientSex` and `PatientAge`; no name, date or number of a patient.

    Raises:
        ValueError: If its header cannot be read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"DICOM header: {' '.join(str(error).split())[:200]}") from error
    return {tag: str(dataset.get(tag) or "").strip() for tag in TAGS}


def _require_radiograph(dataset: Any) -> None:
    if "PixelData" not in dataset:
        raise ValueError("it has no pixels")
    frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.SamplesPerPixel)
    kind = str(dataset.PhotometricInterpretation)
    if frames != 1 or samples != 1 or kind not in _GREY:
        raise ValueError(
            f"expected one grey frame ({' or '.join(_GREY)}), "
            f"got {frames} of {samples} samples, {kind}"
        )


def _shown(dataset: Any) -> NDArray[np.uint8]:
    stored: NDArray[Any] = dataset.pixel_array
    values = apply_modality_lut(stored, dataset)
    padding = _padding(stored, dataset)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        table = apply_voi(np.rint(values).astype(np.int32), dataset)
        shown = np.asarray(table / (2**bits - 1), dtype=np.float32)
    elif dataset.get("WindowWidth") and dataset.get("WindowCenter") is not None:
        shown = _windowed(values, dataset)
    else:
        shown = full_range(values, ~padding)
    if dataset.PhotometricInterpretation == INVERTED:
        shown = 1 - shown
    shown[padding] = 0
    return eight_bits(shown)


def _windowed(values: NDArray[Any], dataset: Any) -> NDArray[np.float32]:
    """Values through the first window, 0..1. Source: PS3.3, C.11.2.1.2 and C.11.2.1.3."""
    center, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if (width < 1 and function == "LINEAR") or width <= 0:
        raise ValueError(f"its window has the impossible width {width:g}")
    if function == "SIGMOID":
        shown = 1 / (1 + np.exp(-4 * (values - center) / width))
    elif function == "LINEAR_EXACT":
        shown = (values - center) / width + 0.5
    else:
        shown = (values - (center - 0.5)) / max(width - 1, _STEP) + 0.5
    return np.asarray(shown, dtype=np.float32)


def _padding(stored: NDArray[Any], dataset: Any) -> NDArray[np.bool_]:
    """Where the image was filled up to a rectangle: shown black, whatever the transforms say."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    other = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((int(value), int(value if other is None else other)))
    return (stored >= low) & (stored <= high)


def _first(value: Any) -> float:
    """A window's number; a file may offer several windows, the first is the one to show."""
    return float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)
