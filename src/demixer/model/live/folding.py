"""A network as a stream computes it: what depends on the weights alone is computed once, not at every hop."""

import copy

import torch
from torch import nn

from demixer.model.modules.band_linear import BandLinear, NormalisedLinear


def folded(network: nn.Module) -> nn.Module:
    """The same network with the same weights, but each norm's affine map is folded into the layer behind it for good.

    In training that is done in every forward pass, which costs as much as the product with a single frame.
    """
    shared = {id(weights): weights for weights in (*network.parameters(), *network.buffers())}
    copied = copy.deepcopy(network, shared)
    for module in list(copied.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, NormalisedLinear):
                setattr(module, name, _linear(child))
    return copied


@torch.no_grad()
def _linear(layer: NormalisedLinear) -> BandLinear:
    weight, bias = layer.folded()
    linear = BandLinear(1, 1, 1)
    linear.weight, linear.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    return linear
