"""Makes the fixtures in `files` and the values that readers other than ours find in them, `expected.json`.

    pip install numpy tifffile imagecodecs rasterio nibabel pillow
    python make.py

The values are those of the named oracle. Where two can read a file, they must agree. A checksum is the CRC-32 of the
little-endian numbers, H x W x C, in the depth that holds them.
"""

import json
import pathlib
import shutil
import struct
import warnings
import zlib

import nibabel
import numpy as np
import rasterio
import tifffile
from PIL import Image
from rasterio.enums import ColorInterp, PhotometricInterp, Resampling
from rasterio.transform import Affine

warnings.simplefilter("ignore")
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


def by_tifffile(name, values, also=True, **options):
    """Writes with tifffile, and reads with tifffile and GDAL."""
    path = FILES / f"{name}.tif"
    planar = options.get("planarconfig") == "separate"
    stored = np.moveaxis(values, -1, 0) if planar else values
    options = dict(photometric="minisblack", metadata=None) | options
    if values.ndim == 3:
        options = dict(planarconfig="contig") | options
    tifffile.imwrite(path, stored, **options)
    read = tifffile.imread(path)
    read = np.moveaxis(read, 0, -1) if planar else read
    same(read, values, name)
    if also:
        same(planes_last(path), values, name)
    more = dict(colors="Rgb") if options["photometric"] == "rgb" else {}
    case(name, path.name, read.reshape(values.shape), "tifffile and rasterio" if also else "tifffile", **more)


def by_gdal(name, values, also=False, stored=None, near=None, colormap=None, expected=None, more=None, **options):
    """Writes with rasterio, and reads with rasterio (and with tifffile)."""
    path = FILES / f"{name}.tif"
    values = values[..., None] if values.ndim == 2 else values
    profile = dict(driver="GTiff", height=values.shape[0], width=values.shape[1], count=values.shape[2])
    profile |= dict(dtype=values.dtype) | {key: value for key, value in options.items() if key != "interp"}
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.moveaxis(values, -1, 0))
        if colormap:
            file.write_colormap(1, colormap)
        if "interp" in options:
            file.colorinterp = options["interp"]
    read = planes_last(path)
    if also:
        other = tifffile.imread(path)
        other = other.astype(read.dtype) if other.dtype.kind in "b" or stored else other
        same(other if options.get("interleave") != "band" else np.moveaxis(other, 0, -1), read, name)
    with rasterio.open(path) as file:
        more = (more or {}) | (dict(colors="Rgb") if file.photometric == PhotometricInterp.rgb else {})
        alpha = [index for index, band in enumerate(file.colorinterp) if band == ColorInterp.alpha]
        more |= dict(alpha=alpha[0]) if alpha else {}
    case(name, path.name, read if expected is None else expected(path), "rasterio", stored, near, **more)
    return path


