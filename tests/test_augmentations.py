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
    BandLimit,
    ChannelSwap,
    Codec,
    Compressor,
    Dropout,
    Equaliser,
    Gain,
    Pitch,
    Polarity,
    Reverb,
    Speed,
    Tempo,
)
from demixer.data.augmentations.band_limit import band_limit
from demixer.data.augmentations.channel_swap import channel_swap
from demixer.data.augmentations.codec import codec
from demixer.data.augmentations.compressor import Setting, compressor
from demixer.data.augmentations.dropout import dropout
from demixer.data.augmentations.equaliser import equaliser
from demixer.data.augmentations.gain import gain
from demixer.data.augmentations.pitch import pitch
from demixer.data.augmentations.polarity import polarity
from demixer.data.augmentations.reverb import Room, reverb, room_response, tail_samples
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

    @pytest.mark.parametrize(
        "kind",
        [ChannelSwap, Polarity, Dropout, Speed, Tempo, Pitch, Equaliser, Reverb, Compressor, BandLimit, Codec],
    )
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


class TestReverb:
    ROOM = Room(decay_seconds=0.4, delay_seconds=0.01, damping_hz=4000, wet_db=-6, seed=3)

    def test_an_impulse_is_followed_by_reflections_that_decay_by_60_db(self):
        audio = torch.zeros(2, RATE_HZ)
        audio[:, 1000] = 1
        wet = reverb(audio, self.ROOM, RATE_HZ)
        assert wet[:, 1000].tolist() == pytest.approx([1, 1], abs=1e-3)
        tail = wet[:, 1001:].double().square()
        assert 10 * math.log10(tail.sum() / 2) == pytest.approx(-6, abs=0.1)
        early, late = (tail[:, round(t * RATE_HZ) :][:, :2000].sum() for t in (0.05, 0.25))  # half of the decay apart
        assert 10 * math.log10(early / late) == pytest.approx(30, abs=1.5)
        assert tail[:, : round(0.009 * RATE_HZ)].sum() / tail.sum() < 0.01
        assert tail[:, round(0.42 * RATE_HZ) :].sum() / tail.sum() < 1e-6

    def test_the_sides_hear_different_reflections_which_are_dark(self):
        left, right = room_response(self.ROOM, 2, RATE_HZ).double()
        assert abs(left @ right) / (left.norm() * right.norm()) < 0.1
        power = torch.fft.rfft(left, RATE_HZ).abs().square()
        bands = {hz: 10 * math.log10(power[int(0.9 * hz) : int(1.1 * hz)].mean()) for hz in (50, 1000, 3000, 18_000)}
        assert bands[3000] == pytest.approx(bands[1000], abs=2.5)
        assert bands[18_000] - bands[1000] == pytest.approx(-12, abs=2.5)
        assert bands[50] - bands[1000] < -15

    def test_what_is_before_the_crop_is_heard_in_it(self):
        change, tail = Reverb(probability=1), tail_samples(self.ROOM, RATE_HZ)
        needed = change.input_samples(5000, self.ROOM, RATE_HZ)
        assert needed == 5000 + tail
        audio = torch.zeros(2, needed)
        audio[:, tail - 1000] = 1
        wet = change.apply(audio, self.ROOM, RATE_HZ)
        assert wet.shape == (2, 5000)
        assert wet[:, :200].abs().max() > 1e-3

    def test_rooms_are_drawn_within_their_limits(self):
        rooms = [Reverb().draw(generator_for(0, example, "reverb")) for example in range(50)]
        assert len({room.seed for room in rooms}) == 50
        assert all(0.1 <= r.decay_seconds <= 0.8 and -20 <= r.wet_db <= -6 and r.delay_seconds <= 0.02 for r in rooms)

    @pytest.mark.parametrize("wrong", [{"min_decay_seconds": 0.0}, {"min_wet_db": 0.0}, {"max_delay_seconds": -1.0}])
    def test_limits_are_checked(self, wrong):
        with pytest.raises(ValueError, match=rf"`{next(iter(wrong))}` \(={next(iter(wrong.values()))}\)"):
            Reverb(**wrong)


