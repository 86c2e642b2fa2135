"""A network as a stream computes it: as fast with a single frame as it is with many."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from demixer.model.live.modules import LiveMaskEstimation
from demixer.model.modules.band_linear import BandLinear, NormalisedLinear
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import TargetMask


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """The same network with the same weights, which computes the same in fewer and larger products.

    Each norm's affine map is folded into the layer behind it for good; in every forward pass, as in training, that
    costs as much as the product with a single frame. The targets' masks are estimated together.
    """
    shared = {id(weights): weights for weights in (*network.parameters(), *network.buffers())}
    copied = copy.deepcopy(network, shared)
    with torch.autocast(next(network.parameters()).device.type, enabled=False):  # else weights would be rounded to bf16
        for module in list(copied.modules()):
            if isinstance(module, LiveMaskEstimation):
                module.joint, module.estimators = JointMask(module.estimators), nn.ModuleList()
        for module in list(copied.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, NormalisedLinear):
                    setattr(module, name, _linear(*child.folded()))
    return copied


class JointMask(nn.Module):
    """The masks of all targets at once: to the layers, their bands are S times as many bands.

    Args:
        estimators: the targets' own, alike but for their weights.

    Shapes:
        (K, T, M, N) levelled → (S, T, M, F, P).
    """

    def __init__(self, estimators: Sequence[TargetMask]) -> None:
        super().__init__()
        self.targets = len(estimators)
        self.masks = copy.deepcopy(estimators[0])
        self.masks.table = BandTable(estimators[0].table.widths * self.targets)
        firsts = [each.first.folded() for each in estimators]
        self.masks.first = _linear(*map(torch.cat, zip(*firsts, strict=True)))
        for name in ("hidden", "outputs"):
            layers = zip(*(getattr(each, name) for each in estimators), strict=True)
            setattr(self.masks, name, nn.ModuleList(_side_by_side(of_all) for of_all in layers))

    def forward(self, levelled: Tensor) -> Tensor:
        masks = self.masks(levelled.repeat(self.targets, 1, 1, 1))  # (T, M, S · F, P)
        return masks.unflatten(2, (self.targets, -1)).permute(2, 0, 1, 3, 4).contiguous()


def _side_by_side(layers: Sequence[BandLinear]) -> BandLinear:
    return _linear(torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers]))


def _linear(weight: Tensor, bias: Tensor) -> BandLinear:
    linear = BandLinear(1, 1, 1)
    linear.weight, linear.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    return linear
