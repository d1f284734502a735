"""Trainings by ranks, as far as one GPU shows them: one rank over NCCL, and two over Gloo that share the GPU."""

import socket

from gpu_check.machine import Failed, learnt, lines

# Three steps in each of two epochs: rounding has no time to grow.
SETTINGS = {"data.train_samples": 48, "data.validation_samples": 8, "train.epochs": 2, "model.precision": "fp32"}
# Largest difference of losses, as a part of them.
ROUNDING = 1e-3


def trained(machine, name, settings, *how, single=False):
    """Trains in one go, and stopped in the second epoch and resumed: both must end with the same bits. Returns the log
    of the first, and what its losses differ from those of a process without ranks by."""
    like = lines(machine.trained("without-ranks", SETTINGS))
    changes = [*how, *machine.small(SETTINGS | settings)]
    straight, resumed = (machine.folder / f"{name}-{end}" for end in ("straight", "resumed"))

    def train(run, *more, status=0):
        variables = alone(free_port()) if single else {}
        return machine.run("train", "--run", run, *more, *changes, status=status, variables=variables)[1]

    log = train(straight)
    train(resumed, "--until-step", "5", status=75)
    train(resumed)
    own, again = comparable(straight), comparable(resumed)
    other = [file for file in own if again.get(file) != own[file]]
    if other or len(again) != len(own):
        raise Failed(f"resumed at step 5 it differs in {', '.join(other) or 'what it left'}")
    losses = [[line["loss"] for line in which] for which in (lines(straight), like)]
    furthest = max(abs(ours - theirs) / abs(theirs) for ours, theirs in zip(*losses))
    text = f"losses differ from those of one process by at most {furthest:.1e}"
    if len(losses[0]) != len(losses[1]) or not furthest < ROUNDING:
        raise Failed(text)
    return log, f"{text}; resumed at step 5 it is the same to the bit"


def comparable(run):
    """Returns what a run ends with, but for mean norms of gradients: those are of the steps since the start."""
    found = learnt(run)
    of_lines = (line for line in found.values() if isinstance(line, dict))
    for line in of_lines:
        line.pop("gradient_norm", None)
    return found


def alone(port):
    """Returns a launcher's variables for the only rank."""
    return {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def said(machine, log, words):
    if not machine.cpu and words not in log:
        raise Failed(f'the log does not say "{words}"')


def one(machine):
    """Trains by one rank in a real group, over NCCL on a GPU."""
    backend = "gloo" if machine.cpu else "nccl"
    log, found = trained(machine, "one-rank", {"distributed.backend": backend}, single=True)
    said(machine, log, "over NCCL")
    return f"{backend}: {found}"


def two(machine):
    """Trains by two ranks on one device. NCCL wants a GPU for each of them, and is refused."""
    log, found = trained(machine, "two-ranks", {}, "--nproc", "2")
    said(machine, log, "2 ranks share the GPU")
    refused = machine.small(SETTINGS | {"distributed.backend": "nccl"})
    run = machine.folder / "refused"
    _, log = machine.run("train", "--run", run, "--nproc", "2", *refused, status=1)
    if "NCCL: " not in log or run.exists():
        raise Failed("two ranks over NCCL on one device are not refused before the first step")
    return f"gloo: {found}; NCCL is refused"
