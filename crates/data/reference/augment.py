"""Writes augment.json: what OpenCV, batchgeneratorsv2, Pillow, torchvision, SciPy and albumentations make of images.

    python augment.py > augment.json

Made with OpenCV 5.0.0, albumentations 2.0.8, batchgeneratorsv2 0.3.6, Pillow 13.0, SciPy 1.17, scikit-image 0.26 (which
batchgeneratorsv2 imports), torch 2.11 and torchvision 0.26.

The images are those of `noise` and `smooth`, which the tests make in the same way. Bytes are in hexadecimal, all other
numbers are lists, row by row, the bands of a pixel side by side.
"""

import io
import json
import sys

import cv2
import numpy
import scipy.ndimage
import torch
import torchvision.transforms.v2.functional as F
from albumentations.augmentations.geometric import functional as geometric
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import blur_dimension
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from PIL import Image, ImageEnhance, ImageOps
from torchvision.transforms.autoaugment import RandAugment

torch.set_num_threads(1)


def noise(height, width, bands, dtype=numpy.uint8):
    """Numbers without any order; floats are below 0 and above 1, too."""
    place = numpy.arange(height * width * bands, dtype=numpy.int64)
    numbers = (place * 40503 + place * place * 9973 + 17) % 65536
    numbers = numbers.reshape(height, width, bands)
    if dtype == numpy.uint8:
        return (numbers // 256).astype(dtype)
    return numbers.astype(dtype) if dtype == numpy.uint16 else numbers.astype(dtype) / 32768 - 0.5


def smooth(height, width, bands):
    """Bytes like a photograph's: slopes of 40 to 200 with an edge and a little noise."""
    row, column, band = numpy.mgrid[:height, :width, :bands]
    numbers = 40 + row * (3 + band) + column * (5 - band) + (row * 7 + column * 5 + band * 3) % 6
    return (numbers + numpy.where(column > row + 4, 40, 0)).clip(0, 255).astype(numpy.uint8)


def numbers(array):
    array = numpy.ascontiguousarray(array)
    if array.dtype == numpy.uint8:
        return array.tobytes().hex()
    if array.dtype == numpy.uint16:
        return array.ravel().tolist()
    return [float(f"{value:.7g}") for value in array.ravel().tolist()]


def chw(image):
    return torch.from_numpy(numpy.ascontiguousarray(image.transpose(2, 0, 1)).astype(numpy.float64))


def rounded(tensor, dtype):
    """Back to H×W×C: whole numbers are rounded, halves away from 0."""
    image = tensor.numpy().transpose(1, 2, 0)
    if dtype == numpy.float32:
        return image.astype(dtype)
    return numpy.floor(image + 0.5).clip(0, numpy.iinfo(dtype).max).astype(dtype)


KINDS = {"u8": numpy.uint8, "u16": numpy.uint16, "f32": numpy.float32}

clahe = []
CASES = [(21, 26, 8, 8, 2.5), (24, 32, 4, 8, 4.0), (5, 7, 8, 8, 1.0), (40, 13, 3, 1, 40.0)]
for height, width, rows, columns, clip in CASES:
    for kind in ["u8", "u16"]:
        image = noise(height, width, 1, KINDS[kind])[:, :, 0]
        # Lower contrast, so that the limit matters.
        image = (image // 2 + image % 16).astype(image.dtype)
        made = cv2.createCLAHE(clip, (columns, rows)).apply(image)
        case = {"size": [height, width], "tiles": [rows, columns], "clip": clip, "kind": kind}
        clahe.append({**case, "image": numbers(made)})

intensity = []
for kind, dtype in KINDS.items():
    image = noise(9, 11, 3, dtype)
    first = torch.tensor([0])

    def keep(name, arguments, changed):
        first_band = numbers(rounded(changed, dtype)[:, :, 0])
        intensity.append({"kind": kind, "name": name, "arguments": arguments, "image": first_band})

    def made(name, arguments, transform, params):
        keep(name, arguments, transform._apply_to_image(chw(image), **params))

    for factor in [0.8, 1.25]:
        transform = MultiplicativeBrightnessTransform((1, 1), False, 1)
        made("brightness", [factor], transform, {"apply_to_channel": first, "multipliers": torch.tensor([factor])})
        for preserve in [0, 1]:
            transform = ContrastTransform((1, 1), bool(preserve), False, 1)
            made(
                "contrast",
                [factor, preserve],
                transform,
                {"apply_to_channel": first, "multipliers": torch.tensor([factor], dtype=torch.float64)},
            )
    for gamma in [0.7, 1.5]:
        for invert in [0, 1]:
            for retain in [0, 1]:
                params = {
                    "apply_to_channel": first,
                    "retain_stats": [bool(retain)],
                    "invert_image": [bool(invert)],
                    "gamma": torch.tensor([gamma], dtype=torch.float64),
                }
                transform = GammaTransform((1, 1), 0, False, 1, 1)
                made("gamma", [gamma, invert, retain], transform, params)
    for scale in [0.5, 0.73]:
        params = {"apply_to_channel": first, "scales": torch.tensor([[scale, scale]])}
        transform = SimulateLowResolutionTransform((0.5, 1), False, True, None, None, 1)
        size = [round(side * torch.tensor(scale).item()) for side in image.shape[:2]]
        made("low_resolution", size, transform, params)
    for sigmas in [[0.5, 1.0], [0.77, 0.61]]:
        changed = chw(image)
        for axis, sigma in enumerate(sigmas):
            changed[:1] = blur_dimension(changed[:1].float(), sigma, axis)
        keep("band_blur", sigmas, changed)

sharpen = []
for factor in [0.0, 0.4, 1.9, 3.0]:
    image = noise(9, 11, 3)
    made = numpy.asarray(ImageEnhance.Sharpness(Image.fromarray(image)).enhance(factor))
    sharpen.append({"kind": "u8", "factor": factor, "image": numbers(made)})
    # Numbers in the middle of the range, which torchvision does not cut off.
    floats = torch.from_numpy(noise(9, 11, 3, numpy.float32)).permute(2, 0, 1) / 16 + 0.5
    made = F.adjust_sharpness(floats, factor).permute(1, 2, 0).numpy()
    sharpen.append({"kind": "f32", "factor": factor, "image": numbers(made)})

tone = []
image = (noise(9, 40, 3) // 2 + 30).astype(numpy.uint8)
for name, argument, change in [
    ("posterize", 4, lambda image: ImageOps.posterize(image, 4)),
    ("posterize", 7, lambda image: ImageOps.posterize(image, 7)),
    ("solarize", 100, lambda image: ImageOps.solarize(image, 100)),
    ("auto_contrast", 0, ImageOps.autocontrast),
    ("equalize", 0, ImageOps.equalize),
]:
    made = numpy.asarray(change(Image.fromarray(image)))
    tone.append({"name": name, "argument": argument, "image": numbers(made)})

HEIGHT, WIDTH = 12, 15
field = noise(HEIGHT, WIDTH, 2, numpy.float32)
elastic = []
for alpha, sigma in [(3.0, 0.8), (40.0, 2.5), (100.0, 6.0)]:
    made = scipy.ndimage.gaussian_filter(field[:, :, 0].astype(numpy.float64), sigma, mode="mirror") * alpha
    elastic.append({"alpha": alpha, "sigma": sigma, "displacements": numbers(made.astype(numpy.float32))})

# Displacements of up to 3 pixels, some out of the image.
down, right = (field[:, :, axis].astype(numpy.float64) * 3 for axis in (0, 1))
row, column = numpy.mgrid[:HEIGHT, :WIDTH]
places = numpy.stack([row + down, column + right])
nearest = numpy.floor(places.astype(numpy.float32) + numpy.float32(0.5)).astype(int)
inside = (nearest >= 0).all(0) & (nearest[0] < HEIGHT) & (nearest[1] < WIDTH)
mask = (numpy.arange(HEIGHT * WIDTH) % 200).reshape(HEIGHT, WIDTH).astype(numpy.uint8)
found = mask[tuple(nearest.clip(0, [[[HEIGHT - 1]], [[WIDTH - 1]]]))]
warped = {"mask": numbers(numpy.where(inside, found, 255).astype(numpy.uint8))}
for kind, dtype in KINDS.items():
    image = noise(HEIGHT, WIDTH, 3, dtype)
    bands = [
        scipy.ndimage.map_coordinates(image[:, :, band].astype(numpy.float64), places, order=1, mode="grid-constant")
        for band in range(3)
    ]
    warped[kind] = numbers(rounded(torch.from_numpy(numpy.stack(bands)), dtype))

grid = []
random = numpy.random.default_rng(4)
for height, width, steps, limit in [(20, 23, 5, 0.3), (16, 31, 3, 0.9), (30, 19, 4, 0.0)]:
    cells = [[1 + random.uniform(-limit, limit) for _ in range(steps + 1)] for _ in range(2)]
    sized = geometric.normalize_grid_distortion_steps((height, width), steps, list(cells[0]), list(cells[1]))
    across, down = geometric.generate_grid((height, width), sized["steps_x"], sized["steps_y"], steps)
    # The outermost places lie half a pixel beyond the last pixel's centre and more: OpenCV's BORDER_REPLICATE.
    across, down = (numpy.minimum(places, side - 1) for places, side in [(across[0], width), (down[:, 0], height)])
    grid.append({"size": [height, width], "cells": cells, "columns": numbers(across), "rows": numbers(down)})

ids = (noise(14, 17, 1, numpy.uint16)[:, :, 0] >> 3) % 4
ids[5:9, 3:12] = 2
labels = numpy.zeros_like(ids, dtype=int)
objects = []
for wanted in (1, 2):
    labels, count = scipy.ndimage.label(ids == wanted, numpy.ones((3, 3)))
    objects += [[wanted, *numpy.flatnonzero(labels == label).tolist()] for label in range(1, count + 1)]
objects.sort(key=lambda places: places[1])
connected = {"ids": numbers(ids.astype(numpy.uint8)), "objects": objects}

jpeg = []
for quality in [10, 50, 90]:
    for bands in [1, 3]:
        image = smooth(26, 35, bands)
        file = io.BytesIO()
        picture = Image.fromarray(image.squeeze())
        picture.save(file, "JPEG", quality=quality, subsampling=0)
        made = numpy.asarray(Image.open(file))
        jpeg.append({"quality": quality, "bands": bands, "image": numbers(made)})

# Strengths at the magnitudes 0, 9 and 30 of 30, for an image of 200 rows and 300 columns.
space = RandAugment(num_magnitude_bins=31)._augmentation_space(31, (200, 300))
magnitudes = {name: [float(values[at]) for at in (0, 9, 30)] for name, (values, _) in space.items() if values.ndim}

json.dump(
    {
        "clahe": clahe,
        "intensity": intensity,
        "sharpen": sharpen,
        "tone": tone,
        "elastic": elastic,
        "warped": warped,
        "grid": grid,
        "connected": connected,
        "jpeg": jpeg,
        "magnitudes": magnitudes,
    },
    sys.stdout,
)
print()
