"""TIFF and GeoTIFF fixtures, written and read by tifffile, rasterio and Pillow."""

import struct

import numpy as np
import rasterio
import tifffile
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine

from cases import FILES, case, cases, numbers, planes_last, rng, same


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
        more = (more or {}) | (dict(colors="Rgb") if file.colorinterp[0] == ColorInterp.red else {})
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
        tifffile.imwrite(path, numbers("u1"), photometric="minisblack", compression=codec, rowsperstrip=64,
                         metadata=None)
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
    path = by_gdal("pyramid", numbers("u1", size=(80, 96)), tiled=True, blockxsize=32, blockysize=32,
                   compress="deflate")
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
    with rasterio.open(path, "w", driver="GTiff", height=64, width=48, count=2, dtype="int16", tiled=True,
                       blockxsize=16, blockysize=16, sparse_ok=True, nodata=-7, compress="deflate", crs="EPSG:32633",
                       transform=north) as file:
        file.write(numbers("i2", size=(16, 16)), 2, window=((32, 48), (16, 32)))
    case("geo-sparse", path.name, planes_last(path), "rasterio", **place(path))
