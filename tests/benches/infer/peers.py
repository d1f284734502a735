"""Predicts with a network saved by oxiseg, as PyTorch, ONNX Runtime and OpenVINO do, and prints images per second.

    python peers.py torch|torch-bf16|frozen|onnxruntime|openvino-f32|openvino-bf16 FOLDER

Reads requests from standard input: `agreement TASK`, answered with the share of pixels that have the class in
FOLDER/TASK/classes.npy, and `rate TASK SECONDS`, answered with images a second, the class of each pixel included. It is
started by main.rs.
"""

import os
import sys
import time

import numpy as np

THREADS = len(os.sched_getaffinity(0))


def with_torch(path, images, bf16, frozen):
    import torch

    # The network in the file was folded and frozen; PyTorch's own way there is the same: trace, then freeze.
    script = torch.jit.load(path).eval()
    x = torch.from_numpy(images)
    if not frozen:
        x = x.contiguous(memory_format=torch.channels_last)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return script(x).argmax(1).numpy()

    return run


def with_onnxruntime(path, images):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = [value.name for value in session.get_inputs()]
    return lambda: session.run(None, {name: images})[0].argmax(1)


def with_openvino(path, images, precision):
    import openvino

    core = openvino.Core()
    model = core.read_model(path)
    # OpenVINO is fast with known shapes.
    model.reshape(list(images.shape))
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS}
    compiled = core.compile_model(model, "CPU", hints)
    request = compiled.create_infer_request()

    def run():
        return next(iter(request.infer([images]).values())).argmax(1)

    return run


def runner(who, folder):
    images = np.load(os.path.join(folder, "images.npy"))
    script, onnx = os.path.join(folder, "model.pt"), os.path.join(folder, "model.onnx")
    match who:
        case "torch" | "torch-bf16" | "frozen":
            return images, with_torch(script, images, who == "torch-bf16", who == "frozen")
        case "onnxruntime":
            return images, with_onnxruntime(onnx, images)
        case "openvino-f32" | "openvino-bf16":
            return images, with_openvino(onnx, images, who.removeprefix("openvino-"))


who, folder = sys.argv[1:]
runners = {}
for line in sys.stdin:
    what, *rest = line.split()
    if what == "ready":
        print(0, flush=True)
        continue
    task = rest[0]
    if task not in runners:
        runners[task] = runner(who, os.path.join(folder, task))
    images, run = runners[task]
    if what == "agreement":
        print((run() == np.load(os.path.join(folder, task, "classes.npy"))).mean(), flush=True)
    else:
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < float(rest[1]):
            run()
            count += len(images)
        print(count / (time.perf_counter() - start), flush=True)
