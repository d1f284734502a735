"""Writes orientation.json: small files of every format with every note of orientation, and what Pillow makes of them.

    python orientation.py        (made with Pillow and numpy, versions in the JSON)

"file" is the file in hexadecimal digits, "size" and "rgb" what ImageOps.exif_transpose(image).convert("RGB") gives:
height and width, and the bytes of the pixels. Of masks "ids" are the numbers of exif_transpose(image).
"""

import binascii
import io
import json
import pathlib
import struct
import zlib

import numpy
import PIL
from PIL import Image, ImageOps

HEIGHT, WIDTH = 8, 16
row, column = numpy.mgrid[0:HEIGHT, 0:WIDTH]
colors = Image.fromarray(numpy.stack([15 * column, 30 * row, 255 - 6 * column - 5 * row], -1).astype(numpy.uint8))
ids = Image.fromarray(((row // 3) * 3 + column // 6).astype(numpy.uint8))
images, masks = {}, {}


def exif(value):
    note = Image.Exif()
    note[0x0112] = value
    return note


def saved(picture, format, **options):
    data = io.BytesIO()
    picture.save(data, format, **options)
    return data.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", binascii.crc32(kind + data))


def before(png, kind, added):
    """`png` with a chunk before its first one of `kind`."""
    at = png.index(kind) - 4
    return png[:at] + added + png[at:]


def add(name, data):
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    images[name] = {"file": data.hex(), "size": picture.size[::-1], "rgb": picture.tobytes().hex()}


def add_mask(name, data):
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    masks[name] = {"file": data.hex(), "size": picture.size[::-1], "ids": picture.tobytes().hex()}


def raw_profile(note):
    digits = note.hex()
    lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return f"\nexif\n{len(note):8}\n{lines}\n".encode()


for value in range(1, 9):
    note = exif(value)
    bare = note.tobytes()[6:]
    png, grey = saved(colors, "PNG"), saved(ids, "PNG")
    add(f"{value}.jpg", saved(colors, "JPEG", quality=95, subsampling=0, exif=note))
    add(f"{value}.tiff", saved(colors, "TIFF", tiffinfo={0x0112: value}))
    add(f"{value}.webp", saved(colors, "WEBP", lossless=True, exif=note))
    add(f"{value}_before.png", before(png, b"IDAT", chunk(b"eXIf", bare)))
    add(f"{value}_behind.png", before(png, b"IEND", chunk(b"eXIf", bare)))
    text = b"Raw profile type exif\0\0" + zlib.compress(raw_profile(note.tobytes()))
    add(f"{value}_magick.png", before(png, b"IDAT", chunk(b"zTXt", text)))
    add_mask(f"{value}.png", before(grey, b"IDAT", chunk(b"eXIf", bare)))
    add_mask(f"{value}.tiff", saved(ids, "TIFF", tiffinfo={0x0112: value}))

# Big-endian, and other tags around the one that counts.
full = exif(6)
full.endian = ">"
full[0x010F], full[0x0110], full[0x9C9B] = "maker", "model", b"title"
add("big_endian.jpg", saved(colors, "JPEG", quality=95, subsampling=0, exif=full))
add("nonsense.jpg", saved(colors, "JPEG", quality=95, subsampling=0, exif=exif(9)))
add("colors_then_grey.png", before(saved(colors.convert("L"), "PNG"), b"IDAT", chunk(b"eXIf", exif(5).tobytes()[6:])))

versions = {"pillow": PIL.__version__, "numpy": numpy.__version__}
line = lambda name, found: f"{json.dumps(name)}:{json.dumps(found, separators=(',', ':'))}"
parts = [",\n".join(line(name, found) for name, found in all.items()) for all in (images, masks)]
text = f'{{"versions":{json.dumps(versions)},"images":{{\n{parts[0]}\n}},"masks":{{\n{parts[1]}\n}}}}\n'
(pathlib.Path(__file__).parent / "orientation.json").write_text(text)
