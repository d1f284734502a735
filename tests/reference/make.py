"""Writes what tests/parity.rs expects: losses, optimizers, schedules, scores, networks, as PyTorch and NumPy see them.

    pip install torch==2.11.0 numpy safetensors
    python tests/reference/make.py

Beside this script it writes NAME.safetensors (tensors) and cases.json (the options of each case, in the words of
oxiseg's configuration). Nothing is taken from oxiseg: formulas and networks are written with PyTorch's own parts.
"""

import json
from fnmatch import fnmatch
from pathlib import Path

import numpy
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from torch.optim import lr_scheduler

HERE = Path(__file__).parent
IGNORE = 255
CLASSES = 4


def save(name, tensors):
    path = HERE / f"{name}.safetensors"
    save_file({key: tensor.detach().contiguous().clone() for key, tensor in tensors.items()}, path)
    path.chmod(0o644)


# Losses


def dice_loss(logits, targets, smooth):
    """One minus the mean over the classes in `targets` of (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)."""
    pixels = logits.movedim(1, -1).reshape(-1, logits.shape[1])[targets.flatten() != IGNORE].softmax(-1)
    truth = targets[targets != IGNORE]
    losses = []
    for k in truth.unique().tolist():
        p, t = pixels[:, k], (truth == k).float()
        losses.append(1 - (2 * p[t == 1].sum() + smooth) / (p.sum() + t.sum() + smooth))
    return torch.stack(losses).mean()


def losses():
    torch.manual_seed(1)
    shape = (2, CLASSES, 5, 6)
    logits = torch.randn(shape) * 2
    every = torch.randint(0, CLASSES, (2, 5, 6))
    ignored = torch.where(torch.rand(2, 5, 6) < 0.2, IGNORE, every)
    absent = torch.where(ignored == 2, 0, ignored)
    weights = [0.5, 2.0, 1.0, 3.25]
    cases = {
        "cross_entropy": (logits, every, {}),
        "cross_entropy_ignored": (logits, ignored, {}),
        "cross_entropy_weighted": (logits, ignored, {"class_weights": weights}),
        "cross_entropy_weighted_absent": (logits, absent, {"class_weights": weights}),
        "cross_entropy_zero_weight": (logits, ignored, {"class_weights": [0.0, 1.0, 1.0, 1.0]}),
        "cross_entropy_large": (logits * 50, ignored, {}),
        "dice": (logits, every, {"cross_entropy": 0.0, "dice": 1.0}),
        "dice_ignored": (logits, ignored, {"cross_entropy": 0.0, "dice": 1.0, "smooth": 0.5}),
        "dice_absent": (logits, absent, {"cross_entropy": 0.0, "dice": 1.0}),
        "dice_unsmoothed": (logits, absent, {"cross_entropy": 0.0, "dice": 1.0, "smooth": 0.0}),
        "sum": (logits, ignored, {"cross_entropy": 0.75, "dice": 1.5, "class_weights": weights, "smooth": 2.0}),
    }
    tensors = {}
    for name, (values, targets, options) in cases.items():
        values = values.clone().requires_grad_()
        class_weights = options.get("class_weights")
        class_weights = None if class_weights is None else torch.tensor(class_weights)
        total = torch.zeros(())
        if share := options.get("cross_entropy", 1.0):
            total = total + share * functional.cross_entropy(values, targets, class_weights, ignore_index=IGNORE)
        if share := options.get("dice", 0.0):
            total = total + share * dice_loss(values, targets, options.get("smooth", 1.0))
        total.backward()
        tensors |= {f"{name}.logits": values, f"{name}.targets": targets, f"{name}.loss": total}
        tensors[f"{name}.gradient"] = values.grad
    save("losses", tensors)
    return {name: options for name, (_, _, options) in cases.items()}


# Optimizers

SHAPES = {"matrix": (3, 4), "vector": (5,), "convolution": (2, 3, 3, 3)}
SLOTS = {
    "exp_avg": "first_moment",
    "exp_avg_sq": "second_moment",
    "momentum_buffer": "velocity",
    "momentum": "momentum",
}
UPDATES = 5
MOST_BATCHES = 3 * UPDATES


