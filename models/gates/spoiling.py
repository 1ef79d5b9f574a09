"""Bad images made of good ones: what a bank of bad images holds where nobody has labelled any.

Ten ways in which images in a pile of radiographs are none, or unfit: turned, inverted, blurred,
a detail, noise, photographs, textures, burned-in text, squeezed as a lateral view looks.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

LETTERS = list("ABCDEFGHIKLMNOPRSTUVWXYZ0123456789 ")
# Blur, letters and photographs' windows are given for an image of this side and grow with it.
REFERENCE_PX = 256

Pixels = NDArray[np.uint8]
Spoiling = Callable[[Image.Image, Generator], Image.Image]


def spoil(pixels_HW: Pixels, kind: str, random: Generator, photograph: str) -> Pixels:
    """One spoiled image of the same size.

    Args:
        pixels_HW: A good radiograph.
        kind: One of `SPOILINGS`.
        random: Of the draws.
        photograph: Which of `PHOTOGRAPHS`; what calibrates and what is measured differ in it.
    """
    image = Image.fromarray(pixels_HW)
    if kind == "photograph":
        spoiled = _window(_photograph(photograph), int(random.integers(150, 420)), image, random)
    else:
        spoiled = _SPOILINGS[kind](image, random)
    return np.asarray(spoiled)


def _turned(image: Image.Image, random: Generator) -> Image.Image:
    quarter = Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270
    turned = image.transpose(quarter[int(random.integers(2))])
    return turned.resize(image.size)


def _upside_down(image: Image.Image, _: Generator) -> Image.Image:
    return image.transpose(Image.Transpose.ROTATE_180)


def _inverted(image: Image.Image, _: Generator) -> Image.Image:
    return ImageOps.invert(image)


def _blurred(image: Image.Image, random: Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(random.uniform(2.5, 6) * _scale(image)))


def _cropped(image: Image.Image, random: Generator) -> Image.Image:
    return _window(image, int(min(image.size) * random.uniform(0.12, 0.3)), image, random)


def _noisy(image: Image.Image, random: Generator) -> Image.Image:
    grey = np.asarray(image, np.float32)
    noisy = grey + random.normal(0, random.uniform(30, 90), grey.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _texture(image: Image.Image, random: Generator) -> Image.Image:
    """Random cells smoothly joined, plus stripes in a random direction."""
    width, height = image.size
    cells = int(random.integers(2, 40))
    coarse = Image.fromarray(random.integers(0, 256, (cells, cells), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(image.size, Image.Resampling.BICUBIC), np.float32)
    rows, columns = np.mgrid[:height, :width] / max(image.size)
    angle, waves = random.uniform(0, np.pi), random.uniform(1, 25)
    phase = 2 * np.pi * waves * (rows * np.sin(angle) + columns * np.cos(angle))
    mixed = 0.6 * smooth + 51 * (1 + np.sin(phase))
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def _written_on(image: Image.Image, random: Generator) -> Image.Image:
    """Three to seven lines of words burned in."""
    written = image.copy()
    draw, (width, height) = ImageDraw.Draw(written), image.size
    for _ in range(int(random.integers(3, 8))):
        place = (random.uniform(0, 0.35) * width, random.uniform(0, 0.92) * height)
        line = "".join(random.choice(LETTERS, int(random.integers(10, 24))))
        size_px = random.uniform(11, 18) * _scale(image)
        draw.text(place, line, fill=int(random.choice((0, 255))), font_size=size_px)
    return written


def _squeezed(image: Image.Image, random: Generator) -> Image.Image:
    width, height = image.size
    narrow = max(1, int(width * random.uniform(0.45, 0.65)))
    squeezed = Image.new("L", image.size)
    squeezed.paste(image.resize((narrow, height)), ((width - narrow) // 2, 0))
    return squeezed


def _scale(image: Image.Image) -> float:
    return min(image.size) / REFERENCE_PX


def _window(source: Image.Image, side: int, like: Image.Image, random: Generator) -> Image.Image:
    """A square detail of a source, enlarged to the size of another image."""
    side = max(1, min(side, *source.size))
    left, top = (int(random.integers(0, length - side + 1)) for length in source.size)
    return source.crop((left, top, left + side, top + side)).resize(like.size)


def _photograph(name: str) -> Image.Image:
    from sklearn.datasets import load_sample_image  # two photographs come with it

    return Image.fromarray(load_sample_image(name)).convert("L")


_SPOILINGS: dict[str, Spoiling] = {
    "rotated 90": _turned,
    "rotated 180": _upside_down,
    "inverted": _inverted,
    "blurred": _blurred,
    "cropped": _cropped,
    "noise": _noisy,
    "texture": _texture,
    "text": _written_on,
    "squeezed": _squeezed,
}
SPOILINGS: tuple[str, ...] = (*_SPOILINGS, "photograph")
PHOTOGRAPHS = ("china.jpg", "flower.jpg")
