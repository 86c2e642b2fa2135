"""A live network in operations that ONNX has: one hop and the state in, one hop and the state out."""

import torch
from torch import Tensor, nn

from demixer.model.live.folding import FoldedBandRNN, folded
from demixer.model.live.modules import LiveRNN
from demixer.model.live.network import LiveNetwork
from demixer.model.live.spectrogram import LiveSpectrogram
from demixer.model.live.state import State, joined, part_of
from demixer.model.onnx_network import OnnxRNN, operator, reordered, whole_spectrum
from demixer.model.pretrained import NetworkBank


class OnnxLiveNetwork(nn.Module):
    """A copy of a live network, for export: what :meth:`LiveNetwork.step` computes, of one hop.

    Shapes:
        (1, C, hop) and the tensors of a state → (1, S, C, hop) and those of the next state, in the same order.
    """

    def __init__(self, network: LiveNetwork | NetworkBank, names: list[str]) -> None:
        super().__init__()
        parts = network.networks if isinstance(network, NetworkBank) else [network]
        self.steps, self.names = nn.ModuleList(_OnnxStep(part) for part in parts), names

    def forward(self, mixture: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        state = dict(zip(self.names, values, strict=True))
        if len(self.steps) == 1:
            stems, after = self.steps[0](mixture, state)
        else:
            both = [step(mixture, part_of(state, str(i))) for i, step in enumerate(self.steps)]
            stems, after = (
                torch.cat([stems for stems, _ in both], dim=1),
                joined({str(i): own for i, (_, own) in enumerate(both)}),
            )
        return stems, *(after[name] for name in self.names)


class _OnnxStep(nn.Module):
    """One network's."""

    def __init__(self, network: LiveNetwork) -> None:
        super().__init__()
        self.transform, self.network = OnnxLiveTransform(network.spectrogram), folded(network.bandsplitrnn)
        for module in list(self.network.modules()):
            if isinstance(module, FoldedBandRNN):
                module.rnn = OnnxRNN(module.rnn)
            elif isinstance(module, LiveRNN):
                module.rnn = OnnxForwardRNN(module.rnn)

    def forward(self, mixture: Tensor, state: State) -> tuple[Tensor, State]:
        spectrum, past = self.transform.analyse(mixture, state["analysis.past"])  # (1, C, F, 2)
        masks, frame, own = self.network.masks_of_frames(spectrum, mixture.shape[1], part_of(state, "network"))
        real = masks[..., 0] * frame[..., 0] - masks[..., 1] * frame[..., 1]
        imaginary = masks[..., 0] * frame[..., 1] + masks[..., 1] * frame[..., 0]
        estimates = torch.stack([real, imaginary], dim=-1)  # (S, 1, C, F, 2)
        stems, overlap = self.transform.synthesise(estimates.transpose(0, 1), state["synthesis.overlap"])
        return stems, joined({"analysis": {"past": past}, "network": own, "synthesis": {"overlap": overlap}})


class OnnxLiveTransform(nn.Module):
    """:class:`LiveSpectrogram` of one frame at a time, through ONNX's DFT.

    Shapes:
        analyse: (1, C, hop) → (1, C, F, 2); synthesise: (1, S, C, F, 2) → (1, S, C, hop).
    """

    def __init__(self, spectrogram: LiveSpectrogram) -> None:
        super().__init__()
        self.hop, self.synthesis_samples = spectrogram.hop_samples, spectrogram.synthesis_samples
        self.bins, self.overlap_shape = spectrogram.bins, spectrogram.overlap_shape
        self.register_buffer("window", spectrogram.window.clone())
        self.register_buffer("synthesis_window", spectrogram.synthesis_window.clone())

    def analyse(self, samples: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        known = torch.cat([past, samples], dim=-1)
        shape = (*known.shape[:2], self.bins, 2)
        spectrum = operator("DFT", [(known * self.window).unsqueeze(3)], {"onesided": 1, "axis": 2}, shape)
        return spectrum, known[..., self.hop :]

    def synthesise(self, spectra: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
        whole = whole_spectrum(spectra).flatten(0, 2).unsqueeze(1)  # (S · C, 1, n_fft, 2)
        frames = operator("DFT", [whole], {"inverse": 1, "axis": 2}, tuple(whole.shape))[:, 0, :, 0]
        spoken = frames[:, -self.synthesis_samples :] * self.synthesis_window
        hops = spoken.reshape(*spectra.shape[:3], -1, self.hop)  # (1, S, C, overlaps, hop)
        added = hops[..., :-1, :] + overlap
        waiting = torch.cat([added, hops[..., -1:, :]], dim=3)
        return waiting[..., 0, :], waiting[..., 1:, :]


class OnnxForwardRNN(nn.Module):
    """An LSTM or GRU layer that runs forwards and goes on from a state, as the ONNX operator.

    Shapes:
        (steps, M, N) and (1, M, hidden), of an LSTM two of them → (steps, M, hidden) and the same.
    """

    def __init__(self, rnn: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.operator, self.hidden = type(rnn).__name__, rnn.hidden_size
        self.register_buffer("weight", reordered(rnn, "weight_ih_l0").unsqueeze(0))
        self.register_buffer("recurrence", reordered(rnn, "weight_hh_l0").unsqueeze(0))
        biases = [reordered(rnn, "bias_ih_l0"), reordered(rnn, "bias_hh_l0")]
        self.register_buffer("bias", torch.cat(biases).unsqueeze(0))

    def forward(self, x: Tensor, state: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | tuple[Tensor, ...]]:
        first = state if isinstance(state, tuple) else (state,)
        attributes = {"hidden_size": self.hidden, "direction": "forward"}
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1  # as torch and cuDNN apply the reset gate
        shapes = [(x.shape[0], 1, x.shape[1], self.hidden), *(tuple(one.shape) for one in first)]
        hidden, *last = torch.onnx.ops.symbolic_multi_out(
            self.operator,
            [x, self.weight, self.recurrence, self.bias, None, *first],
            attributes,
            dtypes=[torch.float32] * len(shapes),
            shapes=shapes,
        )
        return hidden.squeeze(1), tuple(last) if len(last) == 2 else last[0]
