"""Pictures for the stand-in data sets: shapes with textures, and digits, drawn anew for every image.

The class decides shape, texture and hue (or the digit); chance decides place, size, turn, shades, background, clutter
and noise. Everything is drawn for all images of a class at once, on a grid of pixel centres in [-1, 1].
"""

from collections.abc import Callable

import numpy as np

Field = np.ndarray  # float [n, 32, 32], one value a pixel
SIDE = 32

# Shapes: (u, v) in the figure's own coordinates → how far inside the outline, about; negative outside. Each fits into
# the unit circle, roughly.
SHAPES: dict[str, Callable[[Field, Field], Field]] = {
    "disc": lambda u, v: 0.9 - np.hypot(u, v),
    "square": lambda u, v: 0.8 - np.maximum(abs(u), abs(v)),
    "triangle": lambda u, v: np.minimum(0.6 - v, 0.5 * (v + 1 - 1.75 * abs(u))),
    "ring": lambda u, v: 0.25 - abs(np.hypot(u, v) - 0.7),
    "cross": lambda u, v: np.minimum(0.95 - np.maximum(abs(u), abs(v)), 0.3 - np.minimum(abs(u), abs(v))),
    "star": lambda u, v: 0.65 + 0.35 * np.cos(5 * np.arctan2(u, -v)) - np.hypot(u, v),
    "crescent": lambda u, v: np.minimum(1 - np.hypot(u, v), np.hypot(u - 0.6, v) - 0.75),
    "bar": lambda u, v: np.minimum(1 - abs(u), 0.35 - abs(v)),
    "hourglass": lambda u, v: np.minimum(0.9 - abs(v), abs(v) + 0.1 - abs(u)),
    "frame": lambda u, v: 0.2 - abs(np.maximum(abs(u), abs(v)) - 0.7),
}

# Textures: (u, v, phase) → how much of the second colour, 0 to 1.
TEXTURES: dict[str, Callable[[Field, Field, Field], Field]] = {
    "plain": lambda u, v, phase: np.zeros_like(u),
    "banded": lambda u, v, phase: np.sin(9 * v + phase) > 0,
    "striped": lambda u, v, phase: np.sin(9 * u + phase) > 0,
    "slanted": lambda u, v, phase: np.sin(7 * (u + v) + phase) > 0,
    "checked": lambda u, v, phase: np.sin(6 * u + phase) * np.sin(6 * v + phase) > 0,
    "dotted": lambda u, v, phase: np.cos(9 * u + phase) + np.cos(9 * v + phase) > 0.7,
    "shaded": lambda u, v, phase: np.clip(0.5 + 0.6 * v, 0, 1),
    "ringed": lambda u, v, phase: np.sin(10 * np.hypot(u, v) + phase) > 0,
    "halved": lambda u, v, phase: u > 0,
    "wavy": lambda u, v, phase: np.sin(8 * v + 2 * np.sin(4 * u) + phase) > 0,
}

# Digits as strokes between six points (top, middle, bottom; left and right of each), as on a seven-segment display.
_POINTS = np.array([(-0.5, -1), (0.5, -1), (-0.5, 0), (0.5, 0), (-0.5, 1), (0.5, 1)], np.float32)
_STROKES = {"a": (0, 1), "b": (1, 3), "c": (3, 5), "d": (4, 5), "e": (2, 4), "f": (0, 2), "g": (2, 3)}
_DIGITS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgecd", "abc", "abcdefg", "abcdfg")
_HAS_STROKE = np.array([[stroke in digit for stroke in _STROKES] for digit in _DIGITS])  # bool [10, 7]


