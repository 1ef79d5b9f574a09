from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from storage.readers.dicom import read_dicom
from tests.storage.readers.made_files import dicom, dicom_bytes, ramp

WINDOW = {"WindowCenter": 128, "WindowWidth": 129}


def test_read_dicom_monochrome1_is_inverted() -> None:
    content = dicom_bytes(dicom(ramp(), PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(read_dicom(content), 255 - ramp())


def test_read_dicom_window_applies_to_rescaled_values() -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "RescaleType": "US"}
    window = {"WindowCenter": -744, "WindowWidth": 257}  # 0..255 by 2: 64 to 192 of the ramp
    row = read_dicom(dicom_bytes(dicom(ramp(), **tags, **window)))[0].astype(int)
    assert (row[:64] == 0).all()
    assert (row[193:] == 255).all()
    assert abs(row[128] - 127.5) <= 1
    assert (np.diff(row) >= 0).all()


@pytest.mark.parametrize(
    ("function", "at_64", "at_128", "at_192"),
    [("LINEAR", 1, 128, 255), ("LINEAR_EXACT", 1, 128, 254), ("SIGMOID", 31, 128, 224)],
)
def test_read_dicom_window_functions_follow_the_standard(
    function: str, at_64: int, at_128: int, at_192: int
) -> None:
    row = read_dicom(dicom_bytes(dicom(ramp(), VOILUTFunction=function, **WINDOW)))[0].astype(int)
    np.testing.assert_allclose([row[64], row[128], row[192]], [at_64, at_128, at_192], atol=1)


def test_read_dicom_first_of_several_windows_counts() -> None:
    several = {"WindowCenter": [128, 10], "WindowWidth": [129, 2]}
    first = read_dicom(dicom_bytes(dicom(ramp(), **WINDOW)))
    np.testing.assert_array_equal(read_dicom(dicom_bytes(dicom(ramp(), **several))), first)


def test_read_dicom_voi_table_wins_over_the_window() -> None:
    table = Dataset()
    table.LUTDescriptor = [256, 0, 16]
    table.LUTData = (65535 - 257 * np.arange(256, dtype=np.uint16)).tobytes()
    dataset = dicom(ramp(), VOILUTSequence=Sequence([table]), **WINDOW)
    np.testing.assert_array_equal(read_dicom(dicom_bytes(dataset)), 255 - ramp())


def test_read_dicom_signed_values_are_signed() -> None:
    content = dicom_bytes(dicom(ramp().astype(np.int16) - 100))
    np.testing.assert_array_equal(read_dicom(content), ramp())


def test_read_dicom_padding_is_black_and_does_not_dim_the_rest() -> None:
    pixels = ramp()
    pixels[0] = 60_000
    tags = {"PixelPaddingValue": 60_000, "PhotometricInterpretation": "MONOCHROME1"}
    found = read_dicom(dicom_bytes(dicom(pixels, **tags)))
    assert (found[0] == 0).all()
    np.testing.assert_array_equal(found[1:], 255 - ramp()[1:])


def compressed(content: bytes, syntax: int, folder: Path) -> bytes:
    """The same DICOM file in another transfer syntax."""
    (folder / "plain.dcm").write_bytes(content)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(folder / "plain.dcm"))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(folder / "compressed.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return (folder / "compressed.dcm").read_bytes()


@pytest.mark.parametrize(
    "syntax",
    [
        gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        gdcm.TransferSyntax.JPEGLSLossless,
        gdcm.TransferSyntax.JPEG2000Lossless,
        gdcm.TransferSyntax.RLELossless,
    ],
)
def test_read_dicom_lossless_compression_is_the_same_picture(syntax: int, tmp_path: Path) -> None:
    plain = dicom_bytes(dicom(ramp(height_px=64) * 16, BitsStored=12, HighBit=11))
    packed = compressed(plain, syntax, tmp_path)
    assert len(packed) < len(plain)
    np.testing.assert_array_equal(read_dicom(packed), read_dicom(plain))


def test_read_dicom_baseline_jpeg_is_nearly_the_same_picture(tmp_path: Path) -> None:
    pixels = ramp(height_px=64).astype(np.uint8)
    packed = compressed(
        dicom_bytes(dicom(pixels)), gdcm.TransferSyntax.JPEGBaselineProcess1, tmp_path
    )
    assert np.abs(read_dicom(packed).astype(int) - pixels).max() <= 8


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"NumberOfFrames": 2, "PixelData": ramp().tobytes() * 2}, "one grey frame"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "one grey frame"),
        ({"PixelData": b""}, "DICOM: "),
        ({"WindowCenter": 10, "WindowWidth": -4}, "impossible width -4"),
    ],
)
def test_read_dicom_what_is_no_radiograph_is_refused(tags: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_dicom(dicom_bytes(dicom(ramp(), **tags)))
