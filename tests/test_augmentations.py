"""Each augmentation does to sound what its name says, by the number that was drawn."""

import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from demixer.data.augmentations import (
    Augmentations,
    ChannelSwap,
    Dropout,
    Equaliser,
    Gain,
    Pitch,
    Polarity,
    Speed,
    Tempo,
)
from demixer.data.augmentations.channel_swap import channel_swap
from demixer.data.augmentations.dropout import dropout
from demixer.data.augmentations.equaliser import equaliser
from demixer.data.augmentations.gain import gain
from demixer.data.augmentations.pitch import pitch
from demixer.data.augmentations.polarity import polarity
from demixer.data.augmentations.speed import speed
from demixer.data.augmentations.stages import apply_plan, input_samples
from demixer.data.augmentations.tempo import tempo
from demixer.data.randomness import generator_for

RATE_HZ = 44100
CONF = Path(__file__).resolve().parents[1] / "conf" / "augmentations"
YES, NO = torch.tensor([[True]]), torch.tensor([[False]])


def tone(frequency_hz, samples=RATE_HZ):
    phase = 2 * math.pi * frequency_hz / RATE_HZ * torch.arange(samples, dtype=torch.float64)
    return torch.stack([phase.sin(), 0.5 * phase.sin()]).float()


def loudest_hz(audio):
    """The frequency of the spectrum's peak, by a parabola through its three highest points in dB."""
    spectrum = torch.fft.rfft(audio[0].double() * torch.hann_window(audio.shape[-1], dtype=torch.float64)).abs().log()
    peak = int(spectrum.argmax())
    left, mid, right = spectrum[peak - 1 : peak + 2]
    return float((peak + (left - right) / (left - 2 * mid + right) / 2) * RATE_HZ / audio.shape[-1])


def rms(audio):
    return float(audio.square().mean().sqrt())


def stereo_batch():
    return torch.randn(3, 4, 2, 50, generator=torch.Generator().manual_seed(0))


class TestGain:
    def test_minus_6_db_of_one(self):
        assert gain(torch.ones(1, 1, 2, 3), torch.tensor([[-6.0]])) == pytest.approx(
            torch.full((1, 1, 2, 3), 0.5011872)
        )

    def test_each_source_has_its_own(self):
        scaled = gain(torch.ones(1, 2, 2, 3), torch.tensor([[0.0, 20.0]]))
        assert scaled[0, :, 0, 0].tolist() == pytest.approx([1, 10])

    def test_draws_are_uniform_in_db(self):
        drawn = Gain(-10, 10).draw(20_000, generator_for(0, 0, "gain"))
        assert drawn.min() >= -10
        assert drawn.max() <= 10
        assert drawn.mean().item() == pytest.approx(0, abs=0.2)
        assert drawn.std().item() == pytest.approx(20 / math.sqrt(12), abs=0.1)

    def test_limits_must_be_ordered(self):
        with pytest.raises(ValueError, match=r"`min_gain_db` \(=3\)"):
            Gain(3, -3)


class TestSwitches:
    def test_dropout_silences_only_the_dropped(self):
        audio = stereo_batch()
        dropped = torch.zeros(3, 4, dtype=torch.bool)
        dropped[1, 2] = True
        silenced = dropout(audio, dropped)
        assert silenced[1, 2].abs().max() == 0
        assert silenced[~dropped].equal(audio[~dropped])

    def test_dropout_rate(self):
        dropped = Dropout(0.1).draw(100_000, generator_for(0, 0, "dropout"))
        assert dropped.float().mean().item() == pytest.approx(0.1, abs=0.004)

    def test_channel_swap(self):
        left_only = torch.tensor([[1.0, 2.0], [0.0, 0.0]])[None, None]
        assert channel_swap(left_only, YES)[0, 0].tolist() == [[0, 0], [1, 2]]
        assert channel_swap(left_only, NO).equal(left_only)
        assert channel_swap(channel_swap(left_only, YES), YES).equal(left_only)

    def test_polarity(self):
        audio = stereo_batch()[:1, :1]
        assert polarity(audio, YES).equal(-audio)
        assert polarity(audio, NO).equal(audio)

    @pytest.mark.parametrize("kind", [ChannelSwap, Polarity])
    def test_rate_of_the_others(self, kind):
        drawn = kind(0.25).draw(100_000, generator_for(0, 0, "rate"))
        assert drawn.float().mean().item() == pytest.approx(0.25, abs=0.006)

    @pytest.mark.parametrize("kind", [ChannelSwap, Polarity, Dropout, Speed, Tempo, Pitch, Equaliser])
    def test_probability_is_checked(self, kind):
        with pytest.raises(ValueError, match=r"`probability` \(=1.5\)"):
            kind(probability=1.5)


