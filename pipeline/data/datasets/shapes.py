"""Draw the built-in data set: ten classes of coloured shapes on textured backgrounds, with exact object masks.

Image ``i`` of seed ``s`` depends on ``(s, i)`` alone, so a larger count extends a smaller one. It is meant to be the
same, bit for bit, everywhere: randomness is the raw PCG64 stream (numpy promises that one, not its distributions),
and the arithmetic is float64 ``+ - * /`` and square root, which IEEE 754 rounds in one way only: no sine or
exponential, no matrix product or sum whose order a library may choose.

Shapes are signed distances (negative inside) in a frame where every shape has a circumscribed circle of radius 1.
The class is i % 10; area, position, orientation, colours, texture and polarity come from the same distributions for
every class (except that a shape whose area would not fit is made smaller), so only the form tells the class.
"""

from collections.abc import Callable
from math import sqrt
from pathlib import Path

import numpy as np

from pipeline.data.sources import HELD_OUT, Raw, Source

AREA = (0.13, 0.27)  # share of the image that an object covers, where it fits
REACH = 0.46  # largest circumscribed radius, as a share of the image's side
HALF_TURN = 0.5  # tangent of half the largest rotation: 53 degrees either way
CONTRAST = (0.30, 0.50)  # brightness of the object above (or, inverted, below) the mean of its background
INVERTED = 0.25  # share of images whose brightness is inverted, so that the object is darker than its background
TINT = 0.16  # largest departure of a colour channel from grey
TEXTURE = 0.24  # peak-to-peak brightness of the background's texture
NOISE = 0.06  # largest pixel noise, a triangular distribution per channel
CHUNK = 250  # images drawn at once: bounds memory, changes no image

_SCALARS = 24  # uniforms per image for geometry and colours; texture grids and noise follow in the stream
_GRIDS = (3, 6)  # cells per side of the two value-noise textures

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _square(x, y):
    return np.maximum(abs(x), abs(y)) - sqrt(0.5)


def _cross(x, y, half_width=0.32):
    half_length, x, y = sqrt(1 - half_width * half_width), abs(x), abs(y)
    return np.minimum(np.maximum(x - half_length, y - half_width), np.maximum(x - half_width, y - half_length))


def _triangle(x, y):
    return np.maximum(y, abs(x) * sqrt(0.75) - y / 2) - 0.5


def _star(x, y):
    """Compute the distance of a pentagram: the points on the inner side of at least four of its five lines."""
    c1, c2 = (sqrt(5) - 1) / 4, (sqrt(5) + 1) / 4  # cosines of 72 and 36 degrees
    s1, s2 = sqrt(1 - c1 * c1), sqrt(1 - c2 * c2)
    lines = np.stack([y, s1 * x + c1 * y, c1 * y - s1 * x, s2 * x - c2 * y, -s2 * x - c2 * y])
    return np.sort(lines, axis=0)[-2] - c1


def _disc(x, y):
    return np.sqrt(x * x + y * y) - 1


# name -> (signed distance, area), both for a circumscribed radius of 1
_SHAPES: dict[str, tuple[Distance, float]] = {
    "disc": (_disc, 3.14),
    "ring": (lambda x, y: abs(_disc(x, y) + 0.18) - 0.18, 1.85),
    "square": (_square, 2.00),
    "frame": (lambda x, y: abs(_square(x, y) + 0.13) - 0.13, 1.20),
    "triangle": (_triangle, 1.30),
    "cross": (_cross, 2.02),
    "star": (_star, 1.12),
    "crescent": (lambda x, y: np.maximum(_disc(x, y), 0.85 - np.sqrt(x * x + (y + 0.55) ** 2)), 1.51),
    "bar": (lambda x, y: np.maximum(abs(x) - 0.96, abs(y) - 0.28), 1.08),
    "pair": (lambda x, y: np.sqrt((abs(x) - 0.57) ** 2 + y * y) - 0.43, 1.16),
}
CLASSES: tuple[str, ...] = tuple(_SHAPES)


def draw(count: int, *, seed: int, size: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw images uint8 [N, size, size, 3], labels int64 [N] and object masks bool [N, size, size], in a fixed order."""
    images = np.empty((count, size, size, 3), np.uint8)
    masks = np.empty((count, size, size), bool)
    labels = np.arange(count, dtype=np.int64) % len(CLASSES)
    for start in range(0, count, CHUNK):
        chunk = slice(start, min(start + CHUNK, count))
        uniforms = np.stack([_uniforms(seed, i, size) for i in range(chunk.start, chunk.stop)])
        images[chunk], masks[chunk] = _draw_chunk(uniforms, labels[chunk], size)
    return images, labels, masks


def _uniforms(seed: int, index: int, size: int) -> np.ndarray:
    """Draw all random numbers of one image: float64 [_SCALARS + grids + noise] in [0, 1)."""
    count = _SCALARS + sum((cells + 1) ** 2 for cells in _GRIDS) + 2 * size * size * 3
    raw = np.random.PCG64(np.random.SeedSequence((seed, index))).random_raw(count)
    return (raw >> np.uint64(11)) * 2.0**-53


def _draw_chunk(uniforms: np.ndarray, labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw images uint8 [N, size, size, 3] and masks bool [N, size, size] from uniforms [N, K] and labels [N]."""
    scalars, rest = uniforms[:, :_SCALARS, None, None], uniforms[:, _SCALARS:]
    noise_count = size * size * 3
    grids, noise = rest[:, : -2 * noise_count], rest[:, -2 * noise_count :]
    distance = _distances(scalars[:, :6], labels, size)
    coverage = np.clip(0.5 - distance, 0, 1)[..., None]
    brightness, tints = scalars[:, 6:9, :, :, None], scalars[:, 9:18]
    texture = _texture(scalars[:, 18:], grids, size)[..., None]
    base = 0.18 + 0.22 * brightness[:, 0]
    background = base + TEXTURE * (texture - 0.5) + _tint(tints[:, :3]) * texture + _tint(tints[:, 3:6]) * (1 - texture)
    light = base + CONTRAST[0] + (CONTRAST[1] - CONTRAST[0]) * brightness[:, 1] + _tint(tints[:, 6:])
    image = background + coverage * (light - background)
    image = np.where(brightness[:, 2] < INVERTED, 1 - image, image)
    image += NOISE * (noise[:, :noise_count] - noise[:, noise_count:]).reshape(image.shape)
    return np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), coverage[..., 0] >= 0.5


