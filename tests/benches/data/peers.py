"""Loads the Oxford-IIIT Pet training data as PyTorch and TensorFlow users do, and prints the rate in images per second.

    python peers.py torch|tensorflow ROOT

Reads requests from standard input, `WHAT SIZE BATCH EPOCHS` a line, and answers each with images per second. A request
yields f32 images of SIZE x SIZE pixels in [0, 1], bilinear; i64 masks, nearest, less one; mirrored half of the time;
shuffled; in batches. It is started by main.rs.
"""

import os
import sys
import time

ROOT = sys.argv[2]
WORKERS = 2


def torch_peers():
    sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
    import torch
    from pets import Pets
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)  # as DataLoader does in its workers
    loaders = {}

    def files(size, batch):
        if (size, batch) not in loaders:
            options = {"num_workers": WORKERS, "prefetch_factor": 4, "persistent_workers": True}
            loaders[size, batch] = DataLoader(Pets(ROOT, size), batch, shuffle=True, **options)
        return loaders[size, batch]

    return {"files": files}


def tensorflow_peers():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    with open(os.path.join(ROOT, "annotations", "trainval.txt")) as file:
        names = [line.split()[0] for line in file if not line.startswith("#")]

    def decoded(size, antialias):
        def load(name):
            x = tf.io.decode_jpeg(tf.io.read_file(ROOT + "/images/" + name + ".jpg"), channels=3)
            y = tf.io.decode_png(tf.io.read_file(ROOT + "/annotations/trimaps/" + name + ".png"), channels=1)
            x = tf.image.resize(x, [size, size], antialias=antialias) / 255.0
            return x, tf.cast(tf.image.resize(y, [size, size], method="nearest"), tf.int64) - 1

        return load

    def flip(x, y):
        mirrored = tf.random.uniform(()) < 0.5
        both = lambda: (tf.image.flip_left_right(x), tf.image.flip_left_right(y))
        x, y = tf.cond(mirrored, both, lambda: (x, y))
        return x, tf.squeeze(y, -1)

    def batches(samples, batch):
        auto = tf.data.AUTOTUNE
        return samples.map(flip, num_parallel_calls=auto).batch(batch).prefetch(auto)

    def files(antialias):
        def made(size, batch):
            files = tf.data.Dataset.from_tensor_slices(names).shuffle(len(names))
            return batches(files.map(decoded(size, antialias), num_parallel_calls=tf.data.AUTOTUNE), batch)

        return made

    caches = {}

    def memory(size, batch):
        if size not in caches:
            files = tf.data.Dataset.from_tensor_slices(names)
            caches[size] = files.map(decoded(size, True), num_parallel_calls=tf.data.AUTOTUNE).cache()
            for _ in caches[size]:
                pass
        return batches(caches[size].shuffle(len(names)), batch)

    return {"files": files(False), "antialias": files(True), "memory": memory}


def measure(make, size, batch, epochs):
    batches = make(size, batch)
    count, start = 0, time.perf_counter()
    for _ in range(epochs):
        for x, _ in batches:
            count += len(x)
    return count / (time.perf_counter() - start)


peers = torch_peers() if sys.argv[1] == "torch" else tensorflow_peers()
for line in sys.stdin:
    what, *numbers = line.split()
    print(measure(peers[what], *map(int, numbers)) if numbers else 0, flush=True)
