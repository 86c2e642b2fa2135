"""Slow networks whose state dicts have the layouts of other implementations: what translations are held against.

Written from the layouts' description, band by band and item by item, in plain torch modules.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-7


class Magron(nn.Module):
    """magronp/bsrnn: (B, C, F, T) complex → (B, S, C, F, T)."""

    def __init__(self, widths: list[int], targets: int = 1, features: int = 4, heads: int = 0, tac: str = "") -> None:
        super().__init__()
        self.widths = widths
        self.BN = nn.ModuleList(
            nn.Sequential(nn.GroupNorm(1, 2 * w, EPS), nn.Conv1d(2 * w, features, 1)) for w in widths
        )
        self.separator = nn.ModuleList(MagronModule(len(widths), features, heads, tac) for _ in range(2))
        self.maskers = nn.ModuleList(MagronMasker(widths, features) for _ in range(targets))
        randomise(self)

    def forward(self, mixture: Tensor) -> Tensor:
        parts = mixture.split(self.widths, dim=2)
        features = [
            torch.stack([bn(torch.cat([x.real, x.imag], dim=1)) for x in part.unbind(1)], dim=1)
            for bn, part in zip(self.BN, parts, strict=True)
        ]
        x = torch.stack(features, dim=2)  # (B, C, K, N, T)
        for module in self.separator:
            x = module(x)
        estimates = []
        for masker in self.maskers:
            masks = [masker.of_band(k, x[:, :, k]) for k in range(len(self.widths))]
            estimates.append(torch.cat([m * part for m, part in zip(masks, parts, strict=True)], dim=2))
        return torch.stack(estimates, dim=1)


class MagronModule(nn.Module):
    def __init__(self, bands: int, features: int, heads: int, tac: str) -> None:
        super().__init__()
        self.time_net, self.band_net = Block(features, "main_layer"), Block(features, "main_layer")
        if tac:
            activation = nn.PReLU(init=0.1) if tac == "prelu" else nn.Tanh()
            sizes = {"transform": (1, 3), "average": (3, 3), "concat": (6, 1)}
            self.tac_module = nn.ModuleDict(
                {
                    name: nn.Sequential(nn.Linear(i * features, o * features), activation)
                    for name, (i, o) in sizes.items()
                }
            )
        if heads:
            self.attn_block = nn.ModuleDict({"attn_concat_proj": projection(features, features, bands)})
            for h in range(heads):
                for name, width in (("Q", 3), ("K", 3), ("V", features // heads)):
                    self.attn_block[f"attn_conv_{name}_{h}"] = projection(features, width, bands)
        self.heads, self.tac = heads, tac

    def forward(self, x: Tensor) -> Tensor:
        x = torch.stack([self.time_net(x[:, :, k]) for k in range(x.shape[2])], dim=2)
        x = torch.stack([self.band_net(x[..., t].mT).mT for t in range(x.shape[-1])], dim=-1)
        if self.tac:
            v = self.tac_module["transform"](x.movedim(3, -1))  # (B, C, K, T, 3N)
            mean = self.tac_module["average"](v.mean(1, keepdim=True)).expand_as(v)
            x = x + self.tac_module["concat"](torch.cat([v, mean], -1)).movedim(-1, 3)
        if self.heads:
            x = torch.stack([self.attend(channel) for channel in x.unbind(1)], dim=1)
        return x

    def attend(self, x: Tensor) -> Tensor:
        """(B, K, N, T) → the same."""
        image, heads = x.permute(0, 2, 3, 1), []  # (B, N, T, K)
        for h in range(self.heads):
            q, k, v = (self.attn_block[f"attn_conv_{name}_{h}"](image) for name in "QKV")
            flat_q, flat_k = (y.transpose(1, 2).flatten(2) for y in (q, k))
            weights = torch.softmax(flat_q @ flat_k.mT / flat_q.shape[-1] ** 0.5, dim=-1)
            heads.append(torch.einsum("bts,bnsk->bntk", weights, v))
        return x + self.attn_block["attn_concat_proj"](torch.cat(heads, dim=1)).permute(0, 3, 1, 2)


class MagronMasker(nn.Module):
    def __init__(self, widths: list[int], features: int) -> None:
        super().__init__()
        hidden = 2 * features
        self.mask = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, features, EPS),
                *(nn.Conv1d(features, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, hidden, 1), nn.Tanh()),
                nn.Conv1d(hidden, 4 * width, 1),
            )
            for width in widths
        )

    def of_band(self, k: int, x: Tensor) -> Tensor:
        """(B, C, N, T) → (B, C, width, T) complex."""
        value, gate = torch.stack([self.mask[k](channel) for channel in x.unbind(1)], dim=1).chunk(2, dim=2)
        real, imaginary = (value * gate.sigmoid()).chunk(2, dim=2)
        return torch.complex(real, imaginary)


class Block(nn.Module):
    """Normalisation, RNN, linear layer, residual: (…, N, steps) → the same."""

    def __init__(self, features: int, rnn_name: str, norm: nn.Module | None = None, kind: type = nn.LSTM) -> None:
        super().__init__()
        names = ("norm", rnn_name, "proj") if norm is None else ("groupnorm", rnn_name, "fc")
        layers = (
            norm or nn.GroupNorm(1, features, EPS),
            kind(features, 2 * features, batch_first=True, bidirectional=True),
            nn.Linear(4 * features, features),
        )
        self.names = names
        for name, layer in zip(names, layers, strict=True):
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        norm, rnn, linear = (getattr(self, name) for name in self.names)
        return x + linear(rnn(norm(x.flatten(0, -3)).mT)[0]).mT.reshape(x.shape)


class LayerNorm4D(nn.Module):
    def __init__(self, width: int, bands: int) -> None:
        super().__init__()
        self.gamma, self.beta = (nn.Parameter(torch.empty(1, width, 1, bands)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = x.mean((1, 3), keepdim=True), x.var((1, 3), unbiased=False, keepdim=True)
        return (x - mean) / (variance + EPS).sqrt() * self.gamma + self.beta


def projection(features: int, width: int, bands: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(features, width, 1), nn.PReLU(), LayerNorm4D(width, bands))


class Amanteur(nn.Module):
    """amanteur/BandSplitRNN-PyTorch, or with ``transposed=False`` crlandsc's: (B, 2, F, T) complex → the same."""

    def __init__(self, widths: list[int], frames: int, features: int = 4, transposed: bool = True) -> None:
        super().__init__()
        self.widths, self.transposed = widths, transposed
        self.bandsplit = nn.ModuleDict(
            {
                "layernorms": nn.ModuleList(nn.LayerNorm((4 * w, frames)) for w in widths),
                "fcs": nn.ModuleList(nn.Linear(4 * w, features) for w in widths),
            }
        )

        def block() -> Block:
            return Block(features, "rnn", nn.GroupNorm(features, features))

        self.bandsequence = nn.ModuleDict({"bsrnn": nn.ModuleList(nn.Sequential(block(), block()) for _ in range(2))})
        self.maskest = nn.ModuleDict(
            {
                "layernorms": nn.ModuleList(nn.LayerNorm((frames, features)) for _ in widths),
                "mlp": nn.ModuleList(nn.ModuleDict({"mlp": mask_mlp(features, 4 * w)}) for w in widths),
            }
        )
        randomise(self)

    def forward(self, mixture: Tensor) -> Tensor:
        mean = mixture.mean((1, 2, 3), keepdim=True)
        scale = mixture.std((1, 2, 3), keepdim=True)
        normal = (mixture - mean) / (scale + 1e-5)
        parts, features = normal.split(self.widths, dim=2), []
        for k, part in enumerate(parts):
            values = torch.cat([y for channel in part.unbind(1) for y in (channel.real, channel.imag)], dim=1)
            features.append(self.bandsplit["fcs"][k](self.bandsplit["layernorms"][k](values).mT))
        x = torch.stack(features, dim=1)  # (B, K, T, N)
        for time, band in self.bandsequence["bsrnn"]:
            x = time(x.mT).mT
            x = band(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        masks = [self.mask(k, x[:, k]) for k in range(len(self.widths))]
        return torch.cat(masks, dim=2) * normal * scale + mean

    def mask(self, k: int, x: Tensor) -> Tensor:
        """(B, T, N) → (B, 2, width, T) complex."""
        out = F.glu(self.maskest["mlp"][k]["mlp"](self.maskest["layernorms"][k](x)))  # (B, T, 4 · width)
        memory = out.mT.contiguous() if self.transposed else out
        read = memory.reshape(len(x), 2, 2, self.widths[k], x.shape[1])
        return torch.complex(read[:, :, 0], read[:, :, 1])


def mask_mlp(features: int, values: int) -> nn.Sequential:
    gated = nn.ModuleDict({"linear": nn.Linear(values, 2 * values)})
    gated.forward = gated["linear"].forward
    return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, values), gated)


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Affine maps at their initial 1 and 0 would hide that they are forgotten or exchanged."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4, generator=generator)
    module.eval().requires_grad_(False)


def magron_checkpoint(network: Magron, targets: object, **settings: object) -> dict:
    """What Lightning would have saved, the buffers of the transforms included."""
    hyper_parameters = {"targets": targets, "sample_rate": 8000, "n_fft": 64, "n_hop": 16, "eps": EPS, **settings}
    buffers = {"stft.transf.window": torch.hann_window(64), "istft.transf.window": torch.hann_window(64)}
    return {"epoch": 3, "state_dict": buffers | network.state_dict(), "hyper_parameters": hyper_parameters}


def amanteur_hparams(**sections: object) -> dict:
    """The settings that these implementations publish beside their weights."""
    model = {"sr": 8000, "n_fft": 64, "t_timesteps": 9, "bottleneck_layer": "rnn", "rnn_type": "LSTM", "num_layers": 2}
    model |= {"bidirectional": True, "return_mask": False, "complex_as_channel": True, "is_mono": False}
    transform = {"_target_": "torchaudio.transforms.Spectrogram", "n_fft": 64, "hop_length": 16}
    return {"model": model, "featurizer": {"direct_transform": transform}, **sections}
