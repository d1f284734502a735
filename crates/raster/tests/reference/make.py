"""Makes the fixtures in `files` and the values that readers other than ours find in them, `expected.json`.

    pip install numpy tifffile imagecodecs rasterio nibabel pillow
    python make.py

The values are those of the named oracle. Where two can read a file, they must agree. A checksum is the CRC-32 of the
little-endian numbers, H x W x C, in the depth that holds them.
"""

import json
import shutil
import struct
import warnings
import zlib

import nibabel
import numpy as np
import rasterio
from PIL import Image

from cases import FILES, HERE, case, cases, numbers, rng, same
from tiffs import geotiffs, tiffs

warnings.simplefilter("ignore")


def pngs():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(path, values, bits, kind, interlaced=False, between=b""):
        """Writes a PNG with no filter: Pillow writes neither 16-bit colours nor interlaced ones."""
        height, width = values.shape[:2]
        values = values.reshape(height, width, -1)

        def rows(part):
            lines = []
            for row in part.reshape(part.shape[0], -1):
                if bits == 16:
                    line = row.astype(">u2").tobytes()
                else:
                    packed = "".join(f"{value:0{bits}b}" for value in row)
                    packed += "0" * (-len(packed) % 8)
                    line = int(packed, 2).to_bytes(len(packed) // 8, "big")
                lines.append(b"\0" + line)
            return b"".join(lines)

        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        data = b"".join(rows(values[y::v, x::h]) for y, x, v, h in passes) if interlaced else rows(values)
        header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
        parts = chunk(b"IHDR", header) + between + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)

    def gdal(path):
        with rasterio.open(path) as file:
            return np.moveaxis(file.read(), 0, -1)

    for interlaced in (False, True):
        mark = "-interlaced" if interlaced else ""
        for bits in (1, 2, 4, 8, 16):
            path = FILES / f"grey-{bits}{mark}.png"
            values = numbers("u2" if bits == 16 else "u1", most=2**bits - 1)
            png(path, values, bits, 0, interlaced)
            read = gdal(path)
            same(read, values, path)
            pillow = np.asarray(Image.open(path)).astype("u4")
            same(pillow, read[..., 0].astype("u4") * (255 // (2**bits - 1) if 1 < bits < 8 else 1), path)
            case(path.stem, path.name, read, "rasterio and Pillow", f"u{bits}")
        for bits in (8, 16):
            for kind, bands, more in ((2, 3, {}), (6, 4, dict(alpha=3)), (4, 2, dict(alpha=1))):
                path = FILES / f"colours-{bits}-{bands}{mark}.png"
                png(path, numbers("u2" if bits == 16 else "u1", bands), bits, kind, interlaced)
                more = more | (dict(colors="Rgb") if bands > 2 else {})
                case(path.stem, path.name, gdal(path), "rasterio", **more)
    table = rng.integers(0, 256, (16, 3)).astype("u1")
    alpha = bytes(range(0, 200, 20))
    for bits in (2, 4, 8):
        for between, name in ((b"", "palette"), (chunk(b"tRNS", alpha), "palette-alpha")):
            path = FILES / f"{name}-{bits}.png"
            count = min(2**bits, 16)
            between = b"" if not between else chunk(b"tRNS", alpha[:count])
            png(path, numbers("u1", most=count - 1), bits, 3, False, chunk(b"PLTE", table[:count].tobytes()) + between)
            mode = "RGBA" if between else "RGB"
            more = dict(colors="Rgb") | (dict(alpha=3) if between else {})
            case(path.stem, path.name, np.asarray(Image.open(path).convert(mode)), "Pillow", **more)
            case(f"{path.stem}-raw", path.name, np.asarray(Image.open(path)), "Pillow", f"u{bits}", raw=True)
    path = FILES / "grey-transparent.png"
    png(path, numbers("u1"), 8, 0, False, chunk(b"tRNS", b"\0\x07"))
    with rasterio.open(path) as file:
        case(path.stem, path.name, gdal(path), "rasterio", no_data=file.nodata)
    path = FILES / "filtered.png"
    Image.fromarray(numbers("u1", 3)).save(path)
    case("filtered", path.name, np.asarray(Image.open(path)), "Pillow", colors="Rgb")


def arrays():
    for kind in ("b1", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"):
        values = numbers("u1", most=1).astype(bool) if kind == "b1" else numbers(kind, size=(13, 19))
        for order in "<>":
            for fortran in (False, True):
                if (order == ">" and np.dtype(kind).itemsize == 1) or (fortran and kind not in ("u1", "i2", "f8")):
                    continue
                path = FILES / f"{kind}-{'le' if order == '<' else 'be'}{'-fortran' if fortran else ''}.npy"
                stored = values.astype(np.dtype(kind).newbyteorder(order), order="F" if fortran else "C")
                np.save(path, stored)
                case(path.stem, path.name, np.load(path), "numpy")
    shapes = [("last", (17, 35, 3), dict(axes="last")), ("first", (3, 17, 35), {}), ("guessed", (34, 17, 3), {}),
              ("small-last", (6, 7, 3), dict(axes="last")),
              ("small-first", (3, 6, 7), dict(axes="first"))]
    for name, shape, more in shapes:
        values = rng.integers(0, 60_000, shape).astype("u2") // 2048
        for fortran in (False, True):
            path = FILES / f"bands-{name}{'-fortran' if fortran else ''}.npy"
            np.save(path, np.asfortranarray(values) if fortran else values)
            read = np.load(path)
            case(path.stem, path.name, np.moveaxis(read, 0, -1) if "first" in name else read, "numpy", **more)
    volume = rng.integers(-99, 99, (4, 9, 11)).astype("i2")
    np.save(FILES / "volume.npy", volume)
    np.savez(FILES / "stored.npz", image=volume[0].astype("f4"))
    np.savez_compressed(FILES / "packed.npz", image=volume, other=np.asfortranarray(volume[1]))
    read = np.load(FILES / "volume.npy")
    case("slice-0", "volume.npy", read[3], "numpy", slice=[0, 3], pages=4)
    case("slice-1", "volume.npy", read[:, 5], "numpy", slice=[1, 5], pages=9)
    case("slice-2", "volume.npy", read[:, :, 10], "numpy", slice=[2, 10], pages=11)
    with np.load(FILES / "stored.npz") as held:
        case("stored-npz", "stored.npz", held["image"], "numpy")
    with np.load(FILES / "packed.npz") as held:
        case("packed-npz", "packed.npz", held["image"][:, 2], "numpy", array="image", slice=[1, 2], pages=9)
        case("packed-npz-fortran", "packed.npz", held["other"], "numpy", array="other")
    deep = rng.integers(0, 99, (3, 34, 35, 2)).astype("u1")
    np.savez_compressed(FILES / "deep.npz", deep)
    case("deep-npz", "deep.npz", deep[2], "numpy", slice=[0, 2], pages=3)
    structure = np.lib.format
    with open(FILES / "version-2.npy", "wb") as file:
        structure.write_array(file, volume[0], version=(2, 0))
    case("version-2", "version-2.npy", volume[0], "numpy")


def niftis():
    def slices(name, file, image, scaled, more=None, axes=((0, 3), (1, 4), (2, 5))):
        more = more or {}
        for axis, index in axes:
            taken = np.take(np.asanyarray(image.dataobj), index, axis)
            values = np.swapaxes(taken, 0, 1)
            stored = {"i": "i", "u": "u", "f": "f"}[image.dataobj.dtype.kind] + str(8 * image.dataobj.dtype.itemsize)
            values = values.astype("f4") if scaled else values
            case(f"{name}-{axis}", file, values, "nibabel", stored, slice=[axis, index],
                 pages=image.shape[axis], **more)

    shape = (7, 6, 8)
    for kind in ("u1", "i2", "i4", "f4", "f8", "u2", "i1", "u4"):
        data = rng.integers(0, 60, shape).astype(kind)
        for order, mark in (("<", "le"), (">", "be")):
            if order == ">" and kind not in ("i2", "f4"):
                continue
            header = nibabel.Nifti1Header(endianness=order)
            header.set_data_dtype(np.dtype(kind).newbyteorder(order))
            image = nibabel.Nifti1Image(data, np.eye(4), header)
            file = f"{kind}-{mark}.nii"
            nibabel.save(image, FILES / file)
            axes = ((0, 3), (1, 4), (2, 5)) if kind == "i2" else ((2, 5),)
            slices(file, file, nibabel.load(FILES / file), False, axes=axes)
    scaled = rng.normal(size=shape) * 40
    for file in ("scaled.nii.gz", "scaled.hdr"):
        image = (nibabel.Nifti1Image if file.endswith("gz") else nibabel.Nifti1Pair)(scaled, np.eye(4))
        image.set_data_dtype("i2")
        nibabel.save(image, FILES / file)
        read = nibabel.load(FILES / file)
        assert read.dataobj.slope != 1
        slices(file, file, read, True)
        for axis, index in ((0, 3), (2, 5)):
            raw = np.take(np.asanyarray(read.dataobj.get_unscaled()), index, axis).T
            case(f"{file}-raw-{axis}", file, raw, "nibabel", slice=[axis, index], raw=True, pages=shape[axis])
    case("scaled.img", "scaled.img", np.asanyarray(read.dataobj)[:, :, 1].T.astype("f4"), "nibabel", "i16",
         slice=[2, 1], pages=8)
    image = nibabel.Nifti2Image(rng.integers(-9, 9, shape).astype("i2"), np.eye(4))
    nibabel.save(image, FILES / "second.nii.gz")
    slices("second.nii.gz", "second.nii.gz", nibabel.load(FILES / "second.nii.gz"), False)
    image = nibabel.Nifti1Image(rng.integers(-9, 9, (5, 6, 4, 3)).astype("i2"), np.eye(4))
    for file in ("times.nii", "times.nii.gz"):
        nibabel.save(image, FILES / file)
        slices(file, file, nibabel.load(FILES / file), False, axes=((0, 1), (1, 2), (2, 3)))
    image = nibabel.Nifti1Image(rng.integers(0, 99, (9, 5)).astype("u1"), np.eye(4))
    nibabel.save(image, FILES / "flat.nii")
    case("flat.nii", "flat.nii", np.asanyarray(nibabel.load(FILES / "flat.nii").dataobj).T, "nibabel")
    rgb = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    colored = rng.integers(0, 99, (5, 6, 4, 3)).astype("u1").view(rgb)[..., 0]
    nibabel.save(nibabel.Nifti1Image(colored, np.eye(4)), FILES / "rgb.nii.gz")
    read = np.asanyarray(nibabel.load(FILES / "rgb.nii.gz").dataobj)[:, :, 2].T
    case("rgb.nii.gz", "rgb.nii.gz", np.stack([read[name] for name in "RGB"], -1), "nibabel", slice=[2, 2], pages=4,
         colors="Rgb")


if __name__ == "__main__":
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    tiffs()
    geotiffs()
    pngs()
    arrays()
    niftis()
    for left in FILES.glob("*.aux.xml"):
        left.unlink()
    lines = ",\n".join(json.dumps(found) for found in cases)
    (HERE / "expected.json").write_text(f"[\n{lines}\n]\n")
    held = sum(path.stat().st_size for path in FILES.iterdir())
    print(f"{len(cases)} cases, {held} bytes in {len(list(FILES.iterdir()))} files")
