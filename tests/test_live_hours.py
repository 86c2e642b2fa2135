"""What time does to a live stream: nothing. Memory stays, no state drifts, and silence is forgotten."""

import gc
import io

import torch
from live_stand_in import RATE_HZ, mix_of, stats_of, write_tiny_live_model
from test_live import RATE_HZ as LOW_RATE_HZ
from test_live import music, network, separator

from demixer import Separator
from demixer.live.pcm import PcmReader, PcmWriter
from demixer.live.pipes import play_all

HOP = 2048
HOURS_HOP = 512
LARGE = {"n_fft": 1024, "hop_samples": HOURS_HOP, "synthesis_samples": 1024}


class Repeated(io.RawIOBase):
    """The same second again and again, as a pipe gives it."""

    def __init__(self, second: bytes, times: int) -> None:
        self.second, self.left, self.place = second, len(second) * times, 0

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left)
        twice = self.second[self.place :] + self.second
        self.place, self.left = (self.place + size) % len(self.second), self.left - size
        return twice[:size]


class Counted(io.RawIOBase):
    """Counts the bytes and keeps the last."""

    def __init__(self) -> None:
        self.bytes, self.last = 0, b""

    def write(self, content: bytes) -> int:
        self.bytes, self.last = self.bytes + len(content), content
        return len(content)


def test_a_minute_through_a_pipe_holds_nothing_and_loses_nothing(tmp_path):
    model = Separator.from_pretrained(write_tiny_live_model(tmp_path / "model", HOP), "cpu", "fp32")
    second = 0.5 * torch.randn(RATE_HZ, 2, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    source, sink, held = Repeated(second.numpy().tobytes(), 60), Counted(), []
    mix = mix_of(separator=model, mute=["vocals"])
    stats = stats_of(mix, HOP)

    def weigh() -> None:
        if stats.blocks % 250 == 50:
            gc.collect()
            sizes = [each.untyped_storage().nbytes() for each in gc.get_objects() if type(each) is torch.Tensor]
            held.append((len(sizes), sum(sizes)))

    play_all(mix, HOP, PcmReader(source, "f32le", 2).blocks(HOP), PcmWriter(sink, "f32le").write, stats, weigh)
    assert stats.samples_in == stats.samples_out == sink.bytes // 8 == 60 * RATE_HZ
    assert len(held) == 5
    assert len({*held}) == 1
    assert torch.frombuffer(bytearray(sink.last), dtype=torch.float32).isfinite().all()


def minutes_of_a_loop(live, loop: torch.Tensor, minutes: int) -> list[torch.Tensor]:
    """What comes out of the last turn of each minute."""
    turns = 60 * LOW_RATE_HZ // loop.shape[1]
    lasts = []
    for _ in range(minutes):
        live.process(loop.repeat(1, turns - 1))
        lasts.append(live.process(loop))
    return lasts


def test_nothing_drifts_in_ten_minutes():
    """A loop that begins anew every second with a frame: its tenth minute is its first."""
    for settings in ({"tac": {}}, {"rnn": "gru", "norm": "frame", "repeats": 1}):
        live = separator(network(LARGE, **settings)).live()
        loop = music(12, seed=1)[:, 6 * LOW_RATE_HZ :][:, : LOW_RATE_HZ // HOURS_HOP * HOURS_HOP]
        first, *_, tenth = minutes_of_a_loop(live, loop, 10)
        assert first.std() > 0.05 * loop.std()
        torch.testing.assert_close(tenth, first, atol=1e-5 * float(first.abs().max()), rtol=0)


def test_after_a_minute_of_silence_no_stream_knows_what_was_before():
    made = network(LARGE, tac={})
    silence, after, states, stems = torch.zeros(2, 60 * LOW_RATE_HZ), music(2), [], []
    for before in (music(5, seed=3), 0.01 * music(5, seed=4), torch.zeros(2, 5 * LOW_RATE_HZ)):
        live = separator(made).live()
        live.process(before)
        live.process(silence)
        states.append(dict(live.state))
        stems.append(live.process(after))
    for state, stem in zip(states[1:], stems[1:], strict=True):
        torch.testing.assert_close(state, states[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(stem, stems[0], atol=1e-5, rtol=0)
    assert stems[0].std() > 0.05 * after.std()
