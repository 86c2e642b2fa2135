"""The YAML beside a checkpoint of Music-Source-Separation-Training, as plain data, and what it says in our terms."""

from pathlib import Path
from typing import Any

from demixer.checkpoints.locating import settings_beside
from demixer.checkpoints.plain_yaml import LoaderWithTuples, read_yaml
from demixer.checkpoints.settings import Settings
from demixer.errors import UserError, brief
from demixer.model.arguments import LARGEST_SIZE, MOST_ITERATIONS, RATES_HZ
from demixer.model.layouts.msst.options import check_options, first_bin, read_bands
from demixer.model.layouts.msst.sizes import Sizes
from demixer.model.modules.spectrogram import LARGEST_N_FFT

_SECTIONS = {"audio", "model", "training", "inference"}
_LONGEST_SAMPLES = 10**9


def read_settings(checkpoint: Path) -> Settings | None:
    """The YAML beside a checkpoint; None where there is none of that program.

    Raises:
        UserError: it cannot be read as plain data.
    """
    file = settings_beside(checkpoint)
    if file is None:
        return None
    try:
        settings = read_yaml(file, LoaderWithTuples)
    except UserError as error:
        raise UserError(f"cannot read the settings `{file}` of `{checkpoint}`: {error}") from error
    if not isinstance(settings, dict) or not _SECTIONS & settings.keys():
        return None
    return Settings(settings, f"`{file}`")


def told_hparams(settings: Settings, sizes: Sizes) -> dict[str, Any]:
    """The settings of a network, in this project's terms, held against its weights.

    Raises:
        UserError: an option is not known or not supported, impossible, or not what the weights have.
    """
    model, audio = settings.section("model", needed=True), settings.section("audio")
    check_options(model, sizes)
    n_fft = model.whole("stft_n_fft", 2, LARGEST_N_FFT, 2048)
    rate_hz = audio.whole("sample_rate", *RATES_HZ, model.whole("sample_rate", *RATES_HZ, 44100))
    if sizes.mel and model.whole("sample_rate", *RATES_HZ, rate_hz) != rate_hz:
        raise model.refuse("sample_rate", f"is not `audio.sample_rate` (={rate_hz}), which is not supported")
    channels = 2 if model.choice("stereo", (True, False), False) else 1
    bands = read_bands(model, sizes, channels)
    featurizer = {
        "n_fft": n_fft,
        "hop_samples": model.whole("stft_hop_length", 1, n_fft, 512),
        "window_samples": model.whole("stft_win_length", 1, n_fft, n_fft),
        "sample_rate_hz": rate_hz,
    }
    switches = {
        "skip": model.choice("skip_connection", (True, False), False),
        "zero_dc": model.choice("zero_dc", (True, False), True),
        **first_bin(model, n_fft // 2 + 1, bands),
    }
    if sizes.attention["streams"] * sizes.attention["fractions"] > 1:
        switches["sinkhorn_iterations"] = model.whole("mc_hyper_conn_sinkhorn_iters", 0, MOST_ITERATIONS, 2)
    return {
        "targets": _targets(settings, sizes.stems),
        **bands,
        "featurizer": featurizer,
        "model": {**sizes.model(), "channels": channels, **switches},
        "audio_params": _audio_params(audio, settings.section("inference"), rate_hz),
    }


def _audio_params(audio: Settings, inference: Settings, sample_rate_hz: int) -> dict[str, Any]:
    """Its windows: ``chunk_size`` samples, of which ``num_overlap`` lie over every sample."""
    usual = audio.whole("chunk_size", 1, _LONGEST_SAMPLES, 8 * sample_rate_hz)
    chunk = inference.whole("chunk_size", 1, _LONGEST_SAMPLES, usual)
    return {
        "window_seconds": chunk / sample_rate_hz,
        "hop_seconds": chunk / inference.whole("num_overlap", 1, LARGEST_SIZE, 2) / sample_rate_hz,
        "batch_size": inference.whole("batch_size", 1, LARGEST_SIZE, 1),
    }


def _targets(settings: Settings, stems: int) -> list[str]:
    """What the network estimates: ``target_instrument``, or all instruments; in small letters, fit for file names.

    Raises:
        UserError: the settings name something other than as many instruments as there are masks.
    """
    training = settings.section("training").values
    names, one = training.get("instruments"), training.get("target_instrument")
    chosen = [one] if one else names if isinstance(names, list) else []
    if len(chosen) != stems:
        raise UserError(
            f"{settings.where} names {len(chosen)} of `training.instruments` or `target_instrument` "
            f"({brief(chosen)}), but the weights estimate {stems}"
        )
    texts = [str(name) if isinstance(name, str) else brief(name) for name in chosen]
    return ["".join(c if c.isalnum() or c in "_- " else "-" for c in text.lower()).strip("- ") for text in texts]