def tiffs():
    for order, sign in (("<", "le"), (">", "be")):
        for kind in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"):
            values = numbers(kind, size=(13, 19))
            by_tifffile(f"plain-{kind}-{sign}", values, kind != "f2", byteorder=order, rowsperstrip=5)
    for codec in ("lzw", "zlib", "packbits", "zstd", "adobe_deflate"):
        by_tifffile(f"{codec}-u1", numbers("u1", 3), compression=codec, photometric="rgb", rowsperstrip=7)
        by_tifffile(f"{codec}-u2-be", numbers("u2", 2), compression=codec, byteorder=">", rowsperstrip=40)
    for codec in ("lzw", "zlib", "zstd"):
        for kind in ("u1", "u2", "u4", "i2"):
            values = numbers(kind, 3)
            by_tifffile(f"{codec}-{kind}-predictor", values, compression=codec, predictor=2, tile=(16, 16))
        for kind in ("f4", "f8"):
            values = numbers(kind, 2, size=(19, 21))
            by_tifffile(f"{codec}-{kind}-predictor", values, compression=codec, predictor=3, rowsperstrip=8)
    by_tifffile("zlib-f2-predictor", numbers("f2", 2), False, compression="zlib", predictor=3, tile=(16, 32))
    by_tifffile("zlib-f4-predictor-be", numbers("f4", 3), compression="zlib", predictor=3, byteorder=">", tile=(16, 16))
    by_tifffile("zlib-u2-predictor-be", numbers("u2", 3), compression="zlib", predictor=2, byteorder=">", tile=(16, 16))
    by_tifffile("zlib-u8-predictor", numbers("u8"), False, compression="zlib", predictor=2)
    by_tifffile("planar-strips", numbers("u2", 5), planarconfig="separate", compression="zlib", rowsperstrip=8)
    by_tifffile("planar-tiles", numbers("u1", 4), planarconfig="separate", compression="lzw", tile=(16, 16))
    by_tifffile("planar-predictor", numbers("u2", 3), planarconfig="separate", compression="zlib", predictor=2)
    by_tifffile("planar-plain", numbers("f4", 3, size=(13, 19)), planarconfig="separate", rowsperstrip=4)
    by_tifffile("bands-13", numbers("u2", 13), compression="zlib", predictor=2, tile=(16, 16))
    by_tifffile("bands-13-plain", numbers("u2", 13, size=(11, 9)), rowsperstrip=3)
    by_tifffile("bands-200", numbers("u1", 200, size=(5, 7)), compression="zlib")
    by_tifffile("bigtiff-strips", numbers("u2", 2), bigtiff=True, compression="zlib", rowsperstrip=4)
    by_tifffile("bigtiff-tiles-be", numbers("i2", 2), bigtiff=True, byteorder=">", compression="lzw", tile=(16, 16))
    by_tifffile("one-strip", numbers("u1", 3), photometric="rgb")
    by_tifffile("rgb-extra", numbers("u1", 5), photometric="rgb", compression="zlib", extrasamples=(0, 0))
    colors()
    pages()
    bits()
    jpegs()


def colors():
    values = numbers("u1", 4)
    path = FILES / "rgba.tif"
    tifffile.imwrite(path, values, photometric="rgb", extrasamples=["unassalpha"], compression="zlib", metadata=None)
    case("rgba", path.name, planes_last(path), "rasterio", colors="Rgb", alpha=3)
    values = numbers("u2", 2)
    path = FILES / "grey-alpha.tif"
    tifffile.imwrite(path, values, photometric="minisblack", planarconfig="contig",
                     extrasamples=["assocalpha"], metadata=None)
    case("grey-alpha", path.name, planes_last(path), "rasterio", alpha=1)
    values = numbers("u1", 4)
    path = FILES / "cmyk.tif"
    tifffile.imwrite(path, values, photometric="separated", compression="zlib", metadata=None)
    case("cmyk", path.name, tifffile.imread(path), "tifffile", colors="Cmyk")
    for kind in ("u1", "u2"):
        values = numbers(kind)
        path = FILES / f"white-{kind}.tif"
        tifffile.imwrite(path, values, photometric="miniswhite", compression="zlib", metadata=None)
        read = tifffile.imread(path)
        turned = np.iinfo(read.dtype).max - read
        if kind == "u1":
            same(np.asarray(Image.open(path)), turned, "white")
        case(f"white-{kind}", path.name, turned, "tifffile, turned over; Pillow for u1")
        case(f"white-{kind}-raw", path.name, read, "tifffile", raw=True)
    table = rng.integers(0, 256, (256, 3)).astype("u1")
    values = numbers("u1")
    for name, shift in (("palette", 257), ("palette-high", 256), ("palette-low", 1)):
        path = FILES / f"{name}.tif"
        colormap = (table.astype("u4") * shift).T.astype("u2")
        tifffile.imwrite(path, values, photometric="palette", colormap=colormap, compression="zlib", metadata=None)
        if name != "palette-low":
            same(np.asarray(Image.open(path).convert("RGB")), table[values], name)
        case(name, path.name, table[values], "Pillow (palette-low: its table)", colors="Rgb")
        case(f"{name}-raw", path.name, tifffile.imread(path), "tifffile", raw=True)
    small = {index: (17 * index, 255 - 17 * index, 3 * index, 255) for index in range(16)}
    by_gdal(
        "palette-4bit", numbers("u1", most=15), nbits=4, colormap=small, more=dict(colors="Rgb"), stored="u8",
        expected=lambda path: np.asarray(Image.open(path).convert("RGB")),
    )
    reverse = np.array([int(f"{byte:08b}"[::-1], 2) for byte in range(256)], "u1")
    for codec in (None, "packbits"):
        path = FILES / f"fill-order-{codec or 'none'}.tif"
        tifffile.imwrite(path, numbers("u1"), photometric="minisblack", compression=codec, metadata=None, rowsperstrip=64)
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            offset, count, read = page.dataoffsets[0], page.databytecounts[0], page.asarray()
            # The tag of the software's name becomes FillOrder: places of tags need not be in order for readers.
            place = page.tags["Software"].offset
        data = bytearray(path.read_bytes())
        data[offset : offset + count] = reverse[np.frombuffer(data[offset : offset + count], "u1")].tobytes()
        data[place : place + 12] = struct.pack("<HHII", 266, 3, 1, 2)
        path.write_bytes(data)
        same(np.asarray(Image.open(path)), read, "fill order")
        case(f"fill-order-{codec or 'none'}", path.name, read, "Pillow")


