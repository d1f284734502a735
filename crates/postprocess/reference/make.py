"""Writes cases.json: class maps, and what SciPy's label and binary_fill_holes make of them by the rules of this crate.

python make.py        (numpy, scipy)
"""

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

STRUCTURES = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


def around(classes, component):
    """The class that shares most pixel sides with the component; of several, the lowest."""
    sides = np.zeros(256, int)
    padded, inside = np.pad(classes, 1, constant_values=-1), np.pad(component, 1)
    for axis, step in [(0, 1), (0, -1), (1, 1), (1, -1)]:
        beside = np.roll(padded, step, axis)[inside & ~np.roll(inside, step, axis)]
        sides += np.bincount(beside[beside >= 0], minlength=256)
    return int(sides.argmax()) if sides.any() else None


def remove(classes, of, neighbours, keep):
    labels, count = ndimage.label(classes == of, STRUCTURES[neighbours])
    areas = ndimage.sum_labels(np.ones_like(labels), labels, np.arange(1, count + 1)).astype(int)
    done = classes.copy()
    for number in range(1, count + 1):
        if not keep(number - 1, areas):
            into = around(classes, labels == number)
            done[labels == number] = of if into is None else into
    return done


def keep_largest(classes, of, neighbours):
    return remove(classes, of, neighbours, lambda number, areas: number == int(areas.argmax()))


def remove_small(classes, of, neighbours, least):
    return remove(classes, of, neighbours, lambda number, areas: areas[number] >= least)


def fill_holes(classes, of, neighbours):
    done = classes.copy()
    done[ndimage.binary_fill_holes(classes == of, STRUCTURES[neighbours])] = of
    return done


def clean(classes, rules, neighbours):
    for of, rule in enumerate(rules):
        classes = keep_largest(classes, of, neighbours) if rule["keep_largest"] else classes
    for of, rule in enumerate(rules):
        classes = remove_small(classes, of, neighbours, rule["min_area"]) if rule["min_area"] > 1 else classes
    for of, rule in enumerate(rules):
        classes = fill_holes(classes, of, neighbours) if rule["fill_holes"] else classes
    return classes


def main():
    random = np.random.default_rng(21)
    cases = []
    for number in range(60):
        height, width = random.integers(1, 26, 2).tolist()
        count = int(random.integers(2, 5))
        # From noise in each pixel to blobs with specks and holes.
        fields = ndimage.gaussian_filter(random.normal(size=(count, height, width)), (0, *[number % 4 / 2] * 2))
        fields /= fields.std() + 1e-9
        classes = (fields + 0.5 * random.normal(size=fields.shape) * (random.random(fields.shape) < 0.1)).argmax(0)
        rules = [
            {"keep_largest": bool(a), "min_area": int(b), "fill_holes": bool(c)}
            for a, b, c in zip(random.random(count) < 0.3, random.integers(0, 9, count), random.random(count) < 0.4)
        ]
        neighbours = [4, 8][number % 2]
        of = int(random.integers(count))
        labels, _ = ndimage.label(classes == of, STRUCTURES[neighbours])
        case = {
            "width": width,
            "neighbours": neighbours,
            "classes": classes,
            "of": of,
            "areas": np.bincount(labels.ravel())[1:],
            "keep_largest": keep_largest(classes, of, neighbours),
            "remove_small": remove_small(classes, of, neighbours, 5),
            "fill_holes": fill_holes(classes, of, neighbours),
            "rules": rules,
            "clean": clean(classes, rules, neighbours),
        }
        maps = {key: value.ravel().tolist() for key, value in case.items() if isinstance(value, np.ndarray)}
        cases.append(case | maps)
    text = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    Path(__file__).with_name("cases.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
