"""Writes images/: small files of every kind, and images.json: what Pillow and OpenCV make of them.

    python images.py        (made with Pillow 13.0, numpy and OpenCV)

"rgb" and "grey" are Pillow's convert("RGB") and convert("L"); of files of 16 bits, which Pillow reads in several ways,
OpenCV's IMREAD_COLOR of a PNG, and the upper bytes of what it finds elsewhere. "values" are the labels of a mask: what was stored.
"""

import io
import json
import pathlib
import struct
import zlib

import cv2
import numpy
from PIL import Image

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "images"
FOLDER.mkdir(exist_ok=True)
HEIGHT, WIDTH = 6, 8

row, column = numpy.mgrid[0:HEIGHT, 0:WIDTH]
colors = numpy.stack([60 + 9 * column, 200 - 11 * row, 90 + 6 * column + 5 * row], -1).astype(numpy.uint8)
alpha = ((row + column) % 3 * 120).astype(numpy.uint8)
rgb = Image.fromarray(colors)
grey = rgb.convert("L")
rgba = Image.fromarray(numpy.dstack([colors, alpha]))
palette = rgb.quantize(12)
wide = colors.astype(numpy.uint16) * 257 - 101
random = numpy.random.default_rng(3)
images, masks = {}, {}


def numbers(array):
    return numpy.asarray(array).flatten().tolist()


def image(name, data, sixteen=False):
    (FOLDER / name).write_bytes(data)
    if sixteen:
        plain = cv2.imread(str(FOLDER / name), cv2.IMREAD_UNCHANGED)
        # Of a PNG OpenCV takes the upper bytes; of a TIFF it would round, and one rule for all formats is better.
        color = cv2.imread(str(FOLDER / name), cv2.IMREAD_COLOR) if name.endswith(".png") else (plain >> 8).astype(numpy.uint8)
        found = color[:, :, ::-1] if color.ndim == 3 else numpy.dstack([color] * 3)
        shades = plain >> 8 if plain.ndim == 2 else Image.fromarray(numpy.ascontiguousarray(found)).convert("L")
    else:
        opened = Image.open(io.BytesIO(data))
        found = opened.convert("RGB")
        shades = opened.convert("L") if opened.mode in ("1", "L", "LA") else found.convert("L")
    size = Image.open(io.BytesIO(data)).size
    images[name] = {"size": [size[1], size[0]], "rgb": numbers(found), "grey": numbers(shades)}


def saved(picture, format, **options):
    data = io.BytesIO()
    picture.save(data, format, **options)
    return data.getvalue()


def mask(name, data, values):
    (FOLDER / name).write_bytes(data)
    masks[name] = numbers(values)


