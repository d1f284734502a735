"""Writes what tests/parity/measures.rs expects: scores of matrices, boundaries, and statistics over images.

    pip install numpy scipy==1.17.1 scikit-learn==1.9.1 monai==1.6.1 torch
    python tests/reference/measures.py

Beside this script it writes measures.json. Precision, recall, IoU, F1 and kappa are scikit-learn's, from the single
pixels; frequency-weighted IoU is its `jaccard_score(average="weighted")`. Hausdorff distance and surface Dice are
MONAI's, with the background as a class like the others and without subvoxels. Boundary IoU follows Cheng et al.: masks
padded by a pixel of background and eroded by a square of 3 x 3 pixels, with SciPy. Ignored pixels are removed from
both masks before. Intervals and p-values are scipy.stats's.

A class in only one of the masks is null here: MONAI answers inf or nan, and we have a rule of our own.
"""

import json
from pathlib import Path

import numpy
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage, stats
from sklearn import metrics as sklearn

HERE = Path(__file__).parent
IGNORE = 255
random = numpy.random.default_rng(21)


def matrix(confusion):
    """scikit-learn's scores of single pixels whose confusion matrix this is."""
    classes = len(confusion)
    target = numpy.repeat(numpy.arange(classes), confusion.sum(1))
    predicted = numpy.concatenate([numpy.repeat(numpy.arange(classes), row) for row in confusion])
    present = sorted(set(target) | set(predicted))
    precision, recall, f1, _ = sklearn.precision_recall_fscore_support(
        target, predicted, labels=present, zero_division=0
    )
    iou = sklearn.jaccard_score(target, predicted, labels=present, average=None, zero_division=0)
    scores = {
        "accuracy": sklearn.accuracy_score(target, predicted),
        "kappa": sklearn.cohen_kappa_score(target, predicted),
        "fw_iou": sklearn.jaccard_score(target, predicted, labels=present, average="weighted", zero_division=0),
    }
    for name, values in [("iou", iou), ("dice", f1), ("precision", precision), ("recall", recall)]:
        scores[f"mean_{name}"] = numpy.mean(values)
        scores |= {f"{name}/{label}": value for label, value in zip(present, values)}
    return {"confusion": confusion.tolist(), "scores": {name: float(value) for name, value in scores.items()}}


def blobs(size, classes, smooth):
    return ndimage.gaussian_filter(random.normal(size=(classes, *size)), (0, smooth, smooth))


def band(mask, ratio):
    """The pixels of a mask that the erosions of the reference implementation remove."""
    width = max(1, int(round(ratio * numpy.hypot(*mask.shape))))
    padded = numpy.pad(mask, 1)
    return mask & ~ndimage.binary_erosion(padded, numpy.ones((3, 3)), iterations=width)[1:-1, 1:-1]


def boundaries(target, predicted, classes, ratio, tolerance):
    valid = target != IGNORE
    found = []
    for k in range(classes):
        masks = [(target == k) & valid, (predicted == k) & valid]
        if not (masks[0].any() or masks[1].any()):
            found.append(None)
            continue
        bands = [band(mask, ratio) for mask in masks]
        scores = {"intersection": int((bands[0] & bands[1]).sum()), "union": int((bands[0] | bands[1]).sum())}
        if masks[0].any() and masks[1].any():
            y, y_pred = (torch.from_numpy(mask)[None, None].float() for mask in masks)
            distance = compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95)
            dice = compute_surface_dice(y_pred, y, class_thresholds=[tolerance], include_background=True)
            scores |= {"hausdorff95": float(distance), "surface_dice": float(dice)}
        else:
            scores |= {"hausdorff95": None, "surface_dice": None}
        found.append(scores)
    text = ["".join("." if pixel == IGNORE else str(pixel) for pixel in row) for row in target]
    return {
        "ratio": ratio,
        "tolerance": tolerance,
        "classes": classes,
        "target": text,
        "predicted": ["".join(map(str, row)) for row in predicted],
        "scores": found,
    }