class TestCompressor:
    SETTING = Setting(threshold_db=-20, ratio=4, attack_seconds=0.01, release_seconds=0.1)

    def reduction_db(self, level_db, setting=SETTING):
        audio = tone(1000) * 10 ** (level_db / 20)
        return 20 * math.log10(rms(audio) / rms(compressor(audio, setting, RATE_HZ)))

    @pytest.mark.parametrize(("level_db", "reduction_db"), [(0, 15), (-12, 6), (-20, 0), (-40, 0)])
    def test_a_steady_tone_keeps_a_quarter_of_what_is_above_the_threshold(self, level_db, reduction_db):
        assert self.reduction_db(level_db) == pytest.approx(reduction_db, abs=0.05)

    def test_ratio_one_does_nothing(self):
        assert self.reduction_db(0, Setting(-20, 1, 0.01, 0.1)) == pytest.approx(0, abs=1e-6)

    def test_sides_are_reduced_alike_and_the_length_stays(self):
        for samples in (0, 1, 63, 64, 65, 1000):
            out = compressor(tone(1000, samples), self.SETTING, RATE_HZ)
            assert out.shape == (2, samples)
            assert (out[1] - out[0] / 2).abs().sum() < 1e-4

    def test_attack_and_release_take_their_time(self):
        loud = slice(RATE_HZ, 2 * RATE_HZ)
        audio = tone(1000, 3 * RATE_HZ) * 10 ** (-40 / 20)
        audio[:, loud] *= 100
        ratio = compressor(audio, self.SETTING, RATE_HZ)[0] / audio[0]
        reduction_db = -20 * ratio[audio[0].abs() > audio[0].abs().max() * 1e-4].log10()
        seconds = (torch.arange(3 * RATE_HZ) / RATE_HZ)[audio[0].abs() > audio[0].abs().max() * 1e-4]

        def at(moment):
            return reduction_db[int((seconds - moment).abs().argmin())].item()

        assert at(0.9) == pytest.approx(0, abs=0.01)
        assert at(1 + 0.01) == pytest.approx(15 * (1 - math.exp(-1)), abs=0.7)  # a block is 0.15 of the attack
        assert at(1.9) == pytest.approx(15, abs=0.05)
        assert at(2 + 0.1) == pytest.approx(15 * math.exp(-1), abs=0.2)

    def test_a_threshold_is_below_the_stems_own_peak(self):
        change = Compressor(min_depth_db=20, max_depth_db=20, min_ratio=4, max_ratio=4)
        drawn = change.draw(generator_for(0, 0, "compressor"))
        for level_db in (0, -50):
            audio = tone(1000) * 10 ** (level_db / 20)
            out = change.apply(audio, drawn, RATE_HZ)
            assert 20 * math.log10(rms(audio) / rms(out)) == pytest.approx(15, abs=0.05)
        assert change.apply(torch.zeros(2, 1000), drawn, RATE_HZ).abs().max() == 0

    @pytest.mark.parametrize("wrong", [{"min_depth_db": 30.0}, {"min_ratio": 0.5}])
    def test_limits_are_checked(self, wrong):
        with pytest.raises(ValueError, match=rf"`{next(iter(wrong))}` \(={next(iter(wrong.values()))}\)"):
            Compressor(**wrong)


