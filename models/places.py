"""Where the files of an engine lie: a path of this machine, or an address brought here first.

Who brings what an address names (`s3://…`) is found by its scheme among the entry points
`cxr_factory.places`: a function of the address that returns the path of a local copy.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from models.registry import ENTRY_POINT_PREFIX, registered_kinds
from storage.errors import EngineUnavailable, ObjectMissing

SEAM = "places"


def local_path(place: str) -> Path:
    """The path that a plan names, of a file or folder; nothing need be there.

    Raises:
        EngineUnavailable: If an address has no known scheme, or names nothing.
        FactoryError: If the store that it names cannot be read.
    """
    scheme, is_address, _ = place.partition("://")
    if not is_address:
        return Path(place).expanduser()
    point = next(iter(entry_points(group=f"{ENTRY_POINT_PREFIX}.{SEAM}", name=scheme)), None)
    if point is None:
        known = ", ".join(registered_kinds(SEAM)) or "none; is cxr-factory installed?"
        raise EngineUnavailable(
            f"expected a path, or an address of a known kind ({known}), got {place!r}; correct it"
        )
    bring: Callable[[str], Path] = point.load()
    try:
        return bring(place)
    except ObjectMissing as error:
        raise EngineUnavailable(
            f"expected a file or folder at {place!r}, got nothing there; correct the address"
        ) from error


def beside(place: str, name: str) -> str:
    """Another name in the folder of a path or address."""
    return f"{place.rpartition('/')[0]}/{name}" if "/" in place else name
