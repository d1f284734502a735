"""Computes with NumPy what reaches a network of images of many bands and bits.

    python3 layout.py > layout.json

It needs numpy, tifffile and nibabel. Each case holds a file, the keys of the data section that read it, and the
network's input, C x H x W of float32, as little-endian bytes.
"""

import gzip
import io
import json
import os
import tempfile

import nibabel
import numpy as np
import tifffile

F = np.float32
random = np.random.default_rng(7)


def chw(image):
    return np.moveaxis(image, -1, 0)


def unit(image, low, high):
    """Brings numbers to 0 to 1 in float32."""
    image = image.astype(F)
    return (image - F(low)) / F(F(high) - F(low)) if low else image / F(high)


def standardized(image):
    """Brings each band to mean 0 and deviation 1 over its known pixels, as nnU-Net does, in float64."""
    out = np.zeros(image.shape, F)
    known = ~np.isnan(image).any(-1)
    for band in range(image.shape[-1]):
        values = image[..., band].astype(np.float64)
        of_known = values[known]
        mean = np.add.accumulate(of_known)[-1] / len(of_known)
        deviation = np.sqrt(np.add.accumulate((of_known - mean) ** 2)[-1] / len(of_known))
        out[..., band] = np.where(known, (values - mean) / max(deviation, 1e-8), 0)
    return out


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def tiff(array, **more):
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="minisblack", planarconfig="contig", **more)
    return file.getvalue()


def nifti(array, slope, inter, zipped):
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.header.set_slope_inter(slope, inter)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.nii")
        nibabel.save(image, path)
        read = np.asanyarray(nibabel.load(path).dataobj)
        bytes = open(path, "rb").read()
    return (gzip.compress(bytes, mtime=0) if zipped else bytes), read


def main():
    cases = []

    def add(name, extension, file, keys, expected):
        expected = np.ascontiguousarray(expected, F)
        cases.append({"name": name, "extension": extension, "file": file.hex(), "keys": keys,
                      "shape": expected.shape, "expected": expected.tobytes().hex()})

    bands = random.integers(0, 65536, (6, 9, 4), dtype=np.uint16)
    add("16 bits", "npy", npy(bands), {"channels": 4, "depth": "u16"}, chw(unit(bands, 0, 65535)))
    add("some bands in a range", "tif", tiff(bands), {"channels": [4, 1, 3], "depth": "u16", "range": [100, 10000]},
        chw(unit(bands[..., [3, 0, 2]], 100, 10000)))
    mean, std = [0.25, 0.5, 0.125, 0.375], [0.2, 0.3, 0.1, 0.7]
    of_constants = (unit(bands, 0, 10000) - F(mean)) / F(std)
    add("constants", "tif", tiff(bands), {"channels": 4, "depth": "u16", "range": [0, 10000],
        "normalize": {"mean": mean, "std": std}}, chw(of_constants))
    clipped = np.clip(bands, 2000, 50000)
    add("clipped 16 bits", "npy", npy(bands), {"channels": 4, "depth": "u16", "range": [2000, 50000], "clip": True},
        chw(unit(clipped, 2000, 50000)))
    floats = random.normal(0, 500, (5, 8, 2)).astype(F)
    ranges = [[-700.5, 800.25], [-1.0, 1.0]]
    each = np.stack([(floats[..., i] - F(low)) / F(F(high) - F(low)) for i, (low, high) in enumerate(ranges)], -1)
    add("a range for each channel", "npy", npy(floats), {"channels": 2, "depth": "f32", "range": ranges}, chw(each))
    add("clipped to each range", "npy", npy(floats),
        {"channels": 2, "depth": "f32", "range": ranges, "clip": True}, chw(np.clip(each, 0, 1)))
    signed = random.integers(-32768, 32768, (4, 7), dtype=np.int16)
    add("signed 16 bits", "npy", npy(signed), {"channels": 1, "depth": "f32", "range": [-1000, 2000]},
        unit(signed, -1000, 2000)[None])
    halves = random.normal(0, 1, (3, 5, 3)).astype(np.float16)
    add("half precision", "npy", npy(halves), {"channels": 3, "depth": "f32"}, chw(halves.astype(F)))
    add("standardised", "tif", tiff(bands), {"channels": 4, "depth": "f32", "normalize": "image"},
        chw(standardized(bands)))
    holes = random.normal(10, 3, (6, 7, 2)).astype(F)
    holes[1, 2:5, 0] = np.nan
    add("standardised with pixels without data", "npy", npy(holes),
        {"channels": 2, "depth": "f32", "normalize": "image"}, chw(standardized(holes)))
    volume = random.integers(-2000, 2000, (7, 5, 3), dtype=np.int16)
    for zipped in (False, True):
        file, read = nifti(volume, 2.5, -7.25, zipped)
        add(f"a scaled slice, zipped {zipped}", "nii.gz" if zipped else "nii", file,
            {"channels": 1, "depth": "f32", "slices": "z", "range": [-1000, 1000]},
            unit(read[:, :, 0].T, -1000, 1000)[None])
    print(json.dumps({"numpy": np.__version__, "cases": cases}, indent=1))


main()
