"""Trains the classic UNet with DistributedDataParallel on Gloo, a thread a rank, and prints a rank's figures as JSON.

    torchrun --nproc-per-node=N peers.py BATCH SIZE WIDTH STEPS [BYTES]

BATCH is a rank's. Images a second are those of all ranks, in float32 with all that makes PyTorch faster there
(torch-best-fp32 of ../common/unet.py), without loading and metric. With BYTES also the seconds of an all-reduce of as
many. It is started by main.py.
"""

import json
import os
import pathlib
import statistics
import sys
import time

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "common"))

import torch
import torch.distributed as dist
import unet

WARM_UP = 5


def reduce_seconds(size):
    values, took = torch.zeros(size // 4), []
    for _ in range(12):
        dist.barrier()
        since = time.perf_counter()
        dist.all_reduce(values)
        took.append(time.perf_counter() - since)
    return statistics.median(took[2:])


def main():
    batch, size, width, steps = map(int, sys.argv[1:5])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    network = unet.UNet(width, classes=4).to(memory_format=torch.channels_last)
    network = torch.nn.parallel.DistributedDataParallel(network) if dist.get_world_size() > 1 else network
    step = unet.training(network, "torch-best-fp32")
    images, targets = torch.rand(batch, 3, size, size), torch.randint(4, (batch, size, size))
    for _ in range(WARM_UP):
        step(images, targets)
    dist.barrier()
    since = time.perf_counter()
    for _ in range(steps):
        step(images, targets)[0].item()
    dist.barrier()
    rate = dist.get_world_size() * batch * steps / (time.perf_counter() - since)
    found = {"rate": rate, "all_reduce": reduce_seconds(int(sys.argv[5])) if len(sys.argv) > 5 else None}
    if dist.get_rank() == 0:
        print(json.dumps(found), flush=True)
    dist.barrier()
    # Python's own end now and then aborts while threads of Gloo still run.
    os._exit(0)


main()