def problem():
    """Batch i has the loss sum over parameters p of |M_p p - c_pi|^2 / 2, so gradients follow the parameters."""
    torch.manual_seed(2)
    tensors = {}
    for name, shape in SHAPES.items():
        n = int(numpy.prod(shape))
        tensors[f"start.{name}"] = torch.randn(shape)
        tensors[f"matrix.{name}"] = torch.randn(n, n) / n**0.5
        tensors[f"aims.{name}"] = torch.randn(MOST_BATCHES, n)
    return tensors


def batch_loss(given, parameters, index):
    return sum(
        (given[f"matrix.{name}"] @ p.flatten() - given[f"aims.{name}"][index]).square().sum() / 2
        for name, p in parameters.items()
    )


class Lion(torch.optim.Optimizer):
    """The update of the paper's algorithm 2 (Chen et al., 2023), in f64."""

    def __init__(self, parameters, lr, betas, weight_decay):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                w, g = p.double(), p.grad.double()
                m = state.get("momentum", torch.zeros_like(w))
                update = (first * m + (1 - first) * g).sign()
                p.copy_(w - group["lr"] * (update + group["weight_decay"] * w))
                state["momentum"] = second * m + (1 - second) * g


def group_of(name, options):
    return next((group for group in options.get("groups", []) if fnmatch(name, group["parameters"])), {})