def pairs():
    """Masks and predictions: blobs and noisy ones, with ignored pixels, classes missed, invented and in neither."""
    for size, classes, smooth, noise, ratio, tolerance in [
        ((24, 37), 3, 3, 0.02, 0.02, 1.0),
        ((48, 40), 4, 4, 0.04, 0.05, 2.0),
        ((31, 30), 2, 2, 0.2, 0.02, 0.0),
        ((96, 128), 4, 9, 0.004, 0.022, 3.0),
        ((1, 29), 2, 1, 0.1, 0.1, 1.5),
        ((17, 1), 2, 1, 0.1, 0.1, 1.0),
    ]:
        field = blobs(size, classes, smooth)
        target = field.argmax(0)
        predicted = (field + noise * blobs(size, classes, 1) / blobs(size, classes, 1).std()).argmax(0)
        yield boundaries(target, predicted, classes, ratio, tolerance)
        target = target.copy()
        target[ndimage.gaussian_filter(random.normal(size=size), 2) > 0.12] = IGNORE
        target[target == classes - 1] = 0  # the last class is only predicted
        yield boundaries(target, predicted, classes + 1, ratio, tolerance)


def statistics():
    few, exact, many = random.normal(0.1, 0.1, 9), random.normal(0.04, 0.08, 16), random.normal(0.02, 0.06, 60)
    tests = []
    for values in [few, exact, many, numpy.round(few, 1)]:
        mean = float(numpy.mean(values))
        # All sign flips of up to 16 values; of more, 200,000 of them.
        test = stats.permutation_test(
            (values,),
            lambda values, axis: values.mean(axis),
            permutation_type="samples",
            n_resamples=200_000,
            rng=numpy.random.default_rng(0),
            batch=10_000,
        )
        ends = interval(values, lambda values, axis=-1: values.mean(axis))
        tests.append({"differences": values.tolist(), "mean": mean, "p": float(test.pvalue), "interval": ends})

    # Images of three classes, the last in few of them.
    images = []
    for _ in range(40):
        support = random.multinomial(2000, random.dirichlet([4, 2, 1]) * [1, 1, random.random() < 0.2])
        support[0] += 2000 - support.sum()
        hits = random.binomial(support, [0.9, 0.7, 0.4])
        predicted = hits + random.multinomial(2000 - hits.sum(), [0.5, 0.3, 0.2])
        images.append(numpy.stack([hits, support, predicted], 1))
    images = numpy.array(images)

    def score(name):
        def of(indices):
            hits, support, predicted = images[indices.astype(int)].sum(0).T
            iou, dice = hits / (support + predicted - hits), 2 * hits / (support + predicted)
            by_name = {
                "accuracy": hits.sum() / support.sum(),
                "mean_iou": iou.mean(),
                "mean_dice": dice.mean(),
                "fw_iou": (support / support.sum() * iou).sum(),
            }
            return (by_name | {f"iou/{k}": iou[k] for k in range(3)} | {f"dice/{k}": dice[k] for k in range(3)})[name]

        return of

    names = ["accuracy", "mean_iou", "mean_dice", "fw_iou"] + [f"{s}/{k}" for s in ["iou", "dice"] for k in range(3)]
    intervals = {name: interval(numpy.arange(len(images)), score(name), 20_000) for name in names}
    return {"tests": tests, "images": images.tolist(), "intervals": intervals}


def interval(values, statistic, resamples=200_000):
    found = stats.bootstrap(
        (values,),
        statistic,
        method="percentile",
        confidence_level=0.95,
        n_resamples=resamples,
        batch=1000,
        rng=numpy.random.default_rng(0),
    )
    return [float(found.confidence_interval.low), float(found.confidence_interval.high)]


matrices = [
    [[900, 60, 30, 0, 10], [80, 700, 20, 0, 0], [50, 40, 110, 0, 0], [7, 0, 3, 0, 0], [0, 0, 0, 0, 0]],
    [[20, 5, 0], [10, 15, 0], [0, 0, 0]],
    [[10, 0], [7, 0]],
    [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
]
found = {
    "matrices": [matrix(numpy.array(rows)) for rows in matrices],
    "boundaries": list(pairs()),
    "statistics": statistics(),
}
(HERE / "measures.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
