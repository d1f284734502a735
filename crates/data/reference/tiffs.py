"""Writes tiffs.json: TIFF files in the ways that scanners, GIS and microscopes write them, and what is in them.

    python tiffs.py        (made with Pillow, numpy, tifffile and imagecodecs, versions in the JSON)

"file" is the file, "values" what was stored, both in hexadecimal digits: red, green and blue of an image (of a JPEG
what Pillow decodes), the numbers of a mask. Files under "refused" are not read.
"""

import io
import json
import pathlib
import struct

import imagecodecs
import numpy
import PIL
import tifffile
from PIL import Image

HEIGHT, WIDTH = 16, 20
row, column = numpy.mgrid[0:HEIGHT, 0:WIDTH]
rgb = numpy.stack([10 * column, 15 * row, 255 - 6 * column - 5 * row], -1).astype(numpy.uint8)
grey = rgb[..., 2].copy()
nir = numpy.concatenate([rgb, 255 - rgb[..., :1]], -1)
ids = (row // 5 + 2 * (column // 7)).astype(numpy.uint8)
images, masks, refused = {}, {}, {}


def written(pixels, **options):
    data = io.BytesIO()
    tifffile.imwrite(data, pixels, **options)
    return data.getvalue()


def by_pillow(picture, **options):
    data = io.BytesIO()
    picture.save(data, "TIFF", **options)
    return data.getvalue()


def image(name, data, found=rgb):
    images[name] = {"file": data.hex(), "values": numpy.asarray(found).astype(numpy.uint8).tobytes().hex()}


def of_jpeg(name, data):
    image(name, data, Image.open(io.BytesIO(data)).convert("RGB"))


def mask(name, data, found=ids):
    masks[name] = {"file": data.hex(), "values": numpy.asarray(found).astype(numpy.uint8).tobytes().hex()}


def few_bits(values, bits):
    """A plain file of 1, 2 or 4 bits a pixel, which the others do not write."""
    lines = b""
    for line in values:
        text = "".join(f"{value:0{bits}b}" for value in line)
        text += "0" * (-len(text) % 8)
        lines += int(text, 2).to_bytes(len(text) // 8)
    sizes = [(256, WIDTH), (257, HEIGHT), (258, bits), (278, HEIGHT), (279, len(lines))]
    entries = sorted(sizes + [(259, 1), (262, 1), (273, 8), (277, 1)])
    header = b"II*\0" + struct.pack("<I", 8 + len(lines)) + lines + struct.pack("<H", len(entries))
    return header + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries) + bytes(4)


greys = numpy.stack([grey] * 3, -1)
image("big", written(rgb, bigtiff=True))
image("big_endian_of_big", written(rgb, bigtiff=True, byteorder=">"))
image("tiles", written(rgb, tile=(16, 16)))
image("separate", written(rgb.transpose(2, 0, 1).copy(), planarconfig="separate", photometric="rgb"))
image("predicted", written(rgb, compression="lzw", predictor=True))
image("opacity", written(nir, photometric="rgb", extrasamples=["unassalpha"], compression="lzw", predictor=True))
image("grey_opacity", written(nir[..., [2, 3]], photometric="minisblack", extrasamples=["unassalpha"]), greys)
image("infrared", written(nir, photometric="rgb", extrasamples=["unspecified"]))
bands = {"planarconfig": "separate", "photometric": "rgb", "extrasamples": ["unspecified"]}
image("infrared_separate", written(nir.transpose(2, 0, 1).copy(), compression="lzw", predictor=True, **bands))
image("infrared_16", written(nir.astype(numpy.uint16) * 257, photometric="rgb", extrasamples=["unspecified"]))
image("pages", written(numpy.stack([rgb, 255 - rgb]), photometric="rgb"))
image("pages_grey", written(numpy.stack([grey, 255 - grey, grey]), photometric="minisblack"), greys)
image("white_is_zero", written(255 - grey, photometric="miniswhite"), greys)
image("four_bits", few_bits(grey >> 4, 4), numpy.stack([(grey >> 4) * 17] * 3, -1))
image("two_bits", few_bits(grey >> 6, 2), numpy.stack([(grey >> 6) * 85] * 3, -1))
image("one_bit", by_pillow(Image.fromarray(grey > 100)), numpy.stack([(grey > 100) * 255] * 3, -1))
image("fax", by_pillow(Image.fromarray(grey > 100), compression="group4"), numpy.stack([(grey > 100) * 255] * 3, -1))
of_jpeg("jpeg", written(rgb, compression="jpeg"))
of_jpeg("jpeg_strips", written(rgb, compression="jpeg", rowsperstrip=8, compressionargs={"level": 95}))
of_jpeg("jpeg_tiles", written(rgb, compression="jpeg", tile=(16, 16), compressionargs={"level": 95}))
of_jpeg("jpeg_by_pillow", by_pillow(Image.fromarray(rgb), compression="jpeg", quality=95))
of_jpeg("jpeg_grey", written(grey, compression="jpeg", compressionargs={"level": 95}))

# A pyramid: a smaller copy behind the image is no page of its own.
data = io.BytesIO()
with tifffile.TiffWriter(data) as writer:
    writer.write(rgb, photometric="rgb")
    writer.write(rgb[::2, ::2], photometric="rgb", subfiletype=1)
image("pyramid", data.getvalue())

mask("big", written(ids, bigtiff=True))
mask("tiles", written(ids, tile=(16, 16), compression="deflate"))
for kind in "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64":
    mask(kind, written(ids.astype(kind)))
mask("int32_predicted", written(ids.astype(numpy.int32), compression="lzw", predictor=True, byteorder=">"))
mask("four_bits", few_bits(ids, 4))
mask("two_bits", few_bits(ids % 4, 2), ids % 4)
mask("one_bit", few_bits(ids % 2, 1), ids % 2)
mask("one_bit_by_pillow", by_pillow(Image.fromarray(ids % 2 > 0)), ids % 2)
mask("pages", written(numpy.stack([ids, ids * 0]), photometric="minisblack"))

five = numpy.concatenate([nir, rgb[..., :1]], -1)
separate = written(five.transpose(2, 0, 1).copy(), photometric="minisblack", planarconfig="separate")
predicted = written(nir, photometric="rgb", extrasamples=["unspecified"], compression="lzw", predictor=True)
palette = Image.fromarray(ids, "P")
palette.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
for name, data, says in [
    ("zstd", written(rgb, compression="zstd"), "compressed with ZSTD"),
    ("lzma", written(rgb, compression="lzma"), "compressed with LZMA"),
    ("webp", written(rgb, compression="webp"), "compressed with WebP"),
    ("five", written(five, photometric="minisblack", planarconfig="contig"), "of 5 bands"),
    ("five_separate", separate, "of 5 bands"),
    ("infrared_predicted", predicted, "of 4 bands with a predictor"),
    ("palette", by_pillow(palette), "with a palette"),
    ("float", written((rgb / 255).astype(numpy.float32), photometric="rgb"), "of 32-bit floating-point numbers"),
    ("signed", written(grey.astype(numpy.int16)), "of 16-bit numbers with a sign"),
    ("unsigned_32", written(grey.astype(numpy.uint32)), "of 32 bits a number"),
    ("lab", by_pillow(Image.fromarray(rgb).convert("LAB")), "of L*a*b* colours"),
    ("ycbcr", by_pillow(Image.fromarray(rgb).convert("YCbCr")), "of YCbCr colours that are not compressed with JPEG"),
]:
    refused[name] = {"file": data.hex(), "says": says}

versions = {module.__name__: module.__version__ for module in (PIL, numpy, tifffile, imagecodecs)}
line = lambda name, found: f"{json.dumps(name)}:{json.dumps(found, separators=(',', ':'))}"
parts = [",\n".join(line(name, found) for name, found in all.items()) for all in (images, masks, refused)]
text = '{"versions":%s,"images":{\n%s\n},"masks":{\n%s\n},"refused":{\n%s\n}}\n' % (json.dumps(versions), *parts)
(pathlib.Path(__file__).parent / "tiffs.json").write_text(text)