def pages():
    stack = np.stack([numbers("u2") + 7 * index for index in range(4)])
    path = FILES / "pages.tif"
    tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib", metadata=None)
    read = tifffile.imread(path)
    case("pages-first", path.name, read[0], "tifffile", pages=4)
    case("pages-third", path.name, read[2], "tifffile", page=2, pages=4)
    case("pages-as-bands", path.name, np.moveaxis(read, 0, -1), "tifffile", pages_as_bands=True, pages=4)
    colored = np.stack([numbers("u1", 3), numbers("u1", 3)])
    for name, planar in (("pages-rgb", "contig"), ("pages-planar", "separate")):
        path = FILES / f"{name}.tif"
        data = colored if planar == "contig" else np.moveaxis(colored, -1, 1)
        tifffile.imwrite(path, data, photometric="rgb", planarconfig=planar, compression="zlib", metadata=None)
        case(name, path.name, np.concatenate(list(colored), -1), "numpy", pages_as_bands=True, pages=2, colors="Rgb")
        case(f"{name}-second", path.name, colored[1], "numpy", page=1, pages=2, colors="Rgb")
    path = FILES / "imagej.tif"
    tifffile.imwrite(path, stack, imagej=True, metadata=dict(axes="ZYX"))
    case("imagej", path.name, np.moveaxis(tifffile.imread(path), 0, -1), "tifffile", pages_as_bands=True, pages=4)
    path = FILES / "ome.tif"
    tifffile.imwrite(path, stack[:2], ome=True, compression="zlib", metadata=dict(axes="CYX"))
    case("ome", path.name, np.moveaxis(tifffile.imread(path), 0, -1), "tifffile", pages_as_bands=True, pages=2)
    path = by_gdal("pyramid", numbers("u1", size=(80, 96)), tiled=True, blockxsize=32, blockysize=32, compress="deflate")
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4], Resampling.nearest)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(np.eye(80, 96, dtype="u1") * 255)
    same(planes_last(path), tifffile.imread(path), "pyramid")


def bits():
    for bits in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 17, 20, 24, 31):
        kind = "u1" if bits < 9 else "u2" if bits < 17 else "u4"
        values = numbers(kind, most=2**bits - 1)
        checked = bits in (1, 2, 4, 12)
        by_gdal(f"bits-{bits}", values, checked, f"u{bits}", nbits=bits, compress="deflate")
    by_gdal("bits-1-bands", numbers("u1", 3, most=1), False, "u1", nbits=1, blockysize=6)
    by_gdal("bits-12-bands", numbers("u2", 3, most=4095), False, "u12", nbits=12, compress="lzw", tiled=True,
            blockxsize=16, blockysize=16)
    by_gdal("bits-4-planar", numbers("u1", 3, most=15), False, "u4", nbits=4, interleave="band", compress="packbits")
    by_gdal("half", numbers("f2").astype("f4"), False, "f16", nbits=16, compress="zstd", predictor=3)
    path = FILES / "white-1bit.tif"
    Image.fromarray(numbers("u1", most=1).astype(bool)).save(path, tiffinfo={262: 0})
    read = np.asarray(Image.open(path))
    case("white-1bit", path.name, read, "Pillow", "u1")
    case("white-1bit-raw", path.name, ~read, "Pillow, turned back", "u1", raw=True)


