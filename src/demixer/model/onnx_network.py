"""The separation network in operations that ONNX has: real arithmetic, its own LSTM, STFT and DFT.

ONNX knows no complex numbers, and the exporter would unroll a recurrent layer over its steps and fix their number. So
the recurrent layers and the transforms are written as the ONNX operators themselves (of opset 18). These compute only
in an ONNX runtime; in torch they return zeros.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.errors import UserError
from demixer.model.modules.band_sequence import ResidualRNN
from demixer.model.modules.spectrogram import Spectrogram
from demixer.model.pretrained import NetworkBank
from demixer.model.separation_network import SeparationNetwork


class OnnxNetwork(nn.Module):
    """A copy of a separation network, for export.

    Raises:
        UserError: the transform is one for live networks.

    Shapes:
        (B, C, L) → (B, S, C, L), L at least n_fft / 2 + 1, or the network's fixed window.
    """

    def __init__(self, network: SeparationNetwork | NetworkBank) -> None:
        super().__init__()
        parts = network.networks if isinstance(network, NetworkBank) else [network]
        self.transforms = nn.ModuleList(OnnxTransform(part.spectrogram) for part in parts)
        self.networks = nn.ModuleList(copy.deepcopy(part.bandsplitrnn) for part in parts)
        for module in list(self.networks.modules()):
            if isinstance(module, ResidualRNN):
                module.rnn = OnnxRNN(module.rnn)

    def forward(self, mixture: Tensor) -> Tensor:
        estimates = []
        for transform, network in zip(self.transforms, self.networks, strict=True):
            spectra = network.forward_real(transform(mixture))
            estimates.append(transform.inverse(spectra, mixture.shape[-1]))
        return torch.cat(estimates, dim=1)


class OnnxTransform(nn.Module):
    """:class:`Spectrogram` through ONNX's STFT and DFT, with the overlap-add written out.

    Shapes:
        forward: (B, C, L) → (B, C, T, F, 2); inverse: (B, S, C, T, F, 2) → (B, S, C, length).
    """

    def __init__(self, spectrogram: Spectrogram) -> None:
        super().__init__()
        if not isinstance(spectrogram, Spectrogram):
            raise UserError("a network for whole windows with `featurizer.synthesis_samples` cannot be exported")
        self.n_fft, self.hop = spectrogram.n_fft, spectrogram.hop_samples
        self.window_samples = spectrogram.window_samples
        self.register_buffer("window", spectrogram.window.clone())

    def forward(self, waveform: Tensor) -> Tensor:
        if 4 * self.hop > self.window_samples:  # as in Spectrogram.padded_length
            waveform = F.pad(waveform, (0, -waveform.shape[-1] % self.hop))
        batch, channels, length = waveform.shape
        padded = F.pad(waveform, (self.n_fft // 2, self.n_fft // 2), mode="reflect").flatten(0, 1).unsqueeze(2)
        shape = (batch * channels, length // self.hop + 1, self.n_fft // 2 + 1, 2)
        step, size = (torch.tensor(value) for value in (self.hop, self.n_fft))
        spectrum = operator("STFT", [padded, step, self.window, size], {"onesided": 1}, shape)
        return spectrum.unflatten(0, (batch, channels))

    def inverse(self, spectra: Tensor, length: int) -> Tensor:
        whole = whole_spectrum(spectra).flatten(0, 2)  # (M, T, n_fft, 2)
        frames = operator("DFT", [whole], {"inverse": 1, "axis": 2}, tuple(whole.shape))[..., 0]
        power = self.window.square().expand(1, frames.shape[1], self.n_fft)
        signal, power = (self._overlap_add(x).narrow(1, self.n_fft // 2, length) for x in (frames * self.window, power))
        return (signal / power).unflatten(0, tuple(spectra.shape[:3]))

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """(M, T, n_fft) → (M, (T - 1) · hop + n_fft or a little more): block j of frame t comes to lie at t + j."""
        count = -(-self.n_fft // self.hop)
        blocks = F.pad(frames, (0, count * self.hop - self.n_fft)).unflatten(2, (count, self.hop))
        return sum(F.pad(blocks[:, :, j], (0, 0, j, count - 1 - j)) for j in range(count)).flatten(1)


class OnnxRNN(nn.Module):
    """A bidirectional LSTM or GRU layer as the ONNX operator, its gates put into ONNX's order.

    Shapes:
        (steps, M, N) → (steps, M, 2 · hidden).
    """

    def __init__(self, rnn: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.operator, self.hidden = type(rnn).__name__, rnn.hidden_size
        for ours, parts in (
            ("weight", ("weight_ih",)),
            ("recurrence", ("weight_hh",)),
            ("bias", ("bias_ih", "bias_hh")),
        ):
            ways = [torch.cat([reordered(rnn, f"{part}_l0{way}") for part in parts]) for way in ("", "_reverse")]
            self.register_buffer(ours, torch.stack(ways))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        attributes = {"hidden_size": self.hidden, "direction": "bidirectional"}
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1  # as torch and cuDNN apply the reset gate
        shape = (x.shape[0], 2, x.shape[1], self.hidden)
        hidden = operator(self.operator, [x, self.weight, self.recurrence, self.bias], attributes, shape)
        return hidden.transpose(1, 2).flatten(2), None


def reordered(rnn: nn.LSTM | nn.GRU, name: str) -> Tensor:
    """Weights of a layer, the gates in ONNX's order."""
    # torch: input, forget, cell, output and reset, update, new; ONNX: input, output, forget, cell and update, reset
    order = [0, 3, 1, 2] if isinstance(rnn, nn.LSTM) else [1, 0, 2]
    gates = getattr(rnn, name).detach().chunk(len(order))
    return torch.cat([gates[i] for i in order])


def whole_spectrum(spectra: Tensor) -> Tensor:
    """(…, n_fft / 2 + 1, 2) of real signals → (…, n_fft, 2), with the negative frequencies."""
    mirrored = spectra[..., 1:-1, :].flip(-2) * torch.tensor([1.0, -1.0])
    return torch.cat([spectra, mirrored], dim=-2)


def operator(name: str, inputs: list[Tensor | None], attributes: dict[str, int | str], shape: tuple) -> Tensor:
    """What an ONNX operator returns; in torch zeros of that shape."""
    return torch.onnx.ops.symbolic(name, inputs, attributes, dtype=torch.float32, shape=shape)