class TestSpeed:
    def test_twice_as_fast_is_an_octave_higher_and_half_as_long(self):
        faster = speed(tone(440), Fraction(2))
        assert faster.shape == (2, RATE_HZ // 2)
        assert loudest_hz(faster) == pytest.approx(880, abs=0.1)

    def test_a_drawn_ratio(self):
        change = Speed(0.9, 1.1)
        for example in range(5):
            ratio = change.draw(generator_for(0, example, "speed"))
            assert 0.9 <= ratio <= 1.1
            assert ratio.denominator <= 100
            slower = speed(tone(1000), ratio)
            assert loudest_hz(slower) == pytest.approx(1000 * float(ratio), rel=1e-4)


class TestTempo:
    @pytest.mark.parametrize("rate", [0.8, 1.0, 1.25])
    def test_keeps_frequency_and_level(self, rate):
        audio = tone(440, 2 * RATE_HZ)
        stretched = tempo(audio, rate)
        assert stretched.shape == (2, math.ceil(2 * RATE_HZ / rate))
        inner = slice(4096, -4096)
        assert loudest_hz(stretched[:, inner]) == pytest.approx(440, abs=0.3)
        assert rms(stretched[:, inner]) == pytest.approx(rms(audio), rel=0.12)  # neighbouring bins drift apart a little
        assert stretched[1].mul(2).sub(stretched[0])[inner].abs().max() < 1e-3  # the sides keep their balance

    def test_rate_one_changes_nothing(self):
        audio = torch.randn(2, 20_000, generator=torch.Generator().manual_seed(0))
        assert (tempo(audio, 1.0) - audio)[:, :18_000].abs().max() < 1e-3

    def test_a_click_moves_in_time(self):
        audio = torch.zeros(2, RATE_HZ)
        audio[:, 22_000:22_020] = 1
        assert abs(int(tempo(audio, 1.25)[0].abs().argmax()) - 22_000 / 1.25) < 1024

    def test_sound_after_digital_silence_survives(self):
        audio = torch.cat([torch.zeros(2, RATE_HZ), tone(440)], -1)
        assert rms(tempo(audio, 1.1)[:, 50_000:75_000]) == pytest.approx(rms(tone(440)), rel=0.05)


class TestPitch:
    @pytest.mark.parametrize(("semitones", "frequency_hz"), [(12, 880), (-12, 220), (0, 440)])
    def test_frequency_moves_and_length_stays(self, semitones, frequency_hz):
        change = Pitch(semitones, semitones)
        ratio = change.draw(generator_for(0, 0, "pitch"))
        shifted = pitch(tone(440, 2 * RATE_HZ), ratio)
        assert shifted.shape == (2, 2 * RATE_HZ)
        assert loudest_hz(shifted[:, 8192:-8192]) == pytest.approx(frequency_hz, abs=0.5)

    def test_semitones_are_exact_to_a_hundredth(self):
        for semitones in (-2.0, -1.0, 1.0, 2.0):
            ratio = Pitch(semitones, semitones).draw(generator_for(0, 0, "pitch"))
            assert 12 * math.log2(ratio) == pytest.approx(semitones, abs=0.01)


class TestEqualiser:
    GAINS_DB = torch.tensor([-6.0, 0.0, 12.0])
    CENTRES_HZ = (100.0, 1000.0, 10_000.0)

    @pytest.mark.parametrize(
        ("frequency_hz", "gain_db"),
        [(100, -6), (1000, 0), (10_000, 12), (50, -6), (15_000, 12), (100 * 10**0.5, -3), (1000 * 10**0.5, 6)],
    )
    def test_gain_at_a_frequency(self, frequency_hz, gain_db):
        audio = tone(frequency_hz)
        filtered = equaliser(audio, self.GAINS_DB, self.CENTRES_HZ, RATE_HZ)
        inner = slice(2000, -2000)
        measured_db = 20 * math.log10(rms(filtered[:, inner]) / rms(audio[:, inner]))
        assert measured_db == pytest.approx(gain_db, abs=0.05)

    def test_a_click_stays_where_it_is(self):
        audio = torch.zeros(2, RATE_HZ)
        audio[:, 20_000] = 1
        filtered = equaliser(audio, self.GAINS_DB, self.CENTRES_HZ, RATE_HZ)
        assert int(filtered[0].abs().argmax()) == 20_000
        energy = filtered[0].square()
        assert energy[20_000 - 441 : 20_000 + 441].sum() / energy.sum() > 0.999

    def test_centres_must_rise(self):
        with pytest.raises(ValueError, match="rising"):
            Equaliser(centres_hz=(100.0, 100.0))


class TestStages:
    def test_plan_gives_the_length_asked_for(self):
        stages = Augmentations(stem=[Speed(probability=1), Pitch(probability=1), Tempo(probability=1), Equaliser()])
        for example in range(4):
            plan = stages.plan_stem(generator_for(0, example, "stem"))
            needed = input_samples(plan, 30_001)
            out = apply_plan(plan, torch.randn(2, needed), RATE_HZ, 30_001)
            assert out.shape == (2, 30_001)
            assert rms(out[:, -2000:]) > 0.3  # no zeros for want of input

    def test_each_happens_with_its_probability(self):
        stages = Augmentations(stem=[Speed(probability=0.3), Equaliser(probability=0)])
        plans = [stages.plan_stem(generator_for(0, example, "stem")) for example in range(2000)]
        assert sum(map(len, plans)) / 2000 == pytest.approx(0.3, abs=0.03)
        assert all(type(one) is Speed for plan in plans for one, _ in plan)

    def test_a_batch_is_its_examples(self):
        stages = Augmentations(mix=[Gain(), Dropout(), ChannelSwap(), Polarity()])
        audio = stereo_batch()
        together = stages.mix_batch(audio, [generator_for(0, example, "mix") for example in range(3)])
        for example in range(3):
            alone = stages.mix_batch(audio[example : example + 1], [generator_for(0, example, "mix")])
            assert alone[0].equal(together[example])
        assert not together[0].equal(audio[0])

    @pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
    def test_every_config_instantiates(self, name):
        stages = instantiate(OmegaConf.load(CONF / f"{name}.yaml"))
        audio = stages.mix_batch(stereo_batch(), [generator_for(0, example, "mix") for example in range(3)])
        assert audio.shape == (3, 4, 2, 50)
        stages.plan_stem(generator_for(0, 0, "stem"))

    def test_paper_config_is_the_papers(self):
        stages = instantiate(OmegaConf.load(CONF / "paper.yaml"))
        assert stages.stem == ()
        assert stages.mix == (Gain(-10, 10), Dropout(0.1))


class TestRandomness:
    def test_pure_function_of_all_three(self):
        def draw(*arguments):
            return torch.rand(4, generator=generator_for(*arguments)).tolist()

        assert draw(1, 2, "a") == draw(1, 2, "a")
        others = [draw(1, 2, "a"), draw(2, 2, "a"), draw(1, 3, "a"), draw(1, 2, "b"), draw(2, 1, "a")]
        assert len({tuple(one) for one in others}) == 5

    def test_global_state_is_neither_read_nor_moved(self):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        Augmentations(stem=[Speed(), Tempo(), Pitch(), Equaliser()]).plan_stem(generator_for(0, 0, "stem"))
        assert torch.get_rng_state().equal(before)
