"""Writes files/ (state dicts as PyTorch saves them, and files that must be refused) and expected.json (their content).

    python make.py        (made with PyTorch 2.11, torchvision 0.26 and safetensors)
"""

import json
import os
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).parent / "files"
FOLDER.mkdir(exist_ok=True)
torch.manual_seed(5)

network = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3))
network = network.to(memory_format=torch.channels_last)
state = network.state_dict()

numbers = torch.arange(24.0)
kinds = {
    "double": torch.tensor([[1.5, -2.5]], dtype=torch.float64),
    "half": torch.tensor([0.5, 65504.0], dtype=torch.float16),
    "bfloat16": torch.tensor([0.5, -3e38], dtype=torch.bfloat16),
    "long": torch.tensor([2**62, -1]),
    "int": torch.tensor([2**30], dtype=torch.int32),
    "short": torch.tensor([-(2**15)], dtype=torch.int16),
    "char": torch.tensor([-128], dtype=torch.int8),
    "byte": torch.tensor([255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(7.0),
    "empty": torch.zeros(0, 4),
    "whole": numbers,
    "column": numbers.view(4, 6)[:, 2],
    "transposed": numbers.view(4, 6).t()[1:3],
    "parameter": nn.Parameter(torch.tensor([3.0])),
}


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch evil-was-here",)


def both(name, value):
    torch.save(value, FOLDER / f"{name}.zip.pt")
    torch.save(value, FOLDER / f"{name}.legacy.pt", _use_new_zipfile_serialization=False)


both("state", state)
both("kinds", kinds)
both("training", {"epoch": 3, "state_dict": state, "optimizer": {"param_groups": [{"lr": 0.1, "params": [0, 1]}]}})
both("parallel", {f"module.{name}": tensor for name, tensor in state.items()})
torch.save(state, FOLDER / "state.protocol4.pt", pickle_protocol=4)
both("evil", {"weight": torch.zeros(2), "bias": Evil()})
torch.save(network, FOLDER / "module.zip.pt")
both("number", 5)
save_file({name: tensor.contiguous() for name, tensor in state.items()}, FOLDER / "state.safetensors")


def told(tensors):
    values = lambda tensor: tensor.double().flatten().tolist()
    return {name: {"shape": list(tensor.shape), "values": values(tensor)} for name, tensor in tensors.items()}


expected = {"state": told(state), "kinds": told({name: tensor.detach() for name, tensor in kinds.items()})}
(FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")
for file in FOLDER.iterdir():
    file.chmod(0o644)
