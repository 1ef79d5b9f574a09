"""What an engine made of rules and word lists is pinned by: the hash of its own files."""

import hashlib
from functools import cache
from importlib.resources import files


@cache  # the rules that run were read once; a file changed under them is the next process's
def files_hash(package: str, *names: str) -> str:
    """SHA-256 over files of a package, names included, 64 hex digits.

    Rules are code, and a version number by hand is forgotten: a changed rule, even a reformatted
    one, is another revision, so that a plan never goes on with other rules under the old name.
    """
    digest = hashlib.sha256()
    for name in names:
        content = files(package).joinpath(name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def joined_hash(*parts: str) -> str:
    """SHA-256 over several strings, 64 hex digits; how they are cut up matters."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(f"{len(data)}\0".encode() + data)
    return digest.hexdigest()
