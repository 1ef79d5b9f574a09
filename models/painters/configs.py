"""What a plan says of a painter. Light: the engines are imported by `open()`."""

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from models.engines import EngineConfig, Placement

if TYPE_CHECKING:
    from models.painters.phantom.painter import PhantomPainter

PHANTOM_REVISION = "phantom-1"  # raised whenever the pixels of a request change


class PhantomConfig(EngineConfig):
    """A radiograph from an analytic chest by Beer-Lambert attenuation, with exact masks."""

    placement: ClassVar[Placement] = Placement.PROCESS_PER_CORE

    kind: Literal["phantom"] = "phantom"
    image_size_px: int = Field(
        default=256,
        ge=64,
        le=1024,
        multiple_of=8,
        description="Side of the square image in pixels; a multiple of 8.",
    )

    def revision(self) -> str:
        """The version of the drawing code; pixels of a request change only with it."""
        return PHANTOM_REVISION

    def open(self) -> "PhantomPainter":
        """A painter that needs neither weights nor a GPU."""
        from models.painters.phantom.painter import PhantomPainter

        return PhantomPainter(self)
