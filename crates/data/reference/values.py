"""Writes values.json: a map of two channels, and what NumPy and Pillow make of it.

    python values.py > values.json        (made with NumPy 2.4 and Pillow 13.0)

`clean` holds numbers only, `holed` is the same with unknown pixels; null stands for NaN. Numbers are listed channel by
channel, row by row.
"""

import json
import math

import numpy
from PIL import Image

CHANNELS, HEIGHT, WIDTH = 2, 7, 9
random = numpy.random.default_rng(5)
clean = (random.integers(-320, 320, (CHANNELS, HEIGHT, WIDTH)) / 64).astype(numpy.float32)
holed = clean.copy()
holed[0, 2, 3] = holed[0, 6, 8] = holed[1, 4, 4:7] = numpy.nan


def text(array):
    return [None if math.isnan(value) else float(f"{value:.7g}") for value in array.astype(numpy.float32).ravel()]


def mixed(plane, weights):
    """The weighted mean of pixels, {(row, column): weight}; unknown if any with a weight is."""
    pairs = [(plane(row, column), weight) for (row, column), weight in weights.items() if weight > 1e-9]
    return sum(value * weight for value, weight in pairs)


def moved(planes, draw, fill, nearest):
    rotate, shear, scale, down, right = draw
    r, s = math.radians(rotate), math.radians(shear)
    turn = numpy.array([[math.cos(r), -math.sin(r)], [math.sin(r), math.cos(r)]])
    inverse = numpy.linalg.inv(scale * turn @ numpy.array([[1, -math.tan(s)], [0, 1]]))
    centre = numpy.array([WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5])
    result = numpy.empty_like(planes)
    for channel, plane in enumerate(planes):
        inside = lambda row, column: 0 <= row < HEIGHT and 0 <= column < WIDTH
        at = lambda row, column: float(plane[row, column]) if inside(row, column) else fill
        for row in range(HEIGHT):
            for column in range(WIDTH):
                x, y = inverse @ (numpy.array([column, row]) - centre - [right, down]) + centre
                if nearest:
                    result[channel, row, column] = at(math.floor(y + 0.5), math.floor(x + 0.5))
                    continue
                x, y = round(x, 9), round(y, 9)
                left, top = math.floor(x), math.floor(y)
                weights = {
                    (top + i, left + j): (y - top if i else 1 - y + top) * (x - left if j else 1 - x + left)
                    for i in (0, 1)
                    for j in (0, 1)
                }
                result[channel, row, column] = mixed(at, weights)
    return result


affine = []
for draw in [(0, 0, 1, 2, -3), (31, 0, 1, 0, 0), (-75, 20, 1.3, 1.5, 0.25), (170, -15, 0.7, -2, 1), (90, 0, 1, 0, 0)]:
    affine.append(
        {
            "draw": draw,
            "zero": text(moved(clean, draw, 0.0, False)),
            "unknown": text(moved(holed, draw, math.nan, False)),
            "nearest": text(moved(holed, draw, math.nan, True)),
        }
    )


def taps(pixel, old, new):
    """Weights of the source pixels in a pixel of a line that is resized: a triangle, wider where the line shrinks."""
    scale = old / new
    reach = max(scale, 1)
    weights = [max(0, 1 - abs(place + 0.5 - (pixel + 0.5) * scale) / reach) for place in range(old)]
    return [weight / sum(weights) for weight in weights]


crops = []
for top, left, height, width, size in [
    (1, 2, 6, 5, (4, 7)),
    (0, 0, 7, 9, (3, 4)),
    (3, 4, 3, 4, (6, 5)),
    (6, 8, 1, 1, (2, 3)),
    (2, 1, 4, 8, (4, 3)),
]:
    part = clean[:, top : top + height, left : left + width]
    # Pillow counts columns first.
    resized = [numpy.asarray(Image.fromarray(plane).resize(size[::-1], Image.BILINEAR)) for plane in part]
    nearest = [numpy.asarray(Image.fromarray(plane).resize(size[::-1], Image.NEAREST)) for plane in part]
    part = holed[:, top : top + height, left : left + width]
    unknown = numpy.empty((CHANNELS, *size), numpy.float32)
    for channel, row, column in numpy.ndindex(unknown.shape):
        weights = {
            (y, x): a * b
            for y, a in enumerate(taps(row, height, size[0]))
            for x, b in enumerate(taps(column, width, size[1]))
        }
        unknown[channel, row, column] = mixed(lambda y, x: float(part[channel, y, x]), weights)
    known = ~numpy.isnan(unknown)
    assert numpy.abs(unknown - resized)[known].max(initial=0) < 1e-5, "this is not Pillow's resizing"
    crops.append(
        {
            "part": [top, left, height, width],
            "size": size,
            "clean": text(numpy.stack(resized)),
            "nearest": text(numpy.stack(nearest)),
            "unknown": text(unknown),
        }
    )

turned = [
    ["horizontal_flip", text(holed[:, :, ::-1])],
    ["vertical_flip", text(holed[:, ::-1])],
    *[[f"rotate90 {turns}", text(numpy.rot90(holed, turns, axes=(1, 2)))] for turns in (1, 2, 3)],
]
report = {
    "size": [HEIGHT, WIDTH],
    "clean": text(clean),
    "holed": text(holed),
    "affine": affine,
    "crops": crops,
    "turned": turned,
}
print("{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in report.items()) + "\n}")
