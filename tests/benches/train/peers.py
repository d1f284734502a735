"""Trains the classic UNet on one batch as PyTorch and Keras do, and prints the time of a step.

    python peers.py WHO FOLDER [TASK]

WHO is torch (as it is written most often), torch-best (channels last, bf16 autocast, fused Adam), torch-best-fp32,
torch-tuned (torch-best with glibc's allocator set as oxiseg sets it), torch-compile (torch-best, max-autotune), or keras
(mixed_bfloat16). FOLDER/TASK holds weights.npz by oxiseg's names, images.npy and targets.npy.

Without TASK it reads requests from standard input and answers each with a number: `loss TASK` with the loss of a first
step, `step TASK COUNT` with the median seconds of COUNT steps. With TASK it makes a step, reports it, makes two more
and prints its own peak memory in MB. It is started by main.rs.
"""

import os
import statistics
import sys
import time

WHO, FOLDER = sys.argv[1:3]
THREADS = len(os.sched_getaffinity(0))
TUNED = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=9223372036854775807:glibc.malloc.top_pad=67108864"
if WHO == "torch-tuned" and os.environ.get("GLIBC_TUNABLES") != TUNED:
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"GLIBC_TUNABLES": TUNED})

import numpy as np


def given(task):
    load = lambda name: np.load(os.path.join(FOLDER, task, name))
    return dict(load("weights.npz")), load("images.npy"), load("targets.npy")


def torch_task(task):
    sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
    import torch
    import unet

    weights, images, targets = given(task)
    depth = sum(name.startswith("up") and name.endswith("weight") for name in weights)
    network = unet.UNet(len(weights["encoder0.norm1.weight"]), depth, len(weights["head.bias"]))
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing), (missing, unexpected)
    images, targets = torch.from_numpy(images), torch.from_numpy(targets)
    if WHO != "torch":
        images = images.contiguous(memory_format=torch.channels_last)
    step = unet.training(network, WHO)
    return lambda: step(images, targets)[0].item()


def keras_task(task):
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf
    from tensorflow.keras import layers

    tf.config.set_visible_devices([], "GPU")
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    weights, images, targets = given(task)
    depth = sum(name.startswith("up") and name.endswith("weight") for name in weights)
    placed = []

    def layer(made, *values):
        placed.append((made, values))
        return made

    def double(x, name):
        for part in "12":
            kernel = weights[f"{name}.conv{part}.weight"].transpose(2, 3, 1, 0)
            x = layer(layers.Conv2D(kernel.shape[-1], 3, padding="same", use_bias=False), kernel)(x)
            of_norm = [weights[f"{name}.norm{part}.{what}"] for what in ("weight", "bias", "running_mean", "running_var")]
            x = layers.ReLU()(layer(layers.BatchNormalization(momentum=0.9, epsilon=1e-5), *of_norm)(x))
        return x

    inputs = x = tf.keras.Input(images.shape[2:] + (3,))
    skips = []
    for level in range(depth):
        skips.append(double(x, f"encoder{level}"))
        x = layers.MaxPool2D()(skips[-1])
    x = double(x, "bottom")
    for level in reversed(range(depth)):
        kernel = weights[f"up{level}.weight"].transpose(2, 3, 1, 0)
        x = layer(layers.Conv2DTranspose(kernel.shape[2], 2, 2), kernel, weights[f"up{level}.bias"])(x)
        x = double(layers.Concatenate()([skips[level], x]), f"decoder{level}")
    head = weights["head.weight"].transpose(2, 3, 1, 0)
    x = layer(layers.Conv2D(head.shape[-1], 1, dtype="float32"), head, weights["head.bias"])(x)
    model = tf.keras.Model(inputs, x)
    for made, values in placed:
        made.set_weights(values)
    loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = tf.keras.optimizers.Adam(1e-3)
    images, targets = tf.constant(images.transpose(0, 2, 3, 1)), tf.constant(targets)

    @tf.function
    def one():
        with tf.GradientTape() as tape:
            loss = loss_fn(targets, model(images, training=True))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return loss

    return lambda: float(one())


make = keras_task if WHO == "keras" else torch_task
if len(sys.argv) > 3:
    step = make(sys.argv[3])
    step()
    print("stepped", flush=True)
    step(), step()
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:")))
    sys.exit()
steps = {}
for line in sys.stdin:
    what, *rest = line.split()
    if what == "ready":
        print(0, flush=True)
        continue
    task = rest[0]
    if what == "loss":
        steps[task] = make(task)
        print(steps[task](), flush=True)
        continue
    seconds = []
    for _ in range(int(rest[1])):
        start = time.perf_counter()
        steps[task]()
        seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds), flush=True)
