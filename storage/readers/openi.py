"""The Indiana University reports (OpenI): one XML file per report in a gzipped tar.

Source: Demner-Fushman et al. 2016, "Preparing a collection of radiology examinations for
distribution and retrieval", JAMIA 23(2). Each report is of another patient.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa

from storage.readers.archive import Member, archive_members
from storage.readers.rows import DEFAULT_FRACTIONS, Skipped, file_hash, patient_split

ARCHIVE_NAME = "NLMCXR_reports.tgz"
COLLECTION = "openi"
LICENCE = "CC BY-NC-ND 4.0"
SECTIONS = ("findings", "impression", "indication", "comparison")

SCHEMA = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string(), nullable=False),
        *(pa.field(section, pa.string()) for section in SECTIONS),
        pa.field("mesh", pa.list_(pa.string()), nullable=False),
        pa.field("problems", pa.list_(pa.string()), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        # The sections with their marks, for the record; never to be used as text.
        pa.field("as_it_came", pa.struct([(section, pa.string()) for section in SECTIONS])),
    ]
)

_MARK = re.compile(r"[-\[(]*\w*(?:XXX|___)\w*[\])]*(?:-(?=\w))?")  # marks stick to words
_EMPTY_BRACKETS = re.compile(r"[(\[]\s*[)\]]")
_SPACE_BEFORE_STOP = re.compile(r"\s+([.,;:?!])")
_REPEATED_STOPS = re.compile(r"([.,;:?!])(?:\s*[.,;:])+")


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
    schema = SCHEMA
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
                row = Skipped(member.name, f"report {row['report_id']} came before")
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


def remove_marks(text: str | None) -> str | None:
    """A section without its de-identification marks; None when nothing else was in it.

    Marks are the strongest trigger of memorisation in a text-to-image model (PAPERS.md, Dar et
    al. 2024), and the punctuation left around them would be learnt in their place.
    """
    if text is None:
        return None
    text = _EMPTY_BRACKETS.sub(" ", _MARK.sub(" ", text))
    text = _SPACE_BEFORE_STOP.sub(r"\1", " ".join(text.split()))
    text = _REPEATED_STOPS.sub(r"\1", text).lstrip(" .,;:?!-").rstrip()
    return text if re.search(r"\w", text) else None


def _sections(root: ElementTree.Element) -> dict[str, str | None]:
    """The four sections as they came; None for one that is absent or empty."""
    texts = {
        element.get("Label", "").lower(): " ".join("".join(element.itertext()).split())
        for element in root.iter("AbstractText")
    }
    return {section: texts.get(section) or None for section in SECTIONS}
