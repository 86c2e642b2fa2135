"""Band split and masks as a stream computes them: in few products, which a single frame needs as much as many do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.band_linear import BandLinear
from demixer.model.modules.band_split import BandSplit
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import TargetMask

VALUES = 2  # of a bin: real and imaginary part


@dataclass(frozen=True)
class Run:
    """Neighbouring bands of almost one width, which are computed as if all had the largest of them."""

    bands: range
    width: int


def runs_of(widths: Sequence[int]) -> list[Run]:
    """The runs of a table; within one, no band is wider than another by more than a bin or an eighth.

    >>> [(list(run.bands), run.width) for run in runs_of([2, 3, 2, 9, 10])]
    [([0, 1, 2], 3), ([3, 4], 10)]
    """
    runs, first = [], 0
    for end in range(1, len(widths) + 1):
        own = widths[first : end + 1]
        if end == len(widths) or max(own) > min(own) + max(1, min(own) // 8):
            runs.append(Run(range(first, end), max(widths[first:end])))
            first = end
    return runs


def _by_band(table: BandTable, layers: Iterable[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """The weights and biases of a table's groups of bands, band by band."""
    groups = zip(table.groups, layers, strict=True)
    found = {band: (weight[i], bias[i]) for group, (weight, bias) in groups for i, band in enumerate(group.bands)}
    return [found[band] for band in range(len(table.widths))]


class JointSplit(nn.Module):
    """The layers of a band split, one product for each run of bands.

    Shapes:
        (T, M, F, 2) and the norm's factors (K, T, M) → (K, T, M, N).
    """

    def __init__(self, split: BandSplit) -> None:
        super().__init__()
        widths, layers = split.table.widths, _by_band(split.table, (each.folded() for each in split.projections))
        firsts, runs, device = [0, *accumulate(widths)], runs_of(widths), layers[0][0].device
        # beyond a band's own bins stands any other bin, of no weight
        bins = [min(firsts[k] + i, sum(widths) - 1) for run in runs for k in run.bands for i in range(run.width)]
        self.register_buffer("bins", torch.tensor(bins, device=device), persistent=False)
        self.sizes = [VALUES * run.width * len(run.bands) for run in runs]
        self.bias = frozen(torch.stack([bias for _, bias in layers]).unsqueeze(1))
        self.weights = nn.ParameterList()
        for run in runs:
            weights = [F.pad(layers[k][0].T, (0, 0, 0, VALUES * (run.width - widths[k]))) for k in run.bands]
            self.weights.append(frozen(torch.stack(weights)))

    def forward(self, spectrum: Tensor, factors: Tensor) -> Tensor:
        parts = spectrum.index_select(2, self.bins).flatten(0, 1).flatten(1).split(self.sizes, dim=1)
        products = [
            torch.bmm(part.unflatten(1, (len(weight), -1)).transpose(0, 1), weight)
            for part, weight in zip(parts, self.weights, strict=True)
        ]
        features = torch.addcmul(self.bias, torch.cat(products), factors.flatten(1).unsqueeze(2))
        return features.unflatten(1, spectrum.shape[:2])


class JointMask(nn.Module):
    """The masks of all targets at once, the last layers in one product for each run of bands.

    Args:
        estimators: the targets' own, alike but for their weights.

    Shapes:
        (K, T, M, N) levelled → (S, T, M, F, 2).
    """

    def __init__(self, estimators: Sequence[TargetMask]) -> None:
        super().__init__()
        self.targets, table = len(estimators), estimators[0].table
        self.runs, self.bins = runs_of(table.widths), sum(table.widths)
        self.first = None
        if estimators[0].first is not None:
            weights, biases = zip(*(each.first.folded() for each in estimators), strict=True)
            self.first = _Products(torch.cat(weights, dim=1), torch.cat(biases, dim=1))
        hidden = zip(*(each.hidden for each in estimators), strict=True)
        self.hidden = nn.ModuleList(_Products(*_side_by_side(layers)) for layers in hidden)
        outputs = [_by_band(table, ((each.weight, each.bias) for each in one.outputs)) for one in estimators]
        self.outputs = nn.ParameterList(frozen(_padded(run, outputs)) for run in self.runs)
        self._register_places(table.widths, outputs[0][0][0].device)
        # (values or gates, S, F, 2), as the places are
        biases = [[bias.chunk(2)[half] for one in outputs for _, bias in one] for half in range(2)]
        self.bias = frozen(torch.cat([bias for half in biases for bias in half]))

    def _register_places(self, widths: Sequence[int], device: torch.device) -> None:
        """Keep where the value, and then where the gate, of each mask lies in the products' results side by side."""
        place_of_band, start = {}, 0
        for run in self.runs:
            for k in run.bands:
                for s in range(self.targets):
                    place_of_band[s, k] = start, VALUES * run.width
                    start += 2 * VALUES * run.width
        places = [
            start + half * values + i
            for half in range(2)
            for s in range(self.targets)
            for k, width in enumerate(widths)
            for start, values in [place_of_band[s, k]]
            for i in range(VALUES * width)
        ]
        self.register_buffer("places", torch.tensor(places, device=device), persistent=False)

    def forward(self, levelled: Tensor) -> Tensor:
        frames, rows = levelled.shape[1:3]
        x = levelled.flatten(1, 2)  # (K, T · M, N)
        if self.first is None:
            x = x.unsqueeze(1).expand(-1, self.targets, -1, -1)
        else:
            x = torch.tanh(self.first(x)).unflatten(2, (self.targets, -1)).transpose(1, 2)
        x = x.flatten(0, 1)  # (K · S, T · M, H)
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        parts = x.split([len(weight) for weight in self.outputs])
        products = [torch.bmm(part, weight) for part, weight in zip(parts, self.outputs, strict=True)]
        both = torch.cat([product.transpose(0, 1).flatten(1) for product in products], dim=1)
        masks = F.glu(both.index_select(1, self.places) + self.bias)  # (T · M, S · F · 2)
        masks = masks.unflatten(1, (self.targets, -1, VALUES)).unflatten(0, (frames, rows))
        return masks.permute(2, 0, 1, 3, 4).contiguous()


class _Products(nn.Module):
    """(G, rows, inputs) · (G, outputs, inputs), + (G, outputs) → (G, rows, outputs)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = frozen(weight.transpose(1, 2).contiguous()), frozen(bias.unsqueeze(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


def _side_by_side(layers: Sequence[BandLinear]) -> tuple[Tensor, Tensor]:
    """The targets' layers of K bands as one of K · S bands."""
    weight, bias = (torch.stack([getattr(layer, name) for layer in layers], dim=1) for name in ("weight", "bias"))
    return weight.flatten(0, 1), bias.flatten(0, 1)


def _padded(run: Run, outputs: Sequence[Sequence[tuple[Tensor, Tensor]]]) -> Tensor:
    """The last layers of a run: (bands · S, H, 2 · 2 · width), values and then gates, each padded with zeros."""
    most = VALUES * run.width
    weights = [
        F.pad(half, (0, 0, 0, most - len(half))) for k in run.bands for one in outputs for half in one[k][0].chunk(2)
    ]
    return torch.stack(weights).unflatten(0, (-1, 2)).flatten(1, 2).transpose(1, 2).contiguous()


def frozen(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)
