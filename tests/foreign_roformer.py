"""Weights and settings in the layout of Music-Source-Separation-Training, without its code, of tiny sizes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from demixer.model.modules.mel_bands import mel_bands

FEATURES, HEADS, WIDTH, HIDDEN = 16, 2, 8, 64
INNER = HEADS * WIDTH
WIDTHS = [2, 2, 4, 9, 9, 39]
STREAMS = 2


def msst_settings(mel: bool = False) -> dict[str, Any]:
    """What stands in the YAML beside :func:`msst_state`."""
    model = {"dim": FEATURES, "depth": 2, "stereo": True, "heads": HEADS, "dim_head": WIDTH, "num_stems": 1}
    model |= {"stft_n_fft": 128, "stft_win_length": 128, "stft_hop_length": 32, "zero_dc": True}
    bands = {"freqs_per_bands": WIDTHS, "freq_range": [0, 65], "num_residual_streams": 1}
    if mel:
        bands = {"num_bands": len(WIDTHS), "sample_rate": 16000, "linear_transformer_depth": 1, "use_pope": True}
        bands |= {"num_residual_streams": STREAMS, "add_value_residual": True, "mask_estimator_depth": 1}
    return {
        "audio": {"chunk_size": 8000, "sample_rate": 16000},
        "model": model | bands | {"time_transformer_depth": 1, "freq_transformer_depth": 1, "skip_connection": mel},
        "training": {"instruments": ["vocals", "other"], "target_instrument": "vocals"},
        "inference": {"num_overlap": 2, "batch_size": 3},
    }


def msst_state(mel: bool = False) -> dict[str, Tensor]:
    """A BS-RoFormer's weights, or those of a Mel-Band RoFormer with every newer option."""
    generator = torch.Generator().manual_seed(0)
    state = {key: 0.2 * torch.randn(shape, generator=generator) for key, shape in _shapes(mel)}
    for prefix in (f"layers.{r}.{j}.layers.0.0" for r in range(2) for j in ((1, 2) if mel else (0, 1))):
        count = WIDTH if mel else WIDTH // 2
        inner, name = (".branch", "pope_embed.inv_freqs") if mel else ("", "rotary_embed.freqs")
        state[f"{prefix}{inner}.{name}"] = 10_000.0 ** -(torch.arange(count) / count)
    return state


def _shapes(mel: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    for r in range(2):
        for j in range(3 if mel else 2):
            yield from _transformer(f"layers.{r}.{j}", mel, linear=mel and j == 0, later=r > 0)
    widths = mel_bands(len(WIDTHS), 128, 16000)[1] if mel else WIDTHS
    if not mel:
        yield "final_norm.gamma", (FEATURES,)
    for k, width in enumerate(widths):
        yield f"band_split.to_features.{k}.0.gamma", (4 * width,)
        yield from _linear(f"band_split.to_features.{k}.1", FEATURES, 4 * width)
        yield from _linear(f"mask_estimators.0.to_freqs.{k}.0.0", HIDDEN, FEATURES)
        yield from _linear(f"mask_estimators.0.to_freqs.{k}.0.2", 8 * width, HIDDEN)


def _transformer(prefix: str, mel: bool, linear: bool, later: bool) -> Iterator[tuple[str, tuple[int, ...]]]:
    inner = ".branch" if mel else ""  # inside of a hyper-connection
    attention, feed = f"{prefix}.layers.0.0{inner}", f"{prefix}.layers.0.1{inner}.net"
    yield f"{attention}.norm.gamma", (FEATURES,)
    yield f"{attention}.to_qkv{'.0' if linear else ''}.weight", (3 * INNER, FEATURES)
    yield f"{attention}.to_out.{int(linear)}.weight", (FEATURES, INNER)
    if linear:
        yield f"{attention}.temperature", (HEADS, 1, 1)
    else:
        yield from _linear(f"{attention}.to_gates", HEADS, FEATURES)
    if mel and not linear:
        yield f"{attention}.pope_embed.bias", (HEADS, WIDTH)
    if mel and later:
        yield from _linear(f"{attention}.learned_value_residual_mix.0", HEADS, FEATURES)
    yield f"{feed}.0.gamma", (FEATURES,)
    yield from _linear(f"{feed}.1", HIDDEN, FEATURES)
    yield from _linear(f"{feed}.4", FEATURES, HIDDEN)
    if mel:
        yield f"{prefix}.norm.gamma", (FEATURES,)
        yield from (pair for i in range(2) for pair in _connection(f"{prefix}.layers.0.{i}"))


def _linear(key: str, outputs: int, inputs: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{key}.weight", (outputs, inputs)
    yield f"{key}.bias", (outputs,)


def _connection(key: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{key}.norm.gamma", (FEATURES,)
    yield f"{key}.static_alpha", (STREAMS, 1 + STREAMS)
    yield f"{key}.dynamic_alpha_fn", (1, FEATURES, 1 + STREAMS)
    yield f"{key}.static_beta", (STREAMS,)
    yield f"{key}.dynamic_beta_fn", (FEATURES,)
    yield from ((f"{key}.{name}", (1,)) for name in ("pre_branch_scale", "residual_scale"))
    yield f"{key}.h_post_scale", ()
