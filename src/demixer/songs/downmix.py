"""Two channels of many, as ITU-R BS.775 mixes them down."""

from collections.abc import Sequence

import torch
from torch import Tensor

from demixer.errors import UserError

HALF_POWER = 2**-0.5  # −3 dB
# {channel, as FFmpeg calls it: its share of left and right}; the channel of low-frequency effects is left out.
SHARES = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (HALF_POWER, HALF_POWER),
    "LFE": (0.0, 0.0),
    "BL": (HALF_POWER, 0.0),
    "BR": (0.0, HALF_POWER),
    "SL": (HALF_POWER, 0.0),
    "SR": (0.0, HALF_POWER),
    "BC": (0.5, 0.5),
}
# What the channels are where a file only counts them: the order of WAV files.
ORDERS = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def downmix_matrix(channel_names: Sequence[str]) -> Tensor:
    """The shares (2, C) of channels in left and right, to multiply (C, L) with.

    The sum is not made quieter, as in the standard: levels stay as they are, and loud songs exceed ±1.

    Args:
        channel_names: of C channels, as FFmpeg calls them.

    Raises:
        UserError: a channel has no place in the standard.
    """
    names = tuple(channel_names)
    if not {*names} & {*SHARES}:  # a layout without names
        names = ORDERS.get(len(names), names)
    strange = [name for name in names if name not in SHARES]
    if strange:
        raise UserError(
            f"`--downmix` knows no share of the channels {', '.join(dict.fromkeys(strange))} "
            f"(of {len(names)}): mix it down to stereo first"
        )
    return torch.tensor([SHARES[name] for name in names]).T
