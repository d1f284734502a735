"""Makes steps of PyTorch on request, as the program gpu beside it does for oxiseg. scripts/gpu-check starts both.

    peers.py cuda|cpu WHO unet WIDTH IMAGES SIDE PRECISION

WHO is best (channels last, autocast, fused Adam), graph (best, the whole step in a CUDA graph), or compile-MODE.
Answers and requests are described in main.rs.
"""

import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "../common")]

import torch
import unet
from torch.nn import functional


def serve(device, who, _network, width, images, side, precision):
    width, images, side = map(int, (width, images, side))
    kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    last = torch.channels_last
    x = torch.rand(images, 3, side, side, device=device).to(memory_format=last)
    targets = torch.randint(3, (images, side, side), device=device)
    network = unet.UNet(width).to(device).to(memory_format=last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, fused=True, capturable=who == "graph")
    scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")
    mode = who.partition("compile-")[2]
    forward = torch.compile(network, mode=mode) if mode else network

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, kind, enabled=kind is not None, cache_enabled=who != "graph"):
            loss = functional.cross_entropy(forward(x), targets)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    loss, made = step().item(), step
    if who == "graph":
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        made = graph.replay
    print(loss, flush=True)

    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for line in sys.stdin:
        wait()
        start = time.perf_counter()
        for _ in range(int(line)):
            made()
        wait()
        print((time.perf_counter() - start) / int(line), flush=True)


serve(*sys.argv[1:])
