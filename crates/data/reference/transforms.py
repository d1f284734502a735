"""Writes transforms.json: a small image and mask, and what torchvision, SciPy and Pillow make of them.

    python transforms.py > transforms.json        (made with torchvision 0.26, SciPy 1.17 and Pillow 13.0)

Bytes are in hexadecimal, row by row, red, green, blue. Colours are changed as numbers from 0 to 1, which torchvision
rounds nowhere in between, and rounded once at the end.
"""

import json
import math

import numpy
import scipy.ndimage
import scipy.stats
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode

HEIGHT, WIDTH = 7, 9
random = numpy.random.default_rng(1)
image = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=numpy.uint8)
# Some pixels without a colour, and some of the purest.
image[0, :4] = [[0, 0, 0], [255, 255, 255], [90, 90, 90], [255, 0, 0]]
image[1, :4] = [[0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 1]]
mask = random.integers(0, 4, (HEIGHT, WIDTH), dtype=numpy.uint8)
nchw = torch.from_numpy(image).permute(2, 0, 1)
floats = nchw.to(torch.float64) / 255


def text(array):
    return numpy.ascontiguousarray(array, dtype=numpy.uint8).tobytes().hex()


def from_nchw(tensor):
    return text(tensor.permute(1, 2, 0).numpy())


def rounded(tensor):
    return from_nchw((tensor * 255).round().to(torch.uint8))


colors = []
for brightness, contrast, saturation, hue, gamma in [
    (1.3, 1, 1, 0, 1),
    (0.6, 1, 1, 0, 1),
    (1, 1.5, 1, 0, 1),
    (1, 0.25, 1, 0, 1),
    (1, 1, 1.75, 0, 1),
    (1, 1, 0.0, 0, 1),
    (1, 1, 1, 0.125, 1),
    (1, 1, 1, -0.5, 1),
    (1, 1, 1, 0, 2.2),
    (1.2, 0.8, 1.25, -0.0625, 0.7),
]:
    changed = F.adjust_gamma(floats, gamma)
    changed = F.adjust_brightness(changed, brightness)
    changed = F.adjust_contrast(changed, contrast)
    changed = F.adjust_saturation(changed, saturation)
    changed = F.adjust_hue(changed, hue)
    colors.append({"change": [brightness, contrast, saturation, hue, gamma], "image": rounded(changed)})

# No angle whose sine is simple: there pixels lie exactly between two others, and programs differ.
affine = []
for rotate, shear, scale, translate in [(0, 0, 1, (2, -3)), (31, 0, 1, (0, 0)), (-75, 20, 1.3, (1.5, 0.25)), (170, -15, 0.7, (-2, 1))]:
    # In the order x, y, 1, about the centre of the image, whose first pixel lies at (0.5, 0.5).
    r, s = math.radians(rotate), math.radians(shear)
    turn = numpy.array([[math.cos(r), -math.sin(r)], [math.sin(r), math.cos(r)]])
    forward = scale * turn @ numpy.array([[1, -math.tan(s)], [0, 1]])
    inverse = numpy.linalg.inv(forward)
    down, right = translate
    centre = numpy.array([WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5])
    offset = centre - inverse @ (centre + [right, down])
    # SciPy counts rows first.
    matrix, offset = inverse[::-1, ::-1], offset[::-1]
    moved = [
        scipy.ndimage.affine_transform(image[..., c].astype(float), matrix, offset, order=1, mode="grid-constant")
        for c in range(3)
    ]
    # SciPy would interpolate beyond the edge of the outermost pixels' centres; a label 255 from a frame says the same.
    framed = numpy.pad(mask, 8, constant_values=255)
    classes = scipy.ndimage.affine_transform(
        framed, matrix, offset + 8 - matrix @ [8, 8], order=0, mode="constant", cval=255
    )[8:-8, 8:-8]
    theirs = F.affine(
        nchw.float(), rotate, [right, down], scale, [shear, 0.0], interpolation=InterpolationMode.BILINEAR
    )
    moved = numpy.stack(moved, axis=-1)
    if float(right).is_integer() and float(down).is_integer():
        assert numpy.abs(theirs.permute(1, 2, 0).numpy() - moved).max() < 0.1, (rotate, "SciPy is not torchvision")
    affine.append(
        {"draw": [rotate, shear, scale, down, right], "image": text(moved.round()), "mask": text(classes)}
    )

blur = []
for sigma in [0.3, 1.0, 1.3]:
    radius = math.ceil(3 * sigma)
    blurred = from_nchw(F.gaussian_blur(nchw, [2 * radius + 1] * 2, [sigma] * 2))
    blur.append({"sigma": sigma, "image": blurred})
# A filter wider than the image, which torchvision refuses.
kernel = numpy.exp(-0.5 * (numpy.arange(-30, 31) / 10) ** 2)
wide = image.astype(float)
for axis in (0, 1):
    wide = scipy.ndimage.correlate1d(wide, kernel / kernel.sum(), axis=axis, mode="mirror")
blur.append({"sigma": 10.0, "image": text(wide.round())})

crops = []
for top, left, height, width, size in [(1, 2, 6, 5, [4, 7]), (0, 0, 7, 9, [3, 4]), (3, 4, 3, 4, [6, 5]), (6, 8, 1, 1, [2, 3])]:
    part = nchw[:, top : top + height, left : left + width]
    resized = F.resize(part, size, antialias=True)
    # Pillow counts columns first.
    nearest = Image.fromarray(mask[top : top + height, left : left + width]).resize(size[::-1], Image.NEAREST)
    crops.append({"part": [top, left, height, width], "size": size, "image": from_nchw(resized), "mask": text(numpy.asarray(nearest))})

places = [0, 1, 100, 1000, 2047, 2048, 3000, 4095]
quantiles = [[place, scipy.stats.norm.ppf((place + 0.5) / 4096)] for place in places]
report = {
    "size": [HEIGHT, WIDTH],
    "image": text(image),
    "mask": text(mask),
    "colors": colors,
    "affine": affine,
    "blur": blur,
    "crops": crops,
    "quantiles": quantiles,
}
print("{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in report.items()) + "\n}")
