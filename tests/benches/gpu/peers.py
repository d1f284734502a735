"""Makes steps of PyTorch on request, as the program gpu beside it does for oxiseg. scripts/gpu-check starts both.

    peers.py WHO cuda|cpu

WHO is torch (as it is written most often), best (channels last, autocast, fused Adam), graph (best, the whole step in a
CUDA graph), or compile-MODE. Requests and answers are described in main.rs.
"""

import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "../common")]

import torch
import unet
from torch.nn import functional


def serve(who, device):
    tasks = {}
    for line in sys.stdin:
        what, name, *rest = line.split()
        if what == "make":
            width, images, side = map(int, rest[:3])
            kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(rest[3])
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = rest[3] == "tf32"
            torch.backends.cudnn.benchmark = who != "torch"
            x = torch.rand(images, 3, side, side, device=device)
            targets = torch.randint(3, (images, side, side), device=device)
            network = unet.UNet(width).to(device)
            if who != "torch":
                network, x = (each.to(memory_format=torch.channels_last) for each in (network, x))
            options = {"fused": True, "capturable": who == "graph"} if who != "torch" else {}
            optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, **options)
            scaler = torch.amp.GradScaler(device, enabled=rest[3] == "fp16")
            mode = who.partition("compile-")[2]
            forward = torch.compile(network, mode=mode) if mode else network

            def step(forward=forward, optimizer=optimizer, scaler=scaler, x=x, targets=targets, kind=kind):
                optimizer.zero_grad(set_to_none=True)
                with torch.autocast(device, kind, enabled=kind is not None, cache_enabled=who != "graph"):
                    loss = functional.cross_entropy(forward(x), targets)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                return loss

            loss = step().item()
            if who == "graph":
                side_stream = torch.cuda.Stream()
                side_stream.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side_stream):
                    for _ in range(3):
                        step()
                torch.cuda.current_stream().wait_stream(side_stream)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    step()
                # The graph uses what the step holds.
                graph.step, step = step, graph.replay
            tasks[name] = step
            print(loss, flush=True)
        else:
            wait = torch.cuda.synchronize if device == "cuda" else lambda: None
            wait()
            start = time.perf_counter()
            for _ in range(int(rest[0])):
                tasks[name]()
            wait()
            print((time.perf_counter() - start) / int(rest[0]), flush=True)


serve(*sys.argv[1:])
