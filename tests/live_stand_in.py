"""A live separator whose stems are known, and everything around it, for the tests of the live program."""

import torch

from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.locating import WEIGHTS_NAME
from demixer.checkpoints.weights import write_weights
from demixer.errors import UserError
from demixer.live.backlog import Backlog
from demixer.live.choice import Choice
from demixer.live.guard import Guard
from demixer.live.live_mix import LiveMix
from demixer.live.mixing import Delay
from demixer.live.stats import Stats
from demixer.model.building import build_network
from tests.song_files import TARGETS

SHARES = {"vocals": 0.5, "drums": 0.25}  # of the mixture; a quarter is in no stem
RATE_HZ, HOP, LATENCY = 44_100, 256, 700


class StandInLive:
    """Each stem is a share of the mixture, inverted, so that no mistake of signs or places goes unheard."""

    latency_samples, hop_samples, sample_rate_hz = LATENCY, HOP, RATE_HZ

    def __init__(self, shares=SHARES, channels=2):
        self.targets = tuple(shares)
        self.shares = -torch.tensor([*shares.values()])[:, None, None]
        self.channels, self.resets = channels, 0
        self.delay = Delay(channels, LATENCY)

    def process(self, block):
        if block.shape[0] != self.channels or not block.isfinite().all():
            raise ValueError("no block of this stream")
        return self.shares * self.delay.process(block)

    def flush(self):
        return self.process(torch.zeros(self.channels, LATENCY))

    def reset(self):
        self.resets += 1
        self.delay.reset()


class StandInSeparator:
    """What ``Separator.from_pretrained`` gives."""

    sample_rate_hz = RATE_HZ

    def __init__(self, shares=SHARES, causal=True):
        self.shares, self.targets, self.causal = shares, tuple(shares), causal

    def only(self, targets):
        return StandInSeparator({name: self.shares[name] for name in self.targets if name in targets}, self.causal)

    latency_samples = LATENCY

    def live(self, channels=2, block_samples=1):
        if not self.causal:
            raise UserError("the model hears what is still to come")
        return StandInLive(self.shares, channels)


def mix_of(shares=SHARES, channels=2, separator=None, **choice):
    """A mix of the stand-in's stems, or of a separator's."""
    separator = separator or StandInSeparator(shares)
    chosen = Choice(**choice, changes=True)
    stems = chosen.computed(separator.targets)
    live = separator.only(stems).live(channels, HOP)
    return LiveMix(live, chosen.desk(stems), chosen.buses(stems), channels)


def stats_of(mix, block_samples=HOP):
    return Stats(mix.sample_rate_hz, mix.hop_samples, mix.latency_samples, block_samples)


def guard_of(mix, block_samples=HOP, slack_blocks=1):
    """A guard and its backlog, which the test itself works on."""
    stats = stats_of(mix, block_samples)
    backlog = Backlog(mix, block_samples, stats)
    return Guard(backlog, block_samples, stats, slack_blocks), backlog, stats


TINY_LIVE = {
    "targets": [*TARGETS],
    "bands_hz": [[4000, 1000], [20000, 4000]],
    "model": {"architecture": "bandsplitrnn_live", "features": 4, "repeats": 1},
}


def write_tiny_live_model(folder, hop_samples=HOP):
    """A live model's folder, with random weights."""
    torch.manual_seed(0)
    featurizer = {"n_fft": 2 * hop_samples, "hop_samples": hop_samples, "synthesis_samples": 2 * hop_samples}
    hparams = {**TINY_LIVE, "featurizer": {**featurizer, "sample_rate_hz": RATE_HZ}}
    write_hparams(folder, hparams)
    write_weights(folder / WEIGHTS_NAME, build_network(hparams).state_dict())
    return folder
