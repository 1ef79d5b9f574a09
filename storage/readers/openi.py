"""The Indiana University reports (OpenI): one XML file per report in a gzipped tar.

Source: Demner-Fushman et al. 2016, "Preparing a collection of radiology examinations for
distribution and retrieval", JAMIA 23(2). Each report is of another patient.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from storage.readers.archive import Member, archive_members
from storage.readers.columns import REPORTS, SECTIONS
from storage.readers.rows import DEFAULT_FRACTIONS, Skipped, file_hash, patient_split
from storage.readers.sections import remove_marks

ARCHIVE_NAME = "NLMCXR_reports.tgz"
COLLECTION = "openi"
LICENCE = "CC BY-NC-ND 4.0"


@dataclass(frozen=True)
class OpeniReader:
    """Reads the untouched archive of reports.

    Attributes:
        source: The archive, or the folder that holds it.
        fractions: Of train, validation and test patients.
    """

    source: Path
    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS

    collection = COLLECTION
    licence = LICENCE
    restricted = False
    schema = REPORTS
    batch_rows = 1024

    @cached_property
    def archive(self) -> Path:
        """The archive's path.

        Raises:
            ValueError: If it is not there.
        """
        path = self.source / ARCHIVE_NAME if self.source.is_dir() else self.source
        if not path.is_file():
            raise ValueError(
                f"ingest openi: expected the archive {ARCHIVE_NAME} or a folder that holds it, "
                f"got {str(self.source)!r}, where there is none; name the downloaded file"
            )
        return path

    def source_hash(self) -> str:
        """SHA-256 of the archive."""
        return file_hash(self.archive)

    def rows(self) -> Iterator[dict[str, Any] | Skipped]:
        """A row per whole report, in archive order; a report seen before is skipped."""
        seen: set[str] = set()
        for member in archive_members(self.archive):
            if isinstance(member, Skipped):
                yield member
                continue
            row = self._parse(member)
            if isinstance(row, dict) and row["report_id"] in seen:
                row = Skipped(member.name, f"report came before: {row['report_id']}")
            elif isinstance(row, dict):
                seen.add(row["report_id"])
            yield row

    def _parse(self, member: Member) -> dict[str, Any] | Skipped:
        try:
            root = ElementTree.fromstring(member.content)
        except ElementTree.ParseError as error:
            return Skipped(member.name, f"not well-formed XML: {error}")
        identity = root.find("uId")
        report_id = "" if identity is None else identity.get("id", "")
        if not report_id:
            return Skipped(member.name, "no report id (uId)")
        as_it_came = _sections(root)
        mesh = [code.text.strip() for code in root.iterfind("MeSH/major") if code.text]
        return {
            "report_id": report_id,
            "patient_id": report_id,
            **{name: remove_marks(text) for name, text in as_it_came.items()},
            "mesh": mesh,
            "problems": list(dict.fromkeys(code.split("/")[0].strip() for code in mesh)),
            "split": patient_split(COLLECTION, report_id, self.fractions),
            "as_it_came": as_it_came,
        }


def _sections(root: ElementTree.Element) -> dict[str, str | None]:
    """The four sections as they came; None for one that is absent or empty."""
    texts = {
        element.get("Label", "").lower(): " ".join("".join(element.itertext()).split())
        for element in root.iter("AbstractText")
    }
    return {section: texts.get(section) or None for section in SECTIONS}
