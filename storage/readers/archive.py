"""A gzipped tar as a stream that gives up only what is damaged.

`tarfile` stops at the first damaged header and loses what follows; here each whole member is
recovered, each damaged place is named, and no more than one member is held in memory.
"""

import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from storage.readers.rows import Skipped

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

READ_BYTES = 64 << 10
MAX_MEMBER_BYTES = 16 << 20  # a report is some 6 kB; more is no report and is passed over
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS  # zlib's code for "find the header yourself"


@dataclass(frozen=True, slots=True)
class Member:
    """One regular file of an archive, whole."""

    name: str
    content: bytes


def archive_members(path: Path) -> Iterator[Member | Skipped]:
    """Every whole regular file of a .tgz, and what was lost, in archive order.

    Args:
        path: A gzipped tar; it may be cut short or damaged anywhere.
    """
    inflated = InflatedFile(path)
    stream = io.BufferedReader(inflated, READ_BYTES)
    searching = False
    while len(block := stream.read(tarfile.BLOCKSIZE)) == tarfile.BLOCKSIZE:
        if not any(block):  # end marker; archives may be joined, so look on
            continue
        header = _parse_header(block)
        if header is None:
            if not searching:
                ahead = len(block) + len(stream.peek())
                place = f"{path.name} at byte {inflated.num_out - ahead}"
                yield Skipped(place, "damaged tar header; looked for the next whole member")
            searching = True
            continue
        searching = False
        yield from _read_member(header, stream)
    stream.close()
    if inflated.damage:
        yield Skipped(path.name, inflated.damage)


class InflatedFile(io.RawIOBase):
    """Decompressed bytes of a gzip file, as far as they are sound; `damage` says what ended them.

    Attributes:
        damage: None for a file that ended as it should.
        num_out: Bytes given out so far.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._inflater = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._pending = b""
        self._file_ended = False
        self.damage: str | None = None
        self.num_out = 0

    def readable(self) -> bool:
        """Always: `io.BufferedReader` asks."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill `buffer` with what comes next; 0 at the end or where damage begins."""
        view = memoryview(buffer).cast("B")
        sound = b""
        while not sound and not (self.damage or self._file_ended):
            sound = self._inflate(len(view))
        view[: len(sound)] = sound
        self.num_out += len(sound)
        return len(sound)

    def close(self) -> None:
        """Close the file beneath."""
        self._file.close()
        super().close()

    def _inflate(self, max_bytes: int) -> bytes:
        compressed = self._pending or self._file.read(READ_BYTES)
        try:
            sound = self._inflater.decompress(compressed, max_bytes)
        except zlib.error as error:
            self.damage = f"compressed stream damaged, what follows is lost: {error}"
            return b""
        self._pending = self._inflater.unconsumed_tail
        following = self._inflater.unused_data.lstrip(b"\0")  # gzip files may be joined or padded
        if self._inflater.eof and following:
            self._inflater, self._pending = zlib.decompressobj(_GZIP_OR_ZLIB), following
        if not compressed and not sound:
            self._file_ended = True
            if not self._inflater.eof:
                self.damage = "compressed stream cut short, what follows is lost"
        return sound


def _parse_header(block: bytes) -> tarfile.TarInfo | None:
    """The header in a block; None when its checksum or a field is wrong."""
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return None
    return header if header.size >= 0 else None


def _read_member(header: tarfile.TarInfo, stream: BinaryIO) -> Iterator[Member | Skipped]:
    """The file behind a header; leaves the stream at the next header."""
    padding = -header.size % tarfile.BLOCKSIZE
    if not header.isreg():  # folders, links and long-name records hold no report
        _pass_over(stream, header.size + padding)
    elif header.size > MAX_MEMBER_BYTES:
        _pass_over(stream, header.size + padding)
        yield Skipped(header.name, f"too large: {header.size} bytes, more than {MAX_MEMBER_BYTES}")
    elif len(content := stream.read(header.size)) < header.size:
        yield Skipped(header.name, f"cut short: {len(content)} of {header.size} bytes")
    else:
        stream.read(padding)
        yield Member(header.name, content)


def _pass_over(stream: BinaryIO, num_bytes: int) -> None:
    """Drop the next bytes without holding them all."""
    left = num_bytes
    while left and (taken := len(stream.read(min(left, READ_BYTES)))):
        left -= taken