def torch_optimizer(parameters, options):
    """Returns PyTorch's optimizer of the named parameters, with the groups' own rates."""
    rule, lr = options["rule"], options["learning_rate"]
    decay = options.get("weight_decay", 0.0)
    rate = {name: lr * group_of(name, options).get("factor", 1.0) for name in parameters}
    if layers := options.get("layer_decay"):
        count = len(layers["layers"])
        for name in rate:
            layer = next((at for at, pattern in enumerate(layers["layers"]) if fnmatch(name, pattern)), count)
            rate[name] *= layers["factor"] ** (count - layer)
    parameters = [{"params": [p], "lr": rate[name]} for name, p in parameters.items()]
    if rule["kind"] == "sgd":
        momentum, nesterov = rule.get("momentum", 0.0), rule.get("nesterov", False)
        return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    if rule["kind"] == "lion":
        return Lion(parameters, lr, (rule.get("beta1", 0.9), rule.get("beta2", 0.99)), decay)
    if rule["kind"] == "radam":
        betas, eps = (rule.get("beta1", 0.9), rule.get("beta2", 0.999)), rule.get("epsilon", 1e-8)
        decoupled = rule.get("decoupled_weight_decay", False)
        return torch.optim.RAdam(
            parameters, lr=lr, betas=betas, eps=eps, weight_decay=decay, decoupled_weight_decay=decoupled
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[rule["kind"]]
    betas = (rule.get("beta1", 0.9), rule.get("beta2", 0.999))
    return kind(parameters, lr=lr, betas=betas, eps=rule.get("epsilon", 1e-7), weight_decay=decay)


def optimizers():
    adam, adamw, sgd = {"kind": "adam"}, {"kind": "adamw"}, {"kind": "sgd"}
    momentum = sgd | {"momentum": 0.9}
    nesterov = momentum | {"nesterov": True}
    groups = [
        {"parameters": "vec*", "factor": 0.5, "frozen_epochs": 2},
        {"parameters": "c?nvolution", "factor": 0.25},
    ]
    cases = {
        "adam": {"rule": adam, "learning_rate": 0.1},
        "adam_decay": {"rule": adam | {"beta1": 0.8, "beta2": 0.95}, "learning_rate": 0.05, "weight_decay": 0.1},
        "adam_epsilon": {"rule": adam | {"epsilon": 0.1}, "learning_rate": 0.2},
        "adamw": {"rule": adamw, "learning_rate": 0.1, "weight_decay": 0.1},
        "adamw_decay": {"rule": adamw | {"beta1": 0.8, "beta2": 0.95}, "learning_rate": 0.05, "weight_decay": 0.5},
        "sgd": {"rule": sgd, "learning_rate": 0.05},
        "sgd_decay": {"rule": sgd, "learning_rate": 0.05, "weight_decay": 0.1},
        "sgd_momentum": {"rule": momentum, "learning_rate": 0.02, "weight_decay": 0.1},
        "sgd_nesterov": {"rule": nesterov, "learning_rate": 0.02, "weight_decay": 0.1},
        "adam_clipped": {"rule": adam, "learning_rate": 0.1, "clip_norm": 0.5},
        "adamw_accumulated": {"rule": adamw, "learning_rate": 0.1, "weight_decay": 0.1, "accumulate": 3},
        "sgd_clipped": {"rule": nesterov, "learning_rate": 0.1, "weight_decay": 0.01, "clip_norm": 0.5},
        "sgd_hardly_clipped": {"rule": momentum, "learning_rate": 0.02, "clip_norm": 1e6},
        "adam_groups": {"rule": adam, "learning_rate": 0.1, "weight_decay": 0.01, "clip_norm": 2.0, "groups": groups},
        "sgd_groups": {"rule": nesterov, "learning_rate": 0.02, "weight_decay": 0.1, "groups": groups},
        "sgd_clipped_accumulated": {"rule": momentum, "learning_rate": 0.1, "clip_norm": 0.5, "accumulate": 2},
    }
    radam = {"kind": "radam"}
    layers = {"factor": 0.5, "layers": ["vec*", "c?nvolution"]}
    cases |= {
        # Five steps are too few to be rectified, unless the second moment forgets fast.
        "radam": {"rule": radam, "learning_rate": 0.1},
        "radam_rectified": {
            "rule": radam | {"beta2": 0.8}, "learning_rate": 0.1, "weight_decay": 0.1, "clip_norm": 2.0
        },
        "radam_decoupled": {
            "rule": radam | {"beta2": 0.8, "decoupled_weight_decay": True}, "learning_rate": 0.1, "weight_decay": 0.5
        },
        "lion": {"rule": {"kind": "lion"}, "learning_rate": 0.02},
        "lion_decay": {
            "rule": {"kind": "lion", "beta1": 0.8, "beta2": 0.9}, "learning_rate": 0.05, "weight_decay": 0.5
        },
        "lion_accumulated": {"rule": {"kind": "lion"}, "learning_rate": 0.02, "groups": groups, "accumulate": 2},
        "adamw_layers": {"rule": adamw, "learning_rate": 0.1, "weight_decay": 0.1, "layer_decay": layers},
        "radam_layers": {"rule": radam, "learning_rate": 0.1, "layer_decay": layers, "groups": groups[:1]},
    }
    given = problem()
    tensors = dict(given)
    for case, options in cases.items():
        parameters = {name: given[f"start.{name}"].clone().requires_grad_() for name in SHAPES}
        optimizer = torch_optimizer(parameters, options)
        norms, every = [], options.get("accumulate", 1)
        for update in range(UPDATES):
            optimizer.zero_grad()
            for name, parameter in parameters.items():  # an epoch has one update here
                parameter.requires_grad_(update >= group_of(name, options).get("frozen_epochs", 0))
            for index in range(update * every, (update + 1) * every):
                (batch_loss(given, parameters, index) / every).backward()
            limit = options.get("clip_norm", float("inf"))
            norms.append(nn.utils.clip_grad_norm_(parameters.values(), limit))
            optimizer.step()
            if update in (0, UPDATES - 1):
                done = update + 1
                tensors |= {f"{case}.after{done}.{name}": p.detach().clone() for name, p in parameters.items()}
        for name, parameter in parameters.items():
            kept = {slot: optimizer.state[parameter].get(key) for key, slot in SLOTS.items()}
            kept = {slot: tensor.float() for slot, tensor in kept.items() if tensor is not None}
            tensors |= {f"{case}.state.{slot}.{name}": tensor for slot, tensor in kept.items()}
        tensors[f"{case}.norms"] = torch.stack(norms)
    save("optimizers", tensors)
    return cases


# Accumulation


def accumulated():
    """Several batches make one update: PyTorch makes it as one step on all of them, as a single batch."""
    torch.manual_seed(4)
    sizes, ignored = [3, 1, 2, 2, 1], [0.1, 0.95, 0.5, 1.0, 0.3]
    tensors = {"start.weight": torch.randn(CLASSES, 3, 1, 1), "start.bias": torch.randn(CLASSES)}
    for index, (size, share) in enumerate(zip(sizes, ignored)):
        targets = torch.randint(0, CLASSES, (size, 4, 5))
        tensors[f"inputs.{index}"] = torch.randn(size, 3, 4, 5)
        tensors[f"targets.{index}"] = torch.where(torch.rand(size, 4, 5) < share, IGNORE, targets)
    sgd = {"rule": {"kind": "sgd", "momentum": 0.9}, "learning_rate": 0.5, "accumulate": 3}
    adam = {"rule": {"kind": "adam"}, "learning_rate": 0.1, "accumulate": 3}
    cases = {
        "sgd": {"optimizer": sgd, "loss": {}},
        "sgd_weighted": {"optimizer": sgd, "loss": {"class_weights": [0.5, 2.0, 1.0, 3.25]}},
        "sgd_clipped": {"optimizer": sgd | {"clip_norm": 0.1}, "loss": {"class_weights": [0.0, 2.0, 1.0, 1000.0]}},
        "adam": {"optimizer": adam, "loss": {}},
    }
    given = dict(tensors)
    for case, options in cases.items():
        parameters = {name: given[f"start.{name}"].clone().requires_grad_() for name in ("weight", "bias")}
        optimizer = torch_optimizer(parameters, options["optimizer"])
        weights = options["loss"].get("class_weights")
        weights = None if weights is None else torch.tensor(weights)
        norms = []
        # The second update is that of the batches which are left over at the end of the epoch.
        for update, batches in enumerate([(0, 1, 2), (3, 4)]):
            inputs, targets = (torch.cat([given[f"{part}.{at}"] for at in batches]) for part in ("inputs", "targets"))
            optimizer.zero_grad()
            logits = functional.conv2d(inputs, parameters["weight"], parameters["bias"])
            functional.cross_entropy(logits, targets, weight=weights, ignore_index=IGNORE).backward()
            limit = options["optimizer"].get("clip_norm", float("inf"))
            norms.append(nn.utils.clip_grad_norm_(parameters.values(), limit))
            optimizer.step()
            tensors |= {f"{case}.after{update + 1}.{name}": p.detach().clone() for name, p in parameters.items()}
        tensors[f"{case}.norms"] = torch.stack(norms)
    save("accumulated", tensors)
    return cases


# Schedules


class PolyWithFloor:
    """MMSegmentation's `poly`: each learning rate from the one before, down to `eta_min`."""

    def __init__(self, optimizer, total, power, eta_min):
        self.optimizer, self.total, self.power, self.eta_min, self.done = optimizer, total, power, eta_min, 0

    def step(self):
        self.done += 1
        group = self.optimizer.param_groups[0]
        share = (1 - 1 / (self.total - self.done + 1)) ** self.power
        group["lr"] = (group["lr"] - self.eta_min) * share + self.eta_min


def schedules():
    cosine = {"kind": "cosine", "floor": 0.1}
    poly = {"kind": "polynomial", "power": 0.9, "min_rate": 0.01}
    restarts = {"kind": "cosine_restarts", "period": 4}
    cycle = {"kind": "one_cycle"}
    linear = cycle | {"pct_start": 0.45, "div_factor": 10.0, "final_div_factor": 100.0, "anneal": "linear"}
    cases = {
        "constant": {"total": 20, "schedule": {}},
        "cosine": {"total": 20, "schedule": {"decay": cosine}},
        "polynomial": {"total": 20, "schedule": {"decay": {"kind": "polynomial", "power": 0.9}}},
        "step": {"total": 20, "schedule": {"decay": {"kind": "step", "every": 6, "factor": 0.1}}},
        "warmup_cosine": {"total": 20, "schedule": {"warmup": 5, "decay": cosine}},
        "warmup_step": {"total": 20, "schedule": {"warmup": 4, "decay": {"kind": "step", "every": 3, "factor": 0.5}}},
        "warmup_polynomial": {"total": 20, "schedule": {"warmup": 8, "decay": {"kind": "polynomial", "power": 2.0}}},
    }
    cases |= {
        "cosine_min_rate": {"total": 20, "schedule": {"decay": {"kind": "cosine", "min_rate": 0.25}}},
        "polynomial_min_rate": {"total": 20, "schedule": {"decay": poly}},
        "warmup_polynomial_min_rate": {"total": 20, "schedule": {"warmup": 4, "decay": poly | {"power": 2.0}}},
        "restarts": {"total": 30, "schedule": {"decay": restarts | {"min_rate": 0.1}}},
        "restarts_growing": {"total": 40, "schedule": {"decay": restarts | {"growth": 2}}},
        "warmup_restarts": {"total": 30, "schedule": {"warmup": 5, "decay": restarts | {"growth": 3, "min_rate": 0.2}}},
        "one_cycle": {"total": 20, "schedule": {"decay": cycle}},
        "one_cycle_linear": {"total": 33, "schedule": {"decay": linear}},
        "one_cycle_falls": {"total": 12, "schedule": {"decay": cycle | {"pct_start": 0.05}}},
        "warmup_one_cycle": {"total": 25, "schedule": {"warmup": 5, "decay": cycle}},
    }
    tensors = {}
    for name, case in cases.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        warmup, decay = case["schedule"].get("warmup", 0), case["schedule"].get("decay", {})
        span = case["total"] - warmup
        match decay.get("kind", "constant"):
            case "constant":
                after = lr_scheduler.ConstantLR(optimizer, factor=1.0)
            case "cosine":
                eta_min = decay.get("floor", decay.get("min_rate"))
                after = lr_scheduler.CosineAnnealingLR(optimizer, T_max=span, eta_min=eta_min)
            case "polynomial" if "min_rate" in decay:
                after = PolyWithFloor(optimizer, span, decay["power"], decay["min_rate"])
            case "cosine_restarts":
                after = lr_scheduler.CosineAnnealingWarmRestarts(
                    optimizer, decay["period"], decay.get("growth", 1), eta_min=decay.get("min_rate", 0.0)
                )
            case "one_cycle":
                options = {key: value for key, value in decay.items() if key not in ("kind", "anneal")}
                strategy = decay.get("anneal", "cos")
                after = lr_scheduler.OneCycleLR(
                    optimizer, 1.0, total_steps=span, anneal_strategy=strategy, cycle_momentum=False, **options
                )
            case "polynomial":
                after = lr_scheduler.PolynomialLR(optimizer, total_iters=span, power=decay["power"])
            case "step":
                after = lr_scheduler.StepLR(optimizer, step_size=decay["every"], gamma=decay["factor"])
        scheduler, rates = after, []
        if warmup:
            # These do not join PyTorch's SequentialLR: rise to their own first learning rate, and begin.
            own = decay["kind"] == "one_cycle" or "min_rate" in decay
            first = optimizer.param_groups[0]["lr"]
            rates = [first * (update + 1) / warmup for update in range(warmup)] if own else []
        if warmup and not rates:
            rise = lr_scheduler.LinearLR(optimizer, start_factor=1 / warmup, end_factor=1.0, total_iters=warmup - 1)
            scheduler = lr_scheduler.SequentialLR(optimizer, [rise, after], milestones=[warmup])
        for _ in range(cases[name]["total"] - len(rates)):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        tensors[name] = torch.tensor(rates, dtype=torch.float64)
    save("schedules", tensors)
    return cases


# Scores


def scores():
    """Two batches of different size. Class 3 is in neither targets nor predictions, class 4 in predictions only."""
    random = numpy.random.default_rng(3)
    classes = 5
    truths, guesses, tensors, mean_losses = [], [], {}, numpy.array([0.75, 0.125])
    for index, shape in enumerate([(3, 6, 7), (1, 4, 5)]):
        targets = random.integers(0, 3, shape)
        logits = random.normal(size=(shape[0], classes, *shape[1:])).astype(numpy.float32)
        logits[:, 3] -= 100
        numpy.put_along_axis(logits, targets[:, None], 1.5, axis=1)
        targets[random.random(shape) < 0.3 + 0.4 * index] = IGNORE
        tensors |= {f"logits{index}": torch.from_numpy(logits), f"targets{index}": torch.from_numpy(targets)}
        truths.append(targets[targets != IGNORE])
        guesses.append(logits.argmax(1)[targets != IGNORE])
    pixels = numpy.array([len(truth) for truth in truths])
    truth, guess = numpy.concatenate(truths), numpy.concatenate(guesses)
    iou, dice = numpy.full(classes, numpy.nan), numpy.full(classes, numpy.nan)
    for k in range(classes):
        real, found = truth == k, guess == k
        if (real | found).any():
            iou[k] = (real & found).sum() / (real | found).sum()
            dice[k] = 2 * (real & found).sum() / (real.sum() + found.sum())
    confusion = numpy.zeros((classes, classes), dtype=numpy.int64)
    numpy.add.at(confusion, (truth, guess), 1)
    loss = (mean_losses * pixels).sum() / pixels.sum()
    summary = [loss, (truth == guess).mean(), numpy.nanmean(iou), numpy.nanmean(dice), *iou, *dice, pixels.sum()]
    tensors |= {"losses": torch.from_numpy(mean_losses), "confusion": torch.from_numpy(confusion)}
    tensors["scores"] = torch.tensor(summary, dtype=torch.float64)
    save("scores", tensors)


# Networks


def double_conv(inputs, outputs):
    block = nn.Module()
    block.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    block.norm1 = nn.BatchNorm2d(outputs)
    block.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
    block.norm2 = nn.BatchNorm2d(outputs)
    return block


def run_block(block, x):
    x = functional.relu(block.norm1(block.conv1(x)))
    return functional.relu(block.norm2(block.conv2(x)))


class UNet(nn.Module):
    """UNet of Ronneberger et al. (2015) with two levels, same-size convolutions and BatchNorm."""

    def __init__(self, channels, classes, width, bilinear):
        super().__init__()
        self.bilinear = bilinear
        self.encoder0 = double_conv(channels, width)
        self.encoder1 = double_conv(width, 2 * width)
        self.bottom = double_conv(2 * width, 4 * width)
        self.up1 = self.up(4 * width, 2 * width)
        self.decoder1 = double_conv(4 * width, 2 * width)
        self.up0 = self.up(2 * width, width)
        self.decoder0 = double_conv(2 * width, width)
        self.head = nn.Conv2d(width, classes, 1)

    def up(self, inputs, outputs):
        return nn.Conv2d(inputs, outputs, 1) if self.bilinear else nn.ConvTranspose2d(inputs, outputs, 2, stride=2)

    def double(self, layer, x):
        x = layer(x)
        return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) if self.bilinear else x

    def forward(self, x):
        height, width = x.shape[2:]
        x = functional.pad(x, (0, -width % 4, 0, -height % 4), mode="replicate")
        first = run_block(self.encoder0, x)
        second = run_block(self.encoder1, functional.max_pool2d(first, 2))
        bottom = run_block(self.bottom, functional.max_pool2d(second, 2))
        x = run_block(self.decoder1, torch.cat([second, self.double(self.up1, bottom)], 1))
        x = run_block(self.decoder0, torch.cat([first, self.double(self.up0, x)], 1))
        return self.head(x)[:, :, :height, :width]


