"""Writes what this folder's fixtures expect: the pixels that each tool gives generated shapes.

    pip install numpy pillow pycocotools opencv-python-headless label-studio-converter rasterio shapely
    pip install --no-deps labelme
    python make.py [--cases 40] [--output FOLDER]

Masks stand as pycocotools' compressed run lengths, down the columns. Made with pycocotools 2.0.11, Pillow 13.0.0,
labelme 6.3.1, OpenCV 5.0.0, label-studio-converter 0.0.59, rasterio 1.4.4 and shapely 2.2.0.
"""

import argparse
import importlib.util
import json
import pathlib
import sys
import types

import cv2
import numpy as np
import PIL.Image
import rasterio.features
import shapely.geometry
import shapely.ops
from pycocotools import mask as coco


def load(package, path):
    """Loads one file of an installed package without the packages that only its window or server needs."""
    spec = importlib.util.find_spec(package)
    file = pathlib.Path(spec.submodule_search_locations[0]) / path
    module_spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module


def load_labelme():
    stub = types.ModuleType("labelme._label_file")
    stub.ShapeDict = dict
    sys.modules.setdefault("labelme", types.ModuleType("labelme"))
    sys.modules["labelme._label_file"] = stub
    path = next(p for p in map(pathlib.Path, sys.path) if (p / "labelme/utils/shape.py").exists())
    spec = importlib.util.spec_from_file_location("labelme_shape", path / "labelme/utils/shape.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


labelme = load_labelme()
brush = load("label_studio_converter", "brush.py")


def packed(mask):
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()


def rings(random, count):
    """Yields (height, width, ring): inside, across the border, outside, level and upright edges, doubled corners."""
    for case in range(count):
        height, width = (int(value) for value in random.integers(1, 56, 2))
        corners = int(random.integers(3, 14))
        kind = case % 8
        low, high = [(0, 1), (-0.5, 1.5), (0, 1), (0.2, 0.6), (-3, 4), (0, 1), (0.3, 0.5), (-0.2, 1.1)][kind]
        ring = random.uniform(low, high, (corners, 2)) * [width, height]
        if kind == 2:
            ring = np.round(ring)
        if kind == 5:
            ring = np.round(ring)
            for index in range(1, corners, 2):
                ring[index, 1] = ring[index - 1, 1]
            ring[-1] = ring[0]
        if kind == 7:
            ring = np.round(ring * 2) / 2
        if case % 16 == 8:
            angles = np.sort(random.uniform(0, 2 * np.pi, corners))
            centre, radius = [width / 2, height / 2], max(width, height) * random.uniform(0.2, 0.7)
            ring = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
        yield height, width, np.round(ring, 2)


def case(height, width, points, mask, **more):
    return {"height": height, "width": width, "points": np.asarray(points).tolist(), "mask": packed(mask), **more}


def coco_cases(random, count):
    for height, width, ring in rings(random, count):
        runs = coco.frPyObjects([ring.reshape(-1).tolist()], height, width)
        yield case(height, width, ring, coco.decode(runs)[:, :, 0], area=int(coco.area(runs)[0]))


def opencv_cases(random, count):
    for height, width, ring in rings(random, count):
        # ultralytics.data.utils.polygon2mask
        mask = np.zeros((height, width), dtype=np.uint8)
        polygons = np.asarray([ring.reshape(-1)], dtype=np.int32)
        cv2.fillPoly(mask, polygons.reshape((polygons.shape[0], -1, 2)), color=1)
        yield case(height, width, ring, mask)


def labelme_cases(random, count):
    for height, width, ring in rings(random, count):
        yield case(height, width, ring, labelme.shape_to_mask((height, width), ring.tolist()), kind="polygon")
    for kind, points in [("circle", 2), ("rectangle", 2), ("line", 2), ("linestrip", 5), ("point", 1)]:
        for height, width, ring in rings(random, count // 4):
            ring = np.resize(ring, (points, 2))
            if kind == "circle" and random.random() < 0.3:
                ring[1] = ring[0] + np.round(random.uniform(-2, 2, 2), 2)
            yield case(height, width, ring, labelme.shape_to_mask((height, width), ring.tolist(), kind), kind=kind)


def ellipse_cases(random, count):
    for _ in range(count):
        height, width = (int(value) for value in random.integers(5, 40, 2))
        cx, cy, rx, ry = np.round(random.uniform(0.1, 0.9, 4) * [width, height, width / 2, height / 2], 2).tolist()
        degrees = round(float(random.uniform(0, 360)), 1)
        y, x = np.mgrid[:height, :width] + 0.5
        turn = np.exp(-1j * np.radians(degrees))
        local = (x - cx + 1j * (y - cy)) * turn
        mask = (local.real / rx) ** 2 + (local.imag / ry) ** 2 <= 1
        yield case(height, width, [[cx, cy], [rx, ry], [degrees, 0]], mask)


def rle_cases(random, count):
    for index in range(count):
        height, width = (int(value) for value in random.integers(1, 40, 2))
        one, other = (random.random((height, width)) < random.choice([0.02, 0.5, 0.98]) for _ in range(2))
        if index % 4 == 0:
            one = cv2.resize(random.random((3, 3)).astype(np.float32), (width, height)) > 0.5
        a, b = ({"size": [height, width], "counts": packed(mask).encode()} for mask in (one, other))
        counts = np.diff(np.flatnonzero(np.diff(np.r_[-1, one.T.reshape(-1).astype(int), -1])), prepend=0)
        counts = counts[1:] if one[0, 0] == 0 and counts[0] == 0 and len(counts) > 1 else counts
        union = coco.merge([a, b])["counts"].decode()
        yield {"height": height, "width": width, "counts": counts.tolist(), "mask": packed(one), "other": packed(other),
               "union": union, "area": int(coco.area(a)), "bbox": coco.toBbox(a).tolist()}


def brush_cases(random, count):
    for _ in range(count):
        height, width = (int(value) for value in random.integers(1, 30, 2))
        mask = (cv2.resize(random.random((4, 4)).astype(np.float32), (width, height)) > 0.5) * np.uint8(255)
        mask[random.random(mask.shape) < 0.05] = 255
        stream = brush.mask2rle(mask)
        alpha = brush.decode_rle(stream).reshape(height, width, 4)[:, :, 3]
        yield {"height": height, "width": width, "stream": stream, "mask": packed(alpha > 0)}


def area_cases(random, count):
    """Yields class maps with rasterio's areas: pixels, rings and shapely's perimeter, of each class and component."""
    for index in range(count):
        height, width = (int(value) for value in random.integers(1, 12, 2))
        classes = int(random.integers(1, 4))
        image = random.integers(0, classes + 1, (height, width)).astype(np.uint8)
        areas = {}
        for connectivity in (4, 8):
            found = []
            for shape, value in rasterio.features.shapes(image, connectivity=connectivity):
                polygon = shapely.geometry.shape(shape)
                found.append([int(value), polygon.area, polygon.length])
            areas[str(connectivity)] = sorted(found)
        yield {"height": height, "width": width, "map": image.reshape(-1).tolist(), **areas}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=96)
    parser.add_argument("--seed", type=int, default=23)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    arguments = parser.parse_args()
    made = {"coco": coco_cases, "opencv": opencv_cases, "labelme": labelme_cases, "ellipse": ellipse_cases,
            "rle": rle_cases, "brush": brush_cases, "areas": area_cases}
    for name, cases in made.items():
        few = name in ("ellipse", "rle", "brush", "areas")
        count = arguments.cases // 4 if few else arguments.cases
        random = np.random.default_rng(arguments.seed)
        lines = ",\n".join(json.dumps(item, separators=(",", ":")) for item in cases(random, count))
        (arguments.output / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