def objects(shape: str, texture: str, hue: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` colour pictures of one kind of figure, uint8 [count, 3, 32, 32]. Hues repeat with period 1."""
    mask, weight = _figure(shape, texture, count, rng)
    first = _colours(hue + rng.normal(0, 0.05, count), (0.4, 0.9), (0.5, 1.0), rng)
    second = _colours(hue + 0.4 + rng.normal(0, 0.05, count), (0.3, 0.8), (0.3, 0.9), rng)
    scene = _background(count, rng)
    # A fainter, smaller disc of any hue, partly hidden: the class's colour somewhere in the picture is not enough.
    clutter, _ = _figure("disc", "plain", count, rng, size=(0.25, 0.45), reach=0.8)
    scene = _blend(scene, _colours(rng.random(count), (0.2, 0.8), (0.3, 1.0), rng), 0.7 * clutter)
    scene = _blend(scene, _blend(first, second, weight), mask)
    return _pixels(scene, noise=0.1, rng=rng)


def grey_objects(shape: str, texture: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` grey pictures of one kind of figure on black, uint8 [count, 28, 28]."""
    mask, weight = _figure(shape, texture, count, rng, reach=0.1)
    shade = rng.uniform(0.6, 1, (count, 1, 1)) - rng.uniform(0.3, 0.5, (count, 1, 1)) * weight
    return _pixels(mask * shade * rng.normal(1, 0.15, mask.shape), noise=0, rng=rng)[:, 2:-2, 2:-2]


def colour_digits(digit: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` pictures of a digit in any colour before a coloured wall, uint8 [count, 3, 32, 32]. Other digits reach
    into the picture from the sides, as on house numbers."""
    scene = _background(count, rng)
    lighter = rng.choice((-1, 1), (count, 1, 1, 1))  # the digit stands out from the wall, one way or the other
    ink = np.clip(scene.mean((2, 3), keepdims=True) + lighter * rng.uniform(0.25, 0.5, (count, 1, 1, 1)), 0, 1)
    ink = ink + rng.normal(0, 0.08, (count, 3, 1, 1))
    neighbours = rng.integers(10, size=(2, count))
    for digits, side in ((neighbours[0], -1.15), (neighbours[1], 1.15), (np.full(count, digit), 0)):
        scene = _blend(scene, ink, _strokes(digits, side, rng))
    return _pixels(scene, noise=0.05, rng=rng)


def grey_digits(digit: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` pictures of a digit, white on black, uint8 [count, 28, 28]."""
    ink = _strokes(np.full(count, digit), 0, rng) * rng.uniform(0.7, 1, (count, 1, 1))
    return _pixels(ink, noise=0, rng=rng)[:, 2:-2, 2:-2]


def _figure(
    shape: str,
    texture: str,
    count: int,
    rng: np.random.Generator,
    size: tuple[float, float] = (0.45, 0.8),
    reach: float = 0.35,
) -> tuple[Field, Field]:
    """Opacity and weight of the second colour, both 0 to 1, of a figure somewhere within `reach` of the middle."""
    u, v, scale = _place(count, rng, size, reach, turn=0.3)
    opacity = np.clip(SHAPES[shape](u, v) * scale * SIDE / 2 + 0.5, 0, 1)  # edges one pixel wide
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1)).astype(np.float32)
    return opacity, TEXTURES[texture](u, v, phase).astype(np.float32)


def _strokes(digits: np.ndarray, side: float, rng: np.random.Generator) -> Field:
    """Opacity, 0 to 1, of digits [n] whose corners are shaken; `side` shifts them, in picture half-widths."""
    count = len(digits)
    u, v, scale = _place(count, rng, size=(0.45, 0.7), reach=0.15, turn=0.2, side=side)
    points = _POINTS + rng.normal(0, 0.13, (count, 6, 2)).astype(np.float32)
    distance = np.full_like(u, np.inf)
    for stroke, (start, end) in enumerate(_STROKES.values()):
        origin, along = points[:, start], points[:, end] - points[:, start]
        (x, y), (dx, dy) = origin.T[..., None, None], along.T[..., None, None]
        nearest = np.clip(((u - x) * dx + (v - y) * dy) / (dx**2 + dy**2), 0, 1)  # where on the stroke, 0 to 1
        apart = np.hypot(u - x - nearest * dx, v - y - nearest * dy)
        drawn = _HAS_STROKE[digits, stroke][:, None, None]
        distance = np.where(drawn, np.minimum(distance, apart), distance)
    width = rng.uniform(0.12, 0.28, (count, 1, 1)).astype(np.float32)
    return np.clip((width - distance) * scale * SIDE / 2 + 0.5, 0, 1)


def _place(
    count: int, rng: np.random.Generator, size: tuple[float, float], reach: float, turn: float, side: float = 0
) -> tuple[Field, Field, np.ndarray]:
    """The pixels' coordinates (u, v) as figures of random size, place and turn see them; the sizes [count, 1, 1]."""
    axis = np.linspace(-1, 1, 2 * SIDE + 1, dtype=np.float32)[1::2]  # pixel centres
    scale = rng.uniform(*size, (count, 1, 1)).astype(np.float32)
    angle = rng.uniform(-turn, turn, (count, 1, 1)).astype(np.float32)
    shift = rng.uniform(-reach, reach, (2, count, 1, 1)).astype(np.float32)
    x, y = (axis - shift[0] - side) / scale, (axis[:, None] - shift[1]) / scale
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle), scale


def _background(count: int, rng: np.random.Generator) -> np.ndarray:
    """Two dull colours running into each other in any direction, float [count, 3, 32, 32]."""
    u, _, _ = _place(count, rng, size=(1, 2), reach=0.5, turn=np.pi)
    first, second = (_colours(rng.random(count), (0, 0.5), (0.1, 0.9), rng) for _ in range(2))
    return _blend(first, second, np.clip(0.5 + 0.5 * u, 0, 1))


def _colours(
    hue: np.ndarray, saturation: tuple[float, float], value: tuple[float, float], rng: np.random.Generator
) -> np.ndarray:
    """Colours of the given hues [n] and random saturation and value within limits, as RGB [n, 3, 1, 1]."""
    saturation, value = (rng.uniform(*limits, (len(hue), 1)) for limits in (saturation, value))
    ramp = (np.array([5, 3, 1]) + 6 * hue[:, None]) % 6
    rgb = value - value * saturation * np.clip(np.minimum(ramp, 4 - ramp), 0, 1)
    return rgb[..., None, None].astype(np.float32)


def _blend(below: np.ndarray, above: np.ndarray, opacity: Field) -> np.ndarray:
    """`above` laid over `below` (both [n, 3, 1 or 32, 1 or 32]) with an opacity [n, 32, 32]."""
    return below + (above - below) * opacity[:, None]


def _pixels(picture: np.ndarray, noise: float, rng: np.random.Generator) -> np.ndarray:
    """Values in [0, 1] plus Gaussian noise as uint8, cut off at 0 and 255."""
    if noise:
        picture = picture + noise * rng.standard_normal(picture.shape, np.float32)
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