def _tint(uniforms: np.ndarray) -> np.ndarray:
    """Compute a colour's departure from the grey of the same mean: [N, 1, 1, 3] from uniforms [N, 3, 1, 1]."""
    red, green, blue = (TINT * (2 * uniforms[:, k] - 1) for k in range(3))
    mean = (red + green + blue) / 3
    return np.stack([red - mean, green - mean, blue - mean], axis=-1)


def _rotate(across: np.ndarray, down: np.ndarray, tangent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotate coordinates by the angle whose half has this tangent t: cos = (1 - t²) / (1 + t²), sin = 2t / (1 + t²)."""
    cosine = (1 - tangent * tangent) / (1 + tangent * tangent)
    sine = 2 * tangent / (1 + tangent * tangent)
    return cosine * across + sine * down, cosine * down - sine * across


def _distances(scalars: np.ndarray, labels: np.ndarray, size: int) -> np.ndarray:
    """Compute the signed distance to the object's edge in pixels: float64 [N, size, size]."""
    unit_area = np.array([area for _, area in _SHAPES.values()])[labels][:, None, None]
    area = size * size * (AREA[0] + (AREA[1] - AREA[0]) * scalars[:, 0])
    radius = np.minimum(np.sqrt(area / unit_area), REACH * size)
    room = size / 2 - radius
    pixel = np.arange(size) + 0.5 - size / 2
    across = pixel - room * (2 * scalars[:, 1] - 1)
    down = pixel[:, None] - room * (2 * scalars[:, 2] - 1)
    x, y = _rotate(across, down, HALF_TURN * (2 * scalars[:, 3] - 1))
    distance = np.empty((len(labels), size, size))
    for label, (shape, _) in enumerate(_SHAPES.values()):
        of_class = labels == label
        distance[of_class] = shape(x[of_class] / radius[of_class], y[of_class] / radius[of_class]) * radius[of_class]
    return distance


def _texture(scalars: np.ndarray, grids: np.ndarray, size: int) -> np.ndarray:
    """Draw one of four textures per image, [N, size, size] in [0, 1]: coarse or fine value noise, stripes or checks."""
    split = (_GRIDS[0] + 1) ** 2
    pixel = np.arange(size) / size
    axes = _rotate(pixel, pixel[:, None], 2 * scalars[:, 1] - 1)
    period = 0.2 + 0.25 * scalars[:, 2]
    across, down = (_wave(axis / period + scalars[:, 3 + k]) for k, axis in enumerate(axes))
    textures = (_value_noise(grids[:, :split], size), _value_noise(grids[:, split:], size), across, (across + down) / 2)
    chosen = np.floor(scalars[:, 0] * len(textures))
    return np.select([chosen == k for k in range(len(textures))], textures)


def _wave(phase: np.ndarray) -> np.ndarray:
    """Compute the triangle wave of period 1 between 0 and 1."""
    return abs(2 * (phase - np.floor(phase)) - 1)


def _value_noise(grid: np.ndarray, size: int) -> np.ndarray:
    """Interpolate random corner values [N, (cells + 1)^2] bilinearly: [N, size, size]."""
    corners = round(sqrt(grid.shape[1]))
    grid = grid.reshape(-1, corners, corners)
    position = (np.arange(size) + 0.5) * (corners - 1) / size
    low = np.floor(position).astype(int)
    weight = position - low
    rows = grid[:, low] * (1 - weight[:, None]) + grid[:, low + 1] * weight[:, None]
    return rows[:, :, low] * (1 - weight) + rows[:, :, low + 1] * weight


TITLE = "shapes"
CLASS_COUNT = len(CLASSES)
IMAGE_SIZE = 32
VERSION = 1  # to be raised with any change of the images
COUNTS = (10_000, 2_000)  # training images besides those held out, and test images, unless others are asked for
DRAWN = True


def source(folder: Path | None) -> Source:
    """Describe the built-in source; `folder`, which holds other sets, is ignored."""
    return Source(f"shapes-{VERSION}", "shapes (built in, drawn from a seed)", official=True)


def read(folder: Path | None, train: int | None, test: int | None) -> Raw:
    """Draw training images with seed 0, those to hold out among them, and test images with seed 1."""
    train_images, train_labels, train_masks = draw((train or COUNTS[0]) + HELD_OUT, seed=0)
    test_images, test_labels, test_masks = draw(test or COUNTS[1], seed=1)
    return Raw(train_images, train_labels, test_images, test_labels, train_masks, test_masks)
