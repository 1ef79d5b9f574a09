"""The free-text reports of MIMIC-CXR, out of their zip or unpacked."""

import zipfile
import zlib
from pathlib import Path
from typing import Protocol

ZIP_NAME = "mimic-cxr-reports.zip"
FOLDER_NAME = "mimic-cxr-reports"


def study_folder(subject_id: str, study_id: str) -> str:
    """Where a study lies in every part of MIMIC-CXR, below `files`."""
    return f"files/p{subject_id[:2]}/p{subject_id}/s{study_id}"


class MimicReports(Protocol):
    """The reports by study."""

    def num_bytes(self, subject_id: str, study_id: str) -> int | None:
        """Of a study's report; None when there is none."""
        ...

    def text(self, subject_id: str, study_id: str) -> str:
        """A report that is there.

        Raises:
            ValueError: If it cannot be read.
        """
        ...


class UnpackedReports:
    """Reports as files: `files/p10/p10000032/s50414267.txt` below a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def num_bytes(self, subject_id: str, study_id: str) -> int | None:
        """Of the file."""
        path = self._path(subject_id, study_id)
        return path.stat().st_size if path.is_file() else None

    def text(self, subject_id: str, study_id: str) -> str:
        """The file's text."""
        try:
            return self._path(subject_id, study_id).read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise ValueError(f"report cannot be read: {error.strerror}") from error

    def _path(self, subject_id: str, study_id: str) -> Path:
        return self._folder / f"{study_folder(subject_id, study_id)}.txt"


class ZippedReports:
    """Reports in the official zip, which holds the same paths.

    Raises:
        ValueError: If it is no zip, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError) as error:
            raise ValueError(f"{path.name}: damaged: {error}; download it anew") from error
        first = next((name for name in self._zip.namelist() if "files/" in name), "files/")
        self._above = first[: first.index("files/")]  # the zip may hold a folder around them

    def num_bytes(self, subject_id: str, study_id: str) -> int | None:
        """Of the member, unpacked."""
        member = self._zip.NameToInfo.get(self._member(subject_id, study_id))
        return None if member is None else member.file_size

    def text(self, subject_id: str, study_id: str) -> str:
        """The member's text."""
        try:
            content = self._zip.read(self._member(subject_id, study_id))
            return content.decode("utf-8", errors="replace")
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
            raise ValueError("report cannot be read: its zip is damaged here") from error

    def _member(self, subject_id: str, study_id: str) -> str:
        return f"{self._above}{study_folder(subject_id, study_id)}.txt"


def open_reports(source: Path) -> MimicReports:
    """The reports below a folder: the zip, its unpacked folder, or text files beside the images.

    Raises:
        ValueError: If the zip is damaged.
    """
    if (source / ZIP_NAME).is_file():
        return ZippedReports(source / ZIP_NAME)
    unpacked = source / FOLDER_NAME
    return UnpackedReports(unpacked if unpacked.is_dir() else source)
