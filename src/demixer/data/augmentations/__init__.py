"""Changes of the training audio: of one stem when it is read, and of all sources of a batch on the device.

One transform, one file: a pure function of the audio and its parameters, and a class that draws these parameters
from the generator it is handed.
"""

from demixer.data.augmentations.channel_swap import ChannelSwap
from demixer.data.augmentations.dropout import Dropout
from demixer.data.augmentations.equaliser import Equaliser
from demixer.data.augmentations.gain import Gain
from demixer.data.augmentations.pitch import Pitch
from demixer.data.augmentations.polarity import Polarity
from demixer.data.augmentations.speed import Speed
from demixer.data.augmentations.stages import Augmentations, MixAugmentation, StemAugmentation
from demixer.data.augmentations.tempo import Tempo

__all__ = [
    "Augmentations",
    "ChannelSwap",
    "Dropout",
    "Equaliser",
    "Gain",
    "MixAugmentation",
    "Pitch",
    "Polarity",
    "Speed",
    "StemAugmentation",
    "Tempo",
]
