"""Every option of these networks: which the weights tell, which are read, and which change nothing."""

from collections.abc import Mapping
from typing import Any

from demixer.checkpoints.settings import Settings
from demixer.errors import UserError
from demixer.model.layouts.msst.sizes import Sizes

READ = {
    *("stereo", "freqs_per_bands", "freq_range", "sample_rate", "zero_dc", "skip_connection"),
    *("stft_n_fft", "stft_hop_length", "stft_win_length", "mc_hyper_conn_sinkhorn_iters"),
}
OF_WEIGHTS = {
    *("dim", "depth", "num_stems", "dim_head", "heads", "num_bands", "mlp_expansion_factor"),
    *("time_transformer_depth", "freq_transformer_depth", "linear_transformer_depth"),
    *("num_residual_streams", "num_residual_fracs", "add_value_residual", "use_pope"),
    *("mask_estimator_depth", "use_shared_bias"),  # not compared: the first is counted in two ways
}
WITHOUT_EFFECT = {  # on what a trained network computes; RMS normalisation takes the transform's scale out again
    *("attn_dropout", "ff_dropout", "flash_attn", "linear_flash_attn", "sage_attention", "use_torch_checkpoint"),
    *("dim_freqs_in", "stft_normalized", "match_input_audio_length"),
    *("multi_stft_resolution_loss_weight", "multi_stft_resolutions_window_sizes", "multi_stft_hop_size"),
    *("multi_stft_normalized", "multi_stft_window_fn"),  # of the training loss
}
_REFUSED = {"stft_window_fn": "another window than Hann's, which is not supported"}


def check_options(model: Settings, sizes: Sizes) -> None:
    """Hold the options against the weights.

    Raises:
        UserError: one is not known or not supported, or the weights have another size.
    """
    for name, what in _REFUSED.items():
        if model.values.get(name) is not None:
            raise model.refuse(name, f"is {what}")
    for name in model.values:
        if name not in READ | OF_WEIGHTS | WITHOUT_EFFECT | _REFUSED.keys():
            raise model.refuse(name, "is not known here")
    for name, size in sizes.named().items():
        if model.values.get(name) not in (None, size):
            raise model.refuse(name, f"does not go with the weights, which have {size}: are they its?")


def read_bands(model: Settings, sizes: Sizes, channels: int) -> dict[str, Any]:
    """Arguments of :class:`demixer.model.roformer.RoFormer` and ``bands_bins`` where bands do not overlap.

    Raises:
        UserError: the weights have other bands.
    """
    widths = [values // (2 * channels) for values in sizes.band_values]
    told = model.values.get("freqs_per_bands")
    if not sizes.mel and told is not None and told != widths:
        raise model.refuse(
            "freqs_per_bands",
            f"with {channels} channel(s) does not go with the weights, whose {len(widths)} bands have "
            f"{', '.join(map(str, widths[:3]))} … {widths[-1]} bins: are they its?",
        )
    if any(values % (2 * channels) for values in sizes.band_values):
        raise model.refuse("stereo", "does not go with the weights, whose bands have other numbers of values")
    return {} if sizes.mel else {"bands_bins": widths}


def first_bin(model: Settings, bins: int, widths: Mapping[str, Any]) -> dict[str, int]:
    """The lowest bin of the first band, where only a part of the spectrum is separated.

    Raises:
        UserError: it is no part, or not as wide as the bands are.
    """
    told = model.values.get("freq_range")
    if told is None:
        return {}
    if not (isinstance(told, list) and len(told) == 2 and all(type(f) is int and -1 <= f <= bins for f in told)):
        raise model.refuse("freq_range", f"must be two bins from 0 to {bins}; -1 stands for the outermost")
    low, high = (edge if f == -1 else f for f, edge in zip(told, (0, bins), strict=True))
    if high - low != sum(widths.get("bands_bins", ())):
        raise UserError(f"{model.where}: `model.freq_range` (={told}) is not as wide as the bands are together")
    return {"first_bin": low}
