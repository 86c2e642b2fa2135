"""Changes of the training audio: of one stem when it is read, of all sources of a batch on the device, of a mixture.

One transform, one file: a pure function of the audio and its parameters, and a class that draws these parameters
from the generator it is handed.
"""

from demixer.data.augmentations.band_limit import BandLimit
from demixer.data.augmentations.channel_swap import ChannelSwap
from demixer.data.augmentations.codec import Codec
from demixer.data.augmentations.compressor import Compressor
from demixer.data.augmentations.dropout import Dropout
from demixer.data.augmentations.equaliser import Equaliser
from demixer.data.augmentations.gain import Gain
from demixer.data.augmentations.pitch import Pitch
from demixer.data.augmentations.polarity import Polarity
from demixer.data.augmentations.reverb import Reverb
from demixer.data.augmentations.speed import Speed
from demixer.data.augmentations.stages import Augmentations, MixAugmentation, MixtureAugmentation, StemAugmentation
from demixer.data.augmentations.tempo import Tempo

__all__ = [
    "Augmentations",
    "BandLimit",
    "ChannelSwap",
    "Codec",
    "Compressor",
    "Dropout",
    "Equaliser",
    "Gain",
    "MixAugmentation",
    "MixtureAugmentation",
    "Pitch",
    "Polarity",
    "Reverb",
    "Speed",
    "StemAugmentation",
    "Tempo",
]