class TestBandLimit:
    def test_nothing_is_left_above_the_cutoff_and_nothing_lost_below(self):
        audio = torch.randn(1, 2, 2, 3 * RATE_HZ, generator=torch.Generator().manual_seed(0))
        limited = band_limit(audio, torch.full((1, 2), 8000.0), RATE_HZ)
        window = torch.hann_window(3 * RATE_HZ, dtype=torch.float64)
        before, after = (torch.fft.rfft(one[0, 0, 0].double() * window).abs().square() for one in (audio, limited))
        level_db = {
            (low, high): 10 * math.log10(after[3 * low : 3 * high].sum() / before[3 * low : 3 * high].sum())
            for low, high in ((20, 7200), (8005, 22_050), (7550, 7650))
        }
        assert level_db[20, 7200] == pytest.approx(0, abs=0.01)
        assert level_db[8005, 22_050] < -60
        assert level_db[7550, 7650] == pytest.approx(-6, abs=0.5)  # in the middle of the fall

    def test_only_examples_with_a_cutoff_change_and_a_sum_is_limited_as_its_sources(self):
        audio = torch.randn(2, 3, 2, 5000, generator=torch.Generator().manual_seed(0))
        cutoffs = torch.tensor([[math.inf] * 3, [5000.0] * 3])
        limited = band_limit(audio, cutoffs, RATE_HZ)
        assert limited[0].equal(audio[0])
        alone = band_limit(audio.sum(1, keepdim=True), cutoffs[:, :1], RATE_HZ)
        assert (limited.sum(1) - alone[:, 0]).abs().max() < 1e-5
        assert band_limit(audio, torch.full((2, 3), math.inf), RATE_HZ) is audio

    def test_draws_are_one_for_an_example_and_uniform_in_octaves(self):
        change = BandLimit(4000, 16_000, probability=0.5)
        drawn = torch.stack([change.draw(4, generator_for(0, example, "band")) for example in range(2000)])
        assert drawn.equal(drawn[:, :1].expand(-1, 4))
        cutoffs = drawn[drawn.isfinite().all(1), 0]
        assert len(cutoffs) / 2000 == pytest.approx(0.5, abs=0.04)
        assert cutoffs.log2().mean().item() == pytest.approx(math.log2(8000), abs=0.05)
        assert cutoffs.min() >= 4000
        assert cutoffs.max() <= 16_000

    def test_limits_are_checked(self):
        with pytest.raises(ValueError, match=r"`min_cutoff_hz` \(=0\)"):
            BandLimit(min_cutoff_hz=0)


class TestCodec:
    def music(self, samples=RATE_HZ):
        """Tones with clicks between them, different on the two sides."""
        audio = tone(440, samples) * 0.3 + tone(3000, samples) * 0.1
        audio[:, 5000::7000] += 0.4
        return audio

    @pytest.mark.parametrize("name", ["mp3", "aac"])
    @pytest.mark.parametrize("samples", [1, 3000, RATE_HZ])
    def test_the_length_stays(self, name, samples):
        assert codec(self.music(samples), name, 128_000, RATE_HZ).shape == (2, samples)

    @pytest.mark.parametrize("name", ["mp3", "aac"])
    def test_it_is_aligned_to_the_sample(self, name):
        audio = self.music()
        out = codec(audio, name, 256_000, RATE_HZ)
        match = torch.fft.irfft(torch.fft.rfft(out[0]) * torch.fft.rfft(audio[0]).conj())
        assert int(match.argmax()) == 0
        click = out[0, 19_000 - 50 : 19_000 + 50] - audio[0, 19_000 - 50 : 19_000 + 50]
        assert rms(click) < 0.1 * 0.4

    @pytest.mark.parametrize("name", ["mp3", "aac"])
    def test_more_bits_lose_less_and_treble_goes_first(self, name):
        noise = 0.1 * torch.randn(2, 2 * RATE_HZ, generator=torch.Generator().manual_seed(0))
        outs = {rate: codec(noise, name, rate, RATE_HZ) for rate in (64_000, 256_000)}
        errors = {rate: rms(out - noise) / rms(noise) for rate, out in outs.items()}
        assert errors[256_000] < 0.8 * errors[64_000]
        treble = torch.fft.rfft(outs[64_000][0])[2 * 18_000 :].abs().square().sum()
        assert treble < 0.05 * torch.fft.rfft(noise[0])[2 * 18_000 :].abs().square().sum()

    @pytest.mark.parametrize("name", ["mp3", "aac"])
    def test_the_level_stays_beyond_full_scale_too(self, name):
        for factor in (0.1, 1, 5):
            loud = factor * self.music()
            out = codec(loud, name, 256_000, RATE_HZ)
            assert rms(out) == pytest.approx(rms(loud), rel=0.01)
            assert rms(out - loud) < 0.1 * rms(loud)

    def test_the_same_comes_out_again_and_silence_of_silence(self):
        one, two = (codec(self.music(), "mp3", 128_000, RATE_HZ) for _ in range(2))
        assert one.equal(two)
        assert codec(torch.zeros(2, 5000), "aac", 128_000, RATE_HZ).abs().max() < 1e-4

    def test_one_channel(self):
        assert codec(self.music()[:1], "aac", 64_000, RATE_HZ).shape == (1, RATE_HZ)

    def test_what_cannot_be_is_refused(self):
        with pytest.raises(ValueError, match=r"`name` \(='wma'\)"):
            codec(self.music(), "wma", 128_000, RATE_HZ)
        with pytest.raises(ValueError, match=r"at a rate such as 44100"):
            codec(self.music(), "mp3", 128_000, 96_001)
        with pytest.raises(ValueError, match=r"`names` \(=\['wma'\]\)"):
            Codec(names=["wma"])

    def test_every_codec_and_rate_is_drawn(self):
        change = Codec(names=["mp3", "aac"], bit_rates=[64_000, 128_000])
        drawn = {change.draw(generator_for(0, example, "codec")) for example in range(50)}
        assert drawn == {(name, rate) for name in ("mp3", "aac") for rate in (64_000, 128_000)}


