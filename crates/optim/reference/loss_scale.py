"""Writes loss_scale.json: the factor of PyTorch's GradScaler after each update at which it changed.

    python loss_scale.py > loss_scale.json        (made with torch 2.11)

`overflows` are the updates, from 0, whose gradients were infinite; `changes` are [update, factor after it].
"""

import json

import torch

updates = 12_000
overflows = [0, 1, 2, 5, 1_999, 4_100, *range(8_500, 8_530)]
scaler = torch.amp.GradScaler("cpu")
weight = torch.nn.Parameter(torch.zeros(1))
optimizer = torch.optim.SGD([weight], lr=0.0)
changes, before = [], scaler.get_scale()
for update in range(updates):
    # The scaler creates its factor only when it sees a loss to scale.
    scaler.scale(torch.ones(1))
    weight.grad = torch.full((1,), float("inf") if update in overflows else 0.0)
    scaler.step(optimizer)
    scaler.update()
    # The scaler has no minimum factor; ours is 1.
    if scaler.get_scale() < 1.0:
        scaler.update(1.0)
    if scaler.get_scale() != before:
        before = scaler.get_scale()
        changes.append([update, before])
print(json.dumps({"updates": updates, "overflows": overflows, "changes": changes}))
