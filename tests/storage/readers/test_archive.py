import gzip
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.readers import archive
from storage.readers.archive import Member, archive_members
from storage.readers.rows import Skipped


def tar_of(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        folder = tarfile.TarInfo("reports/")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def read(path: Path) -> tuple[dict[str, bytes], list[Skipped]]:
    found = list(archive_members(path))
    members = {entry.name: entry.content for entry in found if isinstance(entry, Member)}
    return members, [entry for entry in found if isinstance(entry, Skipped)]


CONTENTS = {f"{n}.xml": bytes([n]) * (700 * n + 1) for n in range(1, 6)}


def test_archive_members_whole_archive_gives_every_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(tar_of(CONTENTS)))
    assert read(path) == (CONTENTS, [])


def test_archive_members_joined_and_padded_gzip_files_are_read_on(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    tar = tar_of(CONTENTS)
    path.write_bytes(gzip.compress(tar[:3000]) + gzip.compress(tar[3000:]) + b"\0" * 700)
    assert read(path) == (CONTENTS, [])


def test_archive_members_cut_in_the_compressed_stream_keeps_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(tar_of(CONTENTS), compresslevel=0)[:6500])
    members, skipped = read(path)
    assert members
    assert members.items() < CONTENTS.items()
    assert "cut short" in skipped[0].reason
    assert skipped[-1].member == "a.tgz"
    assert "compressed stream cut short" in skipped[-1].reason


def test_archive_members_damaged_header_loses_that_member_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    tar = bytearray(tar_of(CONTENTS))
    at = tar.index(b"2.xml")
    tar[at : at + 5] = b"9.xmm"
    path.write_bytes(gzip.compress(bytes(tar)))
    members, skipped = read(path)
    assert members == {name: CONTENTS[name] for name in CONTENTS if name != "2.xml"}
    assert len(skipped) == 1
    assert "damaged tar header" in skipped[0].reason
    assert f"at byte {at}" in skipped[0].member


def test_archive_members_damaged_compressed_bytes_end_it_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    compressed = bytearray(gzip.compress(tar_of(CONTENTS)))
    compressed[60:90] = b"\xff" * 30
    path.write_bytes(compressed)
    _, skipped = read(path)
    assert "compressed stream damaged" in skipped[-1].reason


def test_archive_members_oversized_member_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 3000)
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(tar_of(CONTENTS)))
    members, skipped = read(path)
    assert sorted(members) == ["1.xml", "2.xml", "3.xml", "4.xml"]
    assert [entry.member for entry in skipped] == ["5.xml"]


def test_archive_members_no_archive_at_all_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(b"<html>not found</html>" * 50)
    members, skipped = read(path)
    assert not members
    assert "incorrect header" in skipped[0].reason


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 12_000))
def test_archive_members_any_cut_gives_only_true_content(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.tgz"
    path.write_bytes(gzip.compress(tar_of(CONTENTS), compresslevel=0)[:cut])
    members, _ = read(path)
    assert members.items() <= CONTENTS.items()