def state(network):
    return {name: tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")}


def networks():
    for upsampling in ["transposed", "bilinear"]:
        torch.manual_seed(4)
        network = UNet(channels=3, classes=3, width=4, bilinear=upsampling == "bilinear")
        with torch.no_grad():
            for name, tensor in state(network).items():
                if "norm" in name:
                    tensor.uniform_(0.5, 1.5) if name.endswith(("weight", "var")) else tensor.normal_(0, 0.3)
        tensors = {f"weights.{name}": tensor.clone() for name, tensor in state(network).items()}
        start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        for height, width in [(8, 12), (7, 9)]:
            size = f"{height}x{width}"
            network.load_state_dict(start)
            inputs, targets = torch.randn(2, 3, height, width), torch.randint(0, 3, (2, height, width))
            tensors |= {f"{size}.inputs": inputs, f"{size}.targets": targets}
            tensors[f"{size}.evaluated"] = network.eval()(inputs)
            outputs = network.train()(inputs)
            tensors[f"{size}.trained"] = outputs
            network.zero_grad()
            functional.cross_entropy(outputs, targets).backward()
            tensors |= {f"{size}.gradient.{name}": p.grad for name, p in network.named_parameters()}
            tensors |= {f"{size}.after.{name}": t.clone() for name, t in state(network).items() if "running" in name}
        save(f"unet_{upsampling}", tensors)


if __name__ == "__main__":
    torch.set_num_threads(1)
    cases = {"losses": losses(), "optimizers": optimizers(), "accumulated": accumulated(), "schedules": schedules()}
    scores()
    networks()
    (HERE / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