def png(values, bits):
    """A grey PNG of few bits, which Pillow does not write."""
    rows = b""
    for line in values:
        text = "".join(f"{value:0{bits}b}" for value in line)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + int(text, 2).to_bytes(len(text) // 8)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


# A whole block of chroma: at an edge inside one, decoders continue it in different ways.
block = rgb.resize((16, 16), Image.BILINEAR)
image("subsampled.jpg", saved(block, "JPEG", quality=95, subsampling=2))
image("baseline.jpg", saved(rgb, "JPEG", quality=95, subsampling=0))
image("restarts.jpg", saved(rgb, "JPEG", quality=95, subsampling=0, restart_marker_blocks=1))
image("progressive.jpg", saved(rgb, "JPEG", quality=95, subsampling=0, progressive=True))
image("rgb.jpg", saved(rgb, "JPEG", quality=95, keep_rgb=True))
image("grey.jpg", saved(grey, "JPEG", quality=95))
image("grey_progressive.jpg", saved(grey, "JPEG", quality=95, progressive=True))
image("several.mpo", saved(rgb, "MPO", quality=95, subsampling=0, save_all=True, append_images=[rgb.rotate(180)]))
cmyk = saved(rgb.convert("CMYK"), "JPEG", quality=95)
image("cmyk.jpg", cmyk)
# The same numbers said to be YCCK, and said to be nothing: the segment of Adobe ends with the transform of colours.
adobe = cmyk.index(b"\xff\xee")
image("ycck.jpg", cmyk[: adobe + 15] + b"\2" + cmyk[adobe + 16 :])
image("cmyk_plain.jpg", cmyk[:adobe] + cmyk[adobe + 16 :])
image("rgb.png", saved(rgb, "PNG"))
image("alpha.png", saved(rgba, "PNG"))
image("palette.png", saved(palette, "PNG"))
image("palette_transparent.png", saved(palette, "PNG", transparency=3))
image("grey.png", saved(grey, "PNG"))
image("grey_alpha.png", saved(rgba.convert("LA"), "PNG"))
image("black_white.png", saved(grey.convert("1"), "PNG"))
image("wide.png", cv2.imencode(".png", wide[:, :, ::-1])[1].tobytes(), sixteen=True)
image("wide_grey.png", cv2.imencode(".png", wide[:, :, 0])[1].tobytes(), sixteen=True)
image("frames.gif", saved(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]))
image("transparent.gif", saved(palette, "GIF", transparency=3))
image("rgb.bmp", saved(rgb, "BMP"))
image("palette.bmp", saved(palette, "BMP"))
image("rgb.tiff", saved(rgb, "TIFF"))
image("lzw.tiff", saved(rgb, "TIFF", compression="tiff_lzw"))
image("deflate.tiff", saved(rgba, "TIFF", compression="tiff_adobe_deflate"))
image("grey.tiff", saved(grey, "TIFF"))
image("wide.tiff", cv2.imencode(".tiff", wide[:, :, ::-1])[1].tobytes(), sixteen=True)
image("wide_grey.tiff", cv2.imencode(".tiff", wide[:, :, 0])[1].tobytes(), sixteen=True)
image("lossy.webp", saved(rgb, "WEBP", quality=95))
image("lossless.webp", saved(rgba, "WEBP", lossless=True, exact=True))

for bits in 1, 2, 4, 8:
    values = random.integers(0, 2**bits, (HEIGHT, WIDTH), dtype=numpy.uint8)
    mask(f"mask_grey_{bits}.png", png(values, bits), values)
    indexed = Image.fromarray(values, "P")
    # Index i has the colour (3 i, i, 255 - i).
    indexed.putpalette([number for i in range(2**bits) for number in (3 * i % 256, i, 255 - i)])
    mask(f"mask_palette_{bits}.png", saved(indexed, "PNG", bits=bits), values)
values = random.integers(0, 60000, (HEIGHT, WIDTH), dtype=numpy.uint16)
mask("mask_grey_16.png", saved(Image.fromarray(values), "PNG"), values)
mask("mask_16.tiff", saved(Image.fromarray(values), "TIFF", compression="tiff_lzw"), values)
values = random.integers(0, 256, (HEIGHT, WIDTH), dtype=numpy.uint8)
shades = Image.fromarray(values)
mask("mask_grey_alpha.png", saved(shades.convert("LA"), "PNG"), values)
mask("mask_equal_channels.png", saved(shades.convert("RGB"), "PNG"), values)
mask("mask.gif", saved(shades, "GIF"), values)
mask("mask.bmp", saved(shades, "BMP"), values)
mask("mask.tiff", saved(shades, "TIFF", compression="tiff_adobe_deflate"), values)
mask("mask.webp", saved(shades.convert("RGB"), "WEBP", lossless=True), values)

lines = [f'"{name}":{json.dumps(found, separators=(",", ":"))}' for name, found in images.items()]
labels = [f'"{name}":{json.dumps(found, separators=(",", ":"))}' for name, found in masks.items()]
text = '{"images":{\n' + ",\n".join(lines) + '\n},"masks":{\n' + ",\n".join(labels) + "\n}}\n"
(HERE / "images.json").write_text(text)
