"""Weights and inputs that are computed, the same everywhere, since those of networks are too many to be kept."""

import torch


def noise(shape, seed):
    """Returns numbers from -1 to 1 that look random."""
    places = torch.arange(1, shape.numel() + 1, dtype=torch.float64)
    return ((places * 12.9898 + seed * 78.233).sin() * 43758.5453).frac().reshape(shape)


def names(network):
    """Returns the names of the network's tensors in order, but for BatchNorm's counters."""
    return sorted(name for name in network.state_dict() if not name.endswith("num_batches_tracked"))


def fill(network):
    """Sets the weights by name; small ones for products, so that activations keep their magnitude."""
    for seed, name in enumerate(names(network)):
        tensor = network.state_dict()[name]
        values = noise(tensor.shape, seed)
        if tensor.dim() in (2, 4):
            values *= (3 / tensor[0].numel()) ** 0.5
        elif name.endswith("running_var"):
            values = 1 + values / 2
        elif name.endswith("weight"):
            values = 1 + values / 4
        else:
            values /= 4
        tensor.copy_(values)


def maps(found, layers, ends):
    """Applies `layers` to the last of the maps `found`, and adds the outputs of those whose number is in `ends`."""
    x = found[-1]
    for number, layer in enumerate(layers):
        x = layer(x)
        if number in ends:
            found.append(x)
    return found
