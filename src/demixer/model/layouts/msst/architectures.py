"""That program's other architectures, by what only their settings have: it is told their names on its command line."""

from collections.abc import Mapping

from demixer.checkpoints.settings import Settings
from demixer.errors import UserError, brief

READ = ("bs_roformer", "mel_band_roformer")
_TELLING = {
    "mdx23c": {"num_blocks_per_scale", "bottleneck_factor", "num_scales"},
    "scnet": {"band_SR", "bandsplit_ratios", "conv_depths", "n_rnn_layers", "num_dplayer"},
    "bandit": {"band_specs", "n_sqm_modules", "require_no_overlap"},
    "segm_models or torchseg": {"encoder_name", "decoder_type"},
    "swin_upernet": {"swin_upernet_type"},
    "bs_mamba2": {"num_repeat_mask", "num_repeat_map"},
    "bs_conformer or mel_band_conformer": {"time_conformer_depth", "conv_kernel_size"},
    "apollo": {"win", "layer", "feature_dim"},
    "dttnet": {"num_blocks", "dim_f", "bn_norm"},
    "vitlarge23": {"use_hires_masks"},
    "experimental_mdx23c_stht": {"stht_order"},
    "flow_bs_roformer": {"flow_steps", "time_embed_dim"},
}
_OF_THEIR_OWN = ("htdemucs", "demucs", "hdemucs", "bandit", "bandit_v2", "scnet", "apollo")  # sections


def refuse_other(settings: Settings) -> None:
    """Refuse settings that describe no RoFormer, by the name of what they describe.

    Raises:
        UserError: they do.
    """
    values, model = settings.values, settings.values.get("model")
    named = settings.section("training").values.get("model_type") or values.get("model_type")
    kind = named if named not in (None, *READ) else None
    if kind is None and not isinstance(model, Mapping):
        kind = model or next((name for name in _OF_THEIR_OWN if name in values), "an architecture that is not named")
    if kind is None:
        kind = next((name for name, telling in _TELLING.items() if telling & model.keys()), None)
    if kind is None and "depth" not in model:
        kind = "an architecture that is not known here"
    if kind is not None:
        raise UserError(
            f"{settings.where} describes {kind if isinstance(kind, str) and len(kind) < 80 else brief(kind)}: of "
            f"Music-Source-Separation-Training, only {' and '.join(READ)} are read here"
        )
