import gzip
import io
import tarfile
from pathlib import Path

import pytest

from storage.readers.openi import OpeniReader
from storage.readers.rows import Skipped

REPORT = """<eCitation><uId id="{id}"/><MedlineCitation><Article><Abstract>
<AbstractText Label="COMPARISON"/>
<AbstractText Label="INDICATION">XXXX-year-old male, chest pain.</AbstractText>
<AbstractText Label="FINDINGS">{findings}</AbstractText>
</Abstract></Article></MedlineCitation>
<MeSH><major>Opacity/lung/base</major><major>Opacity/lung</major><major>normal</major>
<automatic>opacity</automatic></MeSH></eCitation>"""


def write_archive(path: Path, contents: list[str]) -> Path:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number, content in enumerate(contents):
            entry = tarfile.TarInfo(f"{number}.xml")
            entry.size = len(content.encode())
            tar.addfile(entry, io.BytesIO(content.encode()))
    path.write_bytes(gzip.compress(buffer.getvalue()))
    return path


def test_rows_sections_marks_and_codes_of_a_report(tmp_path: Path) -> None:
    text = "The XXXX are clear. No effusion."
    path = write_archive(tmp_path / "a.tgz", [REPORT.format(id="CXR1", findings=text)])
    (row,) = OpeniReader(path).rows()
    assert isinstance(row, dict)
    assert (row["report_id"], row["patient_id"]) == ("CXR1", "CXR1")
    assert row["findings"] == "The are clear. No effusion."
    assert row["as_it_came"]["findings"] == text
    assert row["indication"] == "year-old male, chest pain."
    assert row["impression"] is None
    assert row["comparison"] is None
    assert row["mesh"] == ["Opacity/lung/base", "Opacity/lung", "normal"]
    assert row["problems"] == ["Opacity", "normal"]


def test_rows_bad_members_are_skipped_with_reasons(tmp_path: Path) -> None:
    good = REPORT.format(id="CXR1", findings="Clear.")
    contents = [good, good, "<eCitation>", REPORT.format(id="", findings="Clear.")]
    rows = list(OpeniReader(write_archive(tmp_path / "a.tgz", contents)).rows())
    reasons = [row.reason for row in rows if isinstance(row, Skipped)]
    assert len(rows) - len(reasons) == 1
    assert [reason.split()[0] for reason in reasons] == ["report", "not", "no"]


def test_reader_missing_archive_raises(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"NLMCXR_reports\.tgz"):
        OpeniReader(tmp_path).source_hash()


@pytest.mark.data
def test_rows_real_archive_every_whole_report_is_recovered(shared_data: Path) -> None:
    rows = list(OpeniReader(shared_data / "openi").rows())
    skipped = [row for row in rows if isinstance(row, Skipped)]
    reports = [row for row in rows if isinstance(row, dict)]
    assert len(reports) == 3950
    assert [entry.member for entry in skipped] == ["ecgen-radiology/995.xml", "NLMCXR_reports.tgz"]
    texts = [row[part] for row in reports for part in ("findings", "impression", "indication")]
    assert not any("XXX" in text for text in texts if text)
    assert sum("XXXX" in (row["as_it_came"]["findings"] or "") for row in reports) > 1000
