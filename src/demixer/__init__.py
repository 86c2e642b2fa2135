"""Takes a song apart into vocals, drums, bass and everything else, with a Band-Split RNN.

>>> from demixer import AudioParams, Separator
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "AudioParams",
    "AugmentedSeparator",
    "AveragedSeparator",
    "ChainedSeparator",
    "Separator",
    "UserError",
    "__version__",
]

if TYPE_CHECKING:
    from demixer.errors import UserError
    from demixer.separation.audio_params import AudioParams
    from demixer.separation.augmented import AugmentedSeparator
    from demixer.separation.averaging import AveragedSeparator
    from demixer.separation.chain import ChainedSeparator
    from demixer.separation.separator import Separator

_HOMES = {
    "AudioParams": "demixer.separation.audio_params",
    "AugmentedSeparator": "demixer.separation.augmented",
    "AveragedSeparator": "demixer.separation.averaging",
    "ChainedSeparator": "demixer.separation.chain",
    "Separator": "demixer.separation.separator",
    "UserError": "demixer.errors",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is asked for: ``demix --version`` need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'demixer' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
