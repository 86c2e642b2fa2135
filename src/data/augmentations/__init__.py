"""Changes of the training audio: of one stem when it is read, and of all sources of a batch on the device.

One transform, one file: a pure function of the audio and its parameters, and a class that draws these parameters
from the generator it is handed.
"""

from data.augmentations.channel_swap import ChannelSwap
from data.augmentations.dropout import Dropout
from data.augmentations.equaliser import Equaliser
from data.augmentations.gain import Gain
from data.augmentations.pitch import Pitch
from data.augmentations.polarity import Polarity
from data.augmentations.speed import Speed
from data.augmentations.stages import Augmentations, MixAugmentation, StemAugmentation
from data.augmentations.tempo import Tempo

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
