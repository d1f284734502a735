"""Saves the state of a checkpoint as PyTorch saves it, and prints the seconds that it took.

    python peers.py CHECKPOINT FOLDER

Takes weights from CHECKPOINT/model.safetensors, makes Adam's moments with one step, reads requests from standard input,
one word a line, and answers each with a number. It is started by main.rs.
"""

import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

KINDS = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}


def read(path):
    """Returns the tensors of a safetensors file."""
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, info in json.loads(data[8:start]).items():
        begin, end = (start + offset for offset in info["data_offsets"])
        tensors[name] = torch.frombuffer(data[begin:end], dtype=KINDS[info["dtype"]]).reshape(info["shape"]).clone()
    return tensors


def trained(path):
    """Returns model and optimizer as `state_dict`s, after one step."""
    model = read(path)
    parameters = [tensor for name, tensor in model.items() if not name.endswith(("running_mean", "running_var"))]
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    optimizer.zero_grad()
    return {"model": model, "optimizer": optimizer.state_dict()}


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def save(state, path, fsync):
    with open(path, "wb") as file:
        torch.save(state, file)
        if fsync:
            file.flush()
            os.fsync(file.fileno())


def main():
    warnings.simplefilter("ignore")
    checkpoint, folder = Path(sys.argv[1]), Path(sys.argv[2])
    state = trained(checkpoint / "model.safetensors")
    with tempfile.TemporaryDirectory() as meeting:
        dist.init_process_group("gloo", init_method=f"file://{meeting}/store", rank=0, world_size=1)
    seconds_of_all = None
    for request in map(str.strip, sys.stdin):
        if request == "ready":
            seconds = 0
        elif request in ("save", "save_fsync"):
            path = folder / "state.pt"
            seconds, _ = timed(lambda: save(state, path, request == "save_fsync"))
            path.unlink()
        elif request == "async_stall":
            path = folder / "distributed"
            start = time.perf_counter()
            seconds, future = timed(lambda: dcp.async_save(state, checkpoint_id=path))
            future.result()
            seconds_of_all = time.perf_counter() - start
            shutil.rmtree(path)
        elif request == "async_total":
            seconds = seconds_of_all
        else:
            raise SystemExit(f"unknown request {request!r}")
        print(seconds, flush=True)


main()
