"""BENCHMARKS.md, whose tables the benchmarks write."""

import pathlib
import re

DOCUMENT = pathlib.Path(__file__).resolve().parents[3] / "BENCHMARKS.md"


def put(name, text):
    """Replaces what stands between the marks of a benchmark."""
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    written = re.sub(f"{begin}.*{end}", lambda _: begin + text + end, DOCUMENT.read_text(), flags=re.DOTALL)
    DOCUMENT.write_text(written)