class TestStages:
    def test_plan_gives_the_length_asked_for(self):
        kinds = (Speed, Pitch, Tempo, Equaliser, Compressor, Reverb)
        stages = Augmentations(stem=[kind(probability=1) for kind in kinds])
        for example in range(4):
            plan = stages.plan_stem(generator_for(0, example, "stem"))
            needed = input_samples(plan, 30_001, RATE_HZ)
            out = apply_plan(plan, torch.randn(2, needed), RATE_HZ, 30_001)
            assert out.shape == (2, 30_001)
            assert rms(out[:, -2000:]) > 0.1  # no zeros for want of input

    def test_each_happens_with_its_probability(self):
        stages = Augmentations(stem=[Speed(probability=0.3), Equaliser(probability=0)])
        plans = [stages.plan_stem(generator_for(0, example, "stem")) for example in range(2000)]
        assert sum(map(len, plans)) / 2000 == pytest.approx(0.3, abs=0.03)
        assert all(type(one) is Speed for plan in plans for one, _ in plan)

    def test_a_batch_is_its_examples(self):
        stages = Augmentations(mix=[Gain(), Dropout(), ChannelSwap(), Polarity(), BandLimit(probability=0.5)])
        audio = stereo_batch()
        together = stages.mix_batch(audio, [generator_for(0, example, "mix") for example in range(3)], RATE_HZ)
        for example in range(3):
            alone = stages.mix_batch(audio[example : example + 1], [generator_for(0, example, "mix")], RATE_HZ)
            assert alone[0].equal(together[example])
        assert not together[0].equal(audio[0])

    @pytest.mark.parametrize("name", sorted(path.stem for path in CONF.glob("*.yaml")))
    def test_every_config_instantiates(self, name):
        stages = instantiate(OmegaConf.load(CONF / f"{name}.yaml"))
        audio = stages.mix_batch(stereo_batch(), [generator_for(0, example, "mix") for example in range(3)], RATE_HZ)
        assert audio.shape == (3, 4, 2, 50)
        generators = [generator_for(0, example, "mixture") for example in range(3)]
        assert stages.change_mixtures(audio.sum(1), generators, RATE_HZ).shape == (3, 2, 50)
        stages.plan_stem(generator_for(0, 0, "stem"))

    def test_only_chosen_mixtures_change_whoever_is_beside_them(self):
        stages = Augmentations(mixture=[Codec(probability=0.5)])
        audio = 0.1 * torch.randn(8, 2, 4000, generator=torch.Generator().manual_seed(0))
        generators = [generator_for(0, example, "mixture") for example in range(6)]
        together = stages.change_mixtures(audio, generators, RATE_HZ)
        changed = [not together[example].equal(audio[example]) for example in range(8)]
        assert changed[6:] == [False, False]  # nobody drew for them
        assert 0 < sum(changed) < 6
        for example in range(6):
            alone = stages.change_mixtures(
                audio[example : example + 1], [generator_for(0, example, "mixture")], RATE_HZ
            )
            assert alone[0].equal(together[example])

    def test_mastered_is_strong_and_more_and_draws_the_same(self):
        strong, mastered = (instantiate(OmegaConf.load(CONF / f"{name}.yaml")) for name in ("strong", "mastered"))
        assert mastered.stem[:4] == strong.stem
        assert mastered.mix[:4] == strong.mix
        for example in range(20):
            plans = [stages.plan_stem(generator_for(0, example, "stem")) for stages in (strong, mastered)]
            drawn = [str(drawn) for one, drawn in plans[1] if one in strong.stem]
            assert drawn == [str(drawn) for _, drawn in plans[0]]

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
