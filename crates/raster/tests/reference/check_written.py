"""Reads what the crate wrote with rasterio and tifffile.

    mkdir written && RASTER_WRITTEN=$PWD/written cargo test -p raster what_is_written
    python check_written.py written
"""

import pathlib
import sys

import numpy as np
import rasterio
import tifffile

folder = pathlib.Path(sys.argv[1])
files = sorted(folder.glob("*.tif"))
sources = {}
for path in sorted((pathlib.Path(__file__).parent / "files").glob("geo-*.tif")):
    with rasterio.open(path) as file:
        sources[tuple(file.transform), file.crs] = path.name
seen = set()
for path in files:
    expected = path.with_suffix(".bin").read_bytes()
    with rasterio.open(path) as file:
        values = np.moveaxis(file.read(), 0, -1)
        placed = (tuple(file.transform), file.crs)
        if file.crs:
            assert placed in sources, path
            seen.add(sources[placed])
        nodata, size = file.nodata, file.shape
    assert values.astype(values.dtype.newbyteorder("<")).tobytes() == expected, path
    again = tifffile.imread(path)
    assert again.astype(again.dtype.newbyteorder("<")).tobytes() == expected, path
    assert size == (70, 53), path
    number = int(path.stem)
    whole = {"uint8": 255.0, "uint16": 65_535.0}.get(values.dtype.name)
    wanted = [None, 0.0] + (3 * [whole] if whole else [-9999.5, float("nan"), float(np.finfo("f4").min)])
    same = nodata is wanted[number % 5] or nodata == wanted[number % 5]
    assert same or np.isnan(nodata) and np.isnan(wanted[number % 5]), (path, nodata)
assert len(seen) == len(sources), set(sources.values()) - seen
print(f"{len(files)} files; places of {', '.join(sorted(seen))}")