def jpegs():
    smooth = lambda bands: np.stack(
        [np.add.outer(np.arange(29) * 4, np.arange(37) * 3) + 5 * band for band in range(bands)], -1
    ).astype("u1")
    by_gdal("jpeg-grey", smooth(1), near=1, compress="jpeg", jpeg_quality=95)
    by_gdal("jpeg-rgb", smooth(3), near=1, compress="jpeg", photometric="rgb", more=dict(colors="Rgb"))
    by_gdal("jpeg-ycbcr", smooth(3), near=3, compress="jpeg", photometric="ycbcr", more=dict(colors="Rgb"))
    by_gdal("jpeg-tiles", smooth(3), near=3, compress="jpeg", photometric="ycbcr", more=dict(colors="Rgb"), tiled=True,
            blockxsize=16, blockysize=16)
    by_gdal("jpeg-planar", smooth(3), near=1, compress="jpeg", interleave="band", photometric="rgb",
            more=dict(colors="Rgb"))
    by_gdal("jpeg-bands", smooth(4), near=1, compress="jpeg", interleave="band")


def geotiffs():
    def place(path):
        with rasterio.open(path) as file:
            value = file.nodata
            value = None if value is None else "nan" if np.isnan(value) else value
            epsg = file.crs.to_epsg() if file.crs else None
            return dict(transform=list(file.transform.to_gdal()), epsg=epsg, no_data=value)

    north = Affine(10, 0, 500_000, 0, -10, 4_100_000)
    made = [
        ("geo-utm", "u2", 4, dict(crs="EPSG:32633", transform=north, compress="deflate", nodata=0)),
        ("geo-degrees", "f4", 1, dict(crs="EPSG:4326", transform=Affine(0.1, 0, -10.5, 0, -0.2, 60.25), nodata=-9999)),
        ("geo-turned", "u1", 1, dict(crs="EPSG:3857", transform=Affine(1, 0.5, 7, 0.25, -2, 9))),
        ("geo-nan", "f4", 2, dict(crs="EPSG:2056", transform=north, nodata=np.nan, tiled=True, blockxsize=16,
                                  blockysize=16, compress="zstd", predictor=3)),
        ("geo-own", "i2", 1, dict(crs="+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80", transform=north, nodata=-32768)),
        ("geo-lowest", "f4", 1, dict(crs="EPSG:32633", transform=north, nodata=float(np.finfo("f4").min))),
        ("geo-big", "u1", 1, dict(crs="EPSG:32633", transform=north, bigtiff="yes", compress="lzw")),
        ("geo-south-up", "u1", 1, dict(crs="EPSG:32633", transform=Affine(10, 0, 5, 0, 10, 6))),
    ]
    for name, kind, bands, options in made:
        path = by_gdal(name, numbers(kind, bands, size=(17, 21)), **options)
        cases[-1] |= place(path)
    path = FILES / "geo-point.tif"
    with rasterio.open(path, "w", driver="GTiff", height=3, width=4, count=1, dtype="uint8", crs="EPSG:32633",
                       transform=north) as file:
        file.update_tags(AREA_OR_POINT="Point")
        file.write(np.arange(12, dtype="u1").reshape(1, 3, 4))
    case("geo-point", path.name, planes_last(path), "rasterio", **place(path))
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].tags[34735].value[11] == 2
    path = FILES / "geo-sparse.tif"
    with rasterio.open(path, "w", driver="GTiff", height=64, width=48, count=2, dtype="int16", tiled=True, blockxsize=16,
                       blockysize=16, sparse_ok=True, nodata=-7, compress="deflate", crs="EPSG:32633",
                       transform=north) as file:
        file.write(numbers("i2", size=(16, 16)), 2, window=((32, 48), (16, 32)))
    case("geo-sparse", path.name, planes_last(path), "rasterio", **place(path))


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
    shapes = [("last", (40, 35, 5), {}), ("first", (5, 40, 35), {}), ("small-last", (6, 7, 3), dict(axes="last")),
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
            slices(file, file, nibabel.load(FILES / file), False, axes=((2, 5),) if kind != "i2" else ((0, 3), (1, 4), (2, 5)))
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
