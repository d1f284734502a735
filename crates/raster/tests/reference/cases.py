"""Cases that the other scripts here record: their numbers, checksums and facts."""

import pathlib
import zlib

import numpy as np
import rasterio

HERE = pathlib.Path(__file__).parent
FILES = HERE / "files"
H, W = 29, 37
cases = []
rng = np.random.default_rng(20)


def numbers(dtype, bands=1, size=(H, W), most=None):
    """Returns a gradient with a little noise, so that files stay small and no two bands are alike."""
    dtype = np.dtype(dtype)
    y, x, c = np.mgrid[0 : size[0], 0 : size[1], 0:bands]
    wave = (3 * y + 2 * x + 31 * c) % 64 + (rng.random(y.shape) < 0.1) * 7
    if dtype.kind == "f":
        values = (wave.astype(np.float64) / 7 - 3).astype(dtype)
        values[0, 0, 0], values[1, 1, 0] = np.nan, np.inf
        values[2, 3, 0], values[3, 2, 0] = -0.0, np.finfo(dtype).smallest_subnormal
    else:
        top = most if most is not None else np.iinfo(dtype).max
        step = max(top // 71, 1)
        low = 0 if dtype.kind == "u" else np.iinfo(dtype).min
        wide = [(int(w) * step) % (top + 1) - (0 if low == 0 or w % 3 else int(w) * step + 1) for w in wave.ravel()]
        values = np.array([max(low, w) for w in wide], dtype=dtype).reshape(wave.shape)
        values[0, 0, 0], values[-1, -1, -1] = (low, top)
    return values[..., 0] if bands == 1 else values


def depth_of(dtype):
    if dtype.kind == "b" or (dtype.kind == "u" and dtype.itemsize == 1):
        return "u8", "<u1"
    return ("u16", "<u2") if dtype.kind == "u" and dtype.itemsize == 2 else ("f32", "<f4")


def case(name, file, values, oracle, stored=None, near=None, **more):
    """Records a case. `values` are H x W or H x W x C, as the oracle gave them."""
    values = np.asarray(values)
    if values.ndim == 2:
        values = values[..., None]
    if values.dtype.kind == "b":
        values, stored = values.astype("u1"), stored or "u1"
    depth, wire = depth_of(values.dtype)
    stored = stored or f"{values.dtype.kind}{8 * values.dtype.itemsize}"
    data = np.ascontiguousarray(values.astype(wire)).tobytes()
    found = dict(name=name, file=file, oracle=oracle, size=list(values.shape[:2]), bands=values.shape[2])
    found |= dict(stored=stored, depth=depth, crc=zlib.crc32(data))
    if near is not None:
        found |= dict(near=near, values=data.hex())
    cases.append(found | more)


def planes_last(path, **more):
    with rasterio.open(path, **more) as file:
        return np.moveaxis(file.read(), 0, -1)


def same(a, b, name):
    a, b = np.asarray(a).squeeze(), np.asarray(b).squeeze()
    assert a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes(), name
