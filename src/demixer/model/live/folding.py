"""A network as a stream computes it: as fast with a single frame as it is with many."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.live.joint import JointMask, JointSplit, frozen
from demixer.model.live.modules import LiveBandSplit, LiveMaskEstimation, LiveSequence
from demixer.model.modules.band_sequence import TAC, ResidualRNN
from demixer.model.modules.normalisation import for_products


@torch.no_grad()
def folded(network: nn.Module) -> nn.Module:
    """The same network with the same weights, which computes the same in fewer and larger operations.

    With a single frame an operation costs as much as the product beside it. So each norm's affine map is folded into
    the layer behind it for good, the targets' masks are estimated together, bands of almost one width are one product,
    and weights lie as products take them.
    """
    shared = {id(weights): weights for weights in (*network.parameters(), *network.buffers())}
    copied = copy.deepcopy(network, shared)
    with torch.autocast(next(network.parameters()).device.type, enabled=False):  # else weights would be rounded to bf16
        for module in list(copied.modules()):
            if isinstance(module, LiveBandSplit):
                module.joint, module.projections = JointSplit(module), nn.ModuleList()
            elif isinstance(module, LiveMaskEstimation):
                module.joint, module.estimators = JointMask(module.estimators), nn.ModuleList()
            elif isinstance(module, LiveSequence):
                _fold_sequence(module)
    return copied


def _fold_sequence(module: LiveSequence) -> None:
    time = module.time
    _fold_affine(time.rnn, time.gain, time.offset)
    time.gain = time.offset = None
    time.fc = Product(time.fc)
    module.band = FoldedBandRNN(module.band)
    module.tac = None if module.tac is None else FoldedTAC(module.tac)


def _fold_affine(rnn: nn.RNNBase, gain: Tensor, offset: Tensor) -> None:
    """Let an RNN take x instead of gain · x + offset."""
    for end in ("l0", "l0_reverse") if rnn.bidirectional else ("l0",):
        weight, bias = getattr(rnn, f"weight_ih_{end}"), getattr(rnn, f"bias_ih_{end}")
        setattr(rnn, f"weight_ih_{end}", frozen(weight * gain))
        setattr(rnn, f"bias_ih_{end}", frozen(bias + weight @ offset))
    if weight.is_cuda:  # cuDNN wants all of them in one piece, but the network's own stay where they are
        for name, values in list(rnn.named_parameters()):
            setattr(rnn, name, frozen(values.clone()))
        rnn.flatten_parameters()


class Product(nn.Module):
    """A fully connected layer whose weight lies as the product takes it.

    Shapes:
        (…, inputs) → (…, outputs).
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = frozen(layer.weight.T.contiguous()), layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.flatten(0, -2), self.weight).unflatten(0, x.shape[:-1])


class FoldedBandRNN(nn.Module):
    """A :class:`ResidualRNN` along the bands.

    Shapes:
        (K, T, M, N) → the same.
    """

    def __init__(self, band: ResidualRNN) -> None:
        super().__init__()
        self.eps, self.rnn, self.fc = band.norm.eps, band.rnn, Product(band.fc)
        _fold_affine(self.rnn, band.norm.weight, band.norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.permute(1, 2, 0, 3)  # with a frame's bands side by side its norm is one operation
        levelled = F.layer_norm(frames.contiguous(), frames.shape[2:], eps=self.eps)
        hidden, _ = self.rnn(for_products(levelled.permute(2, 0, 1, 3)).flatten(1, 2))
        return x + self.fc(hidden).view(x.shape)


class FoldedTAC(nn.Module):
    """A :class:`TAC`.

    Shapes:
        (K, T, B · C, N) → the same.
    """

    def __init__(self, tac: TAC) -> None:
        super().__init__()
        self.transform, self.average = Product(tac.transform), Product(tac.average)
        own, common = tac.concat.weight.T.split(tac.average.out_features)
        self.own, self.common, self.bias = frozen(own.contiguous()), frozen(common.contiguous()), tac.concat.bias
        # one slope is a number, and so a tenth of the time
        self.slope = tac.activation.weight.item() if isinstance(tac.activation, nn.PReLU) else None

    def activation(self, x: Tensor) -> Tensor:
        return torch.tanh(x) if self.slope is None else F.leaky_relu(x, self.slope)

    def forward(self, x: Tensor, channels: int) -> Tensor:
        hidden = self.activation(self.transform(x.flatten(0, 2)))
        mean = self.activation(self.average(hidden.unflatten(0, (-1, channels)).mean(1)))
        common = torch.addmm(self.bias, mean, self.common).unsqueeze(1)
        both = (hidden @ self.own).unflatten(0, (-1, channels)) + common
        return x + self.activation(both).view(x.shape)
