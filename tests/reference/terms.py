"""Writes what tests/parity/terms.rs expects: the losses that a configuration lists in `loss.terms`.

    pip install torch==2.11.0 numpy safetensors segmentation_models_pytorch==0.6.0 monai==1.6.1
    pip install mmsegmentation==1.2.2 mmengine mmcv-lite==2.1.0 ftfy regex
    python tests/reference/terms.py

Beside this script it writes terms.safetensors (tensors) and terms.json (the configuration of each case). Dice, Jaccard,
Tversky and Lovász are segmentation_models.pytorch's, focal is MONAI's, cross entropies are PyTorch's. Cases whose names
begin with mmseg are MMSegmentation's own, and so is the sampler of OHEM, image by image. The distances of the boundary
loss are searched for pixel by pixel in NumPy. Everything but Lovász (whose libraries know float32 only) and focal is
computed in float64.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy
import torch
from monai.losses import FocalLoss
from safetensors.torch import save_file
from segmentation_models_pytorch import losses as smp
from torch.nn import functional

# MMSegmentation imports the compiled operators of mmcv, which its losses do without on a CPU.
sys.modules["mmcv.ops"] = MagicMock()
from mmseg.models import losses as mmseg  # noqa: E402
from mmseg.structures.sampler import OHEMPixelSampler  # noqa: E402

HERE = Path(__file__).parent
IGNORE = 255
CLASSES = 4


def valid_pixels(logits, targets):
    """The logits `[P, K]` and the class ids `[P]` of the valid pixels."""
    valid = targets.flatten() != IGNORE
    return logits.movedim(1, -1).reshape(-1, logits.shape[1])[valid], targets.flatten()[valid]


def present(targets):
    return targets[targets != IGNORE].unique().tolist()


def images(loss, logits, targets):
    """The mean of the losses of the images that have a valid pixel."""
    pairs = zip(logits.split(1), targets.split(1))
    return torch.stack([loss(z, t) for z, t in pairs if (t != IGNORE).any()]).mean()


def per_image(loss):
    return lambda logits, targets: images(loss, logits, targets)


def focal(gamma, weights=None):
    def loss(logits, targets):
        # An ignored pixel is of no class.
        own = functional.one_hot(targets.clamp(max=CLASSES), CLASSES + 1)[..., :CLASSES].movedim(-1, 1)
        losses = FocalLoss(use_softmax=True, gamma=gamma, weight=weights, reduction="none")(logits, own)
        of_pixels = torch.ones(CLASSES) if weights is None else torch.tensor(weights)
        return losses.double().sum() / of_pixels[targets[targets != IGNORE]].double().sum()

    return loss


def cross_entropy(smoothing=0.0, weights=None):
    weights = None if weights is None else torch.tensor(weights).double()
    return lambda logits, targets: functional.cross_entropy(
        logits, targets, weights, ignore_index=IGNORE, label_smoothing=smoothing
    )


def binary_cross_entropy(weights=None):
    def loss(logits, targets):
        logits, targets = valid_pixels(logits, targets)
        own = functional.one_hot(targets, CLASSES).double()
        losses = functional.binary_cross_entropy_with_logits(logits, own, reduction="none")
        of_classes = torch.ones(CLASSES).double() if weights is None else torch.tensor(weights).double()
        return ((losses * of_classes).sum(1) / of_classes.sum()).mean()

    return loss


def ohem(threshold, share, weights=None):
    def loss(logits, targets):
        total, count = 0, 0
        for z, t in zip(logits.split(1), targets.split(1)):
            valid = (t != IGNORE).sum().item()
            if valid == 0:
                continue
            kept = int(numpy.ceil(share * valid))
            sampler = OHEMPixelSampler(SimpleNamespace(ignore_index=IGNORE), threshold, max(kept, 2))
            sampler.min_kept = kept
            hard = sampler.sample(z.detach(), t[:, None])
            if weights is not None:
                hard = hard * torch.tensor(weights).double()[t.clamp(max=CLASSES - 1)]
            total = total + (functional.cross_entropy(z, t, ignore_index=IGNORE, reduction="none") * hard).sum()
            count = count + hard.sum()
        return total / count

    return loss


def sigmoid_focal(gamma, alpha=None):
    return smp.FocalLoss("multiclass", gamma=gamma, alpha=alpha, ignore_index=IGNORE)


def mmseg_focal(**options):
    """Of class ids it would take the last class alone, unless on a GPU."""
    kind = mmseg.FocalLoss(use_sigmoid=True, **options)
    return lambda logits, targets: kind(logits, functional.one_hot(targets, CLASSES).movedim(-1, 1))


def mmseg_lovasz(**options):
    kind = mmseg.LovaszLoss(**options)
    return lambda logits, targets: kind(logits.float(), targets)


def of_present(kind, **options):
    """The library divides by all classes, oxiseg by those in the targets."""

    def loss(logits, targets):
        found = kind("multiclass", ignore_index=IGNORE, **options)(logits, targets)
        return found * CLASSES / len(present(targets))

    return loss


def jaccard(smooth):
    def loss(logits, targets):
        return smp.JaccardLoss("multiclass", smooth=smooth)(logits, targets) * CLASSES / len(present(targets))

    return loss


def focal_tversky(gamma, **options):
    def loss(logits, targets):
        def of_class(k):
            # Takes one class, since it raises the mean over its classes to the power.
            kind = smp.TverskyLoss("multiclass", classes=[k], gamma=gamma, ignore_index=IGNORE, **options)
            return kind(logits, targets)

        return torch.stack([of_class(k) for k in present(targets)]).mean()

    return loss


def lovasz(logits, targets):
    return smp.LovaszLoss("multiclass", ignore_index=IGNORE)(logits.float(), targets)


def lovasz_hinge(logits, targets):
    def of_class(k):
        own = torch.where(targets == IGNORE, IGNORE, (targets == k).long())
        return smp.LovaszLoss("binary", per_image=False, ignore_index=IGNORE)(logits[:, k].float(), own)

    return torch.stack([of_class(k) for k in present(targets)]).mean()


def distance(mask, y, x):
    rows, columns = numpy.nonzero(mask)
    return numpy.sqrt((rows - y) ** 2 + (columns - x) ** 2).min()


def boundary(logits, targets):
    distances = numpy.zeros(logits.shape)
    for n, target in enumerate(targets.numpy()):
        for k in range(CLASSES):
            own, other = target == k, (target != k) & (target != IGNORE)
            if not own.any() or not other.any():
                continue
            for y, x in zip(*numpy.nonzero(target != IGNORE)):
                inside = own[y, x]
                distances[n, k, y, x] = -(distance(other, y, x) - 1) if inside else distance(own, y, x)
    return (logits.softmax(1) * torch.tensor(distances)).sum() / (CLASSES * (targets != IGNORE).sum())


def main():
    torch.manual_seed(5)
    shape = (3, 9, 11)
    logits = torch.randn(3, CLASSES, 9, 11) * 2
    every = torch.randint(0, CLASSES, shape)
    # Blobs, so that distances are more than 1.
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(11), indexing="ij")
    blobs = torch.stack([(rows // 5 + columns // 4 + n) % CLASSES for n in range(3)])
    ignored = torch.where(torch.rand(shape) < 0.2, IGNORE, every)
    blobs = torch.where(torch.rand(shape) < 0.1, IGNORE, blobs)
    blobs[2] = 1
    absent = torch.where(ignored == 2, 0, ignored)
    absent[1] = IGNORE
    weights = [0.5, 2.0, 1.0, 3.25]

    def alone(kind, **options):
        return {"cross_entropy": 0.0, "terms": [{"kind": kind, **options}]}

    # Targets, configuration, loss.
    # The library's Dice is (tp + smooth) / (tp + fp / 2 + fn / 2 + smooth): half of oxiseg's smoothing.
    dice, tversky = smp.DiceLoss, smp.TverskyLoss
    rates = {"alpha": 0.3, "beta": 0.7}
    cases = {
        "focal": (every, alone("focal"), focal(2.0)),
        "focal_ignored": (absent, alone("focal", gamma=3.0), focal(3.0)),
        "focal_root": (ignored, alone("focal", gamma=0.5), focal(0.5)),
        "focal_weighted": (ignored, alone("focal") | {"class_weights": weights}, focal(2.0, weights)),
        "focal_sigmoid": (ignored, alone("focal", gamma=1.5, sigmoid=True), sigmoid_focal(1.5)),
        "focal_sigmoid_alpha": (absent, alone("focal", sigmoid=True, alpha=0.25), sigmoid_focal(2.0, 0.25)),
        "mmseg_focal": (
            every,
            alone("focal", sigmoid=True, alpha=0.5),
            mmseg_focal(gamma=2.0, alpha=0.5),
        ),
        "mmseg_lovasz": (ignored, alone("lovasz"), mmseg_lovasz(reduction="none")),
        "mmseg_lovasz_images": (ignored, alone("lovasz", per_image=True), mmseg_lovasz(per_image=True)),
        "mmseg_tversky": (every, alone("tversky", per_image=True), mmseg.TverskyLoss()),
        "smoothed": (ignored, {"label_smoothing": 0.1}, cross_entropy(0.1)),
        "smoothed_weighted": (
            absent,
            {"label_smoothing": 0.3, "class_weights": weights},
            cross_entropy(0.3, weights),
        ),
        "binary": (absent, alone("binary_cross_entropy"), binary_cross_entropy()),
        "binary_weighted": (
            ignored,
            alone("binary_cross_entropy") | {"class_weights": weights},
            binary_cross_entropy(weights),
        ),
        "ohem": (ignored, alone("ohem", threshold=0.3, min_kept=0.25), ohem(0.3, 0.25)),
        "ohem_least": (absent, alone("ohem", threshold=0.0, min_kept=0.4), ohem(0.0, 0.4)),
        "ohem_weighted": (
            ignored,
            alone("ohem", threshold=0.5, min_kept=0.0) | {"class_weights": weights},
            ohem(0.5, 0.0, weights),
        ),
        "dice": (absent, alone("dice", smooth=2.0), of_present(dice, smooth=1.0)),
        "dice_images": (absent, alone("dice", per_image=True), per_image(of_present(dice, smooth=0.5))),
        "tversky": (absent, alone("tversky"), of_present(tversky, smooth=1.0, **rates)),
        "tversky_images": (
            blobs,
            alone("tversky", alpha=0.6, beta=1.5, smooth=0.5, per_image=True),
            per_image(of_present(tversky, alpha=0.6, beta=1.5, smooth=0.5)),
        ),
        "tversky_focal": (
            absent,
            alone("tversky", gamma=0.75, smooth=0.0),
            focal_tversky(0.75, smooth=0.0, **rates),
        ),
        "jaccard": (every, alone("jaccard"), jaccard(1.0)),
        "jaccard_unsmoothed": (blobs, alone("jaccard", smooth=0.0), of_present(tversky, alpha=1.0, beta=1.0)),
        "jaccard_images": (every, alone("jaccard", per_image=True), per_image(jaccard(1.0))),
        "lovasz": (absent, alone("lovasz"), lovasz),
        "lovasz_images": (absent, alone("lovasz", per_image=True), per_image(lovasz)),
        "lovasz_hinge": (absent, alone("lovasz", hinge=True), lovasz_hinge),
        "lovasz_hinge_images": (blobs, alone("lovasz", hinge=True, per_image=True), per_image(lovasz_hinge)),
        "boundary": (blobs, alone("boundary"), boundary),
        "boundary_noise": (absent, alone("boundary"), boundary),
        "sum": (
            ignored,
            {
                "cross_entropy": 0.5,
                "class_weights": weights,
                "dice": 0.25,
                "smooth": 2.0,
                "terms": [
                    {"kind": "lovasz", "weight": 1.5},
                    {"kind": "boundary", "weight": 0.01},
                    {"kind": "focal", "weight": 2.0},
                ],
            },
            lambda z, t: 0.5 * cross_entropy(0.0, weights)(z, t)
            + 0.25 * of_present(dice, smooth=1.0)(z, t)
            + 1.5 * lovasz(z, t)
            + 0.01 * boundary(z, t)
            + 2.0 * focal(2.0, weights)(z, t),
        ),
    }
    tensors, configs = {"logits": logits}, {}
    for name, (targets, config, loss) in cases.items():
        values = logits.double().requires_grad_()
        found = loss(values, targets)
        found.backward()
        tensors[f"{name}.targets"] = targets
        tensors |= {f"{name}.loss": found.detach().float(), f"{name}.gradient": values.grad.float()}
        configs[name] = config
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, HERE / "terms.safetensors")
    (HERE / "terms.safetensors").chmod(0o644)
    (HERE / "terms.json").write_text(json.dumps(configs, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
