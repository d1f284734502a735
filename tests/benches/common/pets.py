"""The Oxford-IIIT Pet training data, as PyTorch users load it."""

import os

import torch
from torch.utils.data import Dataset
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F


def names(root):
    with open(os.path.join(root, "annotations", "trainval.txt")) as file:
        return [line.split()[0] for line in file if not line.startswith("#")]


def image(root, name):
    return os.path.join(root, "images", f"{name}.jpg")


def mask(root, name):
    return os.path.join(root, "annotations", "trimaps", f"{name}.png")


class Pets(Dataset):
    """Decodes and resizes by torchvision: f32 images in [0, 1], bilinear; i64 masks, nearest, less 1; half mirrored."""

    def __init__(self, root, size):
        self.root, self.names, self.size = root, names(root), [size, size]

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        name = self.names[index]
        x = F.resize(decode_image(image(self.root, name), ImageReadMode.RGB), self.size, antialias=True)
        y = decode_image(mask(self.root, name), ImageReadMode.UNCHANGED)
        y = F.resize(y, self.size, InterpolationMode.NEAREST_EXACT)
        if torch.rand(()) < 0.5:
            x, y = F.horizontal_flip(x), F.horizontal_flip(y)
        return F.to_dtype(x, torch.float32, scale=True), y[0].long() - 1
