"""Live separation through a sound card: what is handed to PortAudio, what it tells, and what becomes of its faults."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch

from demixer import Separator
from demixer.errors import UserError
from demixer.live import soundcard
from demixer.live.soundcard import Card
from tests.live_runs import child, late, run
from tests.live_stand_in import HOP, RATE_HZ, guard_of, mix_of
from tests.song_files import noise


class Devices:
    """In place of the module ``sounddevice``: what the test hears is handed to the callback, as PortAudio does."""

    class PortAudioError(Exception):
        pass

    class CallbackAbort(Exception):  # noqa: N818
        pass

    def __init__(self, mixture=None, refuses=None, backlog=None):
        self.mixture, self.refuses, self.backlog = mixture, refuses, backlog
        self.played, self.xruns_at = [], ()

    def Stream(self, **settings):  # noqa: N802
        self.settings = settings
        if self.refuses:
            raise self.refuses
        return self

    def start(self):
        block = self.settings["blocksize"]
        of_devices = SimpleNamespace(inputBufferAdcTime=10.0, outputBufferDacTime=10.0 + block / RATE_HZ + 0.008)
        for number, part in enumerate(self.mixture.split(block, dim=-1)):
            kinds = dict.fromkeys(soundcard.XRUNS, False)
            if number in self.xruns_at:
                kinds["output_underflow"] = True
            out = torch.zeros(block, self.settings["channels"][1]).numpy()
            try:
                self.settings["callback"](part.T.numpy(), out, block, of_devices, SimpleNamespace(**kinds))
            except self.CallbackAbort:
                break
            self.played.append(torch.from_numpy(out.T))
            self.backlog.work()
        else:
            if self.refuses is None and self.backlog is not None and self.settings["device"][0] == "mute":
                return  # it calls no more, and does not tell
        self.settings["finished_callback"]()

    def close(self):
        self.closed = True


def test_a_sound_card_is_played_through_until_it_stops(monkeypatch):
    mixture = noise(50 * HOP)
    guard, backlog, stats = guard_of(mix_of(two_stems="vocals"))
    devices = Devices(mixture, backlog=backlog)
    devices.xruns_at = (3, 30)
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    with pytest.raises(UserError, match=r"the sound devices \(in mic, out 3\) have stopped: is one unplugged\?"):
        Card("mic", 3).play(guard, stats)
    played = torch.cat(devices.played, dim=-1)
    assert (played[:2] - late(-0.5 * mixture, guard.latency_samples)).abs().max() < 1e-6
    assert (played[2:] - late(1.5 * mixture, guard.latency_samples)).abs().max() < 1e-6
    assert (stats.xruns, stats.late_blocks, stats.samples_in, stats.samples_out) == (2, 0, 50 * HOP, 50 * HOP)
    assert stats.passages.quantile(0.5) == pytest.approx(0.008, rel=0.011)
    settings = {name: devices.settings[name] for name in ("samplerate", "blocksize", "device", "channels", "dtype")}
    assert [*settings.values()] == [RATE_HZ, HOP, ("mic", 3), (2, 4), "float32"]
    assert devices.closed


def test_what_a_device_gives_that_is_no_sound_is_silence_and_counted(monkeypatch):
    mixture = noise(20 * HOP)
    spoilt, heard_of_it = mixture.clone(), mixture.clone()
    for channel, sample, value in ((0, 700, float("nan")), (1, 701, float("-inf")), (1, 4_000, 1e30)):
        spoilt[channel, sample], heard_of_it[channel, sample] = value, 0.0
    guard, backlog, stats = guard_of(mix_of(targets=["vocals"]))
    devices = Devices(spoilt, backlog=backlog)
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    with pytest.raises(UserError, match="have stopped"):
        Card().play(guard, stats)
    played = torch.cat(devices.played, dim=-1)
    assert torch.equal(played, late(-0.5 * heard_of_it, guard.latency_samples))
    assert (stats.xruns, stats.late_blocks) == (2, 0)


def test_a_card_is_as_late_as_is_told(monkeypatch, live_model):
    """All as loud as it is is the mixture: so what is played is the mixture, as late as all of it is."""
    separator, mixture, hops = Separator.from_pretrained(live_model, "cpu", "fp32"), noise(40 * HOP), []

    def wait():  # for the network, in a thread of its own: so it is never late
        hops.append(None)
        while len(hops) - 1 not in backlog()._done:
            time.sleep(1e-4)

    devices = Devices(mixture, backlog=SimpleNamespace(work=wait))

    def backlog():
        return devices.settings["callback"]._guard._backlog

    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    _, errors, code = run(monkeypatch, b"", "--gain", "rest=0", "--in", "0", "--stats", separator=separator)
    assert code == 2  # the devices have stopped
    fade = 128
    lag = 2 * HOP - HOP + HOP + fade  # the synthesis window less the hop that blocks are, a block's time, and the fade
    assert torch.equal(torch.cat(devices.played, dim=-1), late(mixture, lag))
    whole = HOP - 1 + lag  # a block's first sample waits for its last
    assert whole == (2 * HOP - 1) + (HOP + fade)
    algorithmic_ms, block_ms = (1000 * samples / RATE_HZ for samples in (2 * HOP - 1, HOP + fade))
    assert f"latency   {algorithmic_ms:.1f} ms algorithmic + {block_ms:.1f} ms of blocks, " in errors
    assert f"measured {1000 * whole / RATE_HZ + 8:.1f} ms" in errors  # and the devices' own 8 ms


def test_a_device_that_falls_silent_without_a_word_is_taken_for_gone(monkeypatch):
    guard, backlog, stats = guard_of(mix_of())
    devices, told = Devices(noise(5 * HOP), backlog=backlog), []
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    monkeypatch.setattr(soundcard, "TOLD_SECONDS", 0.01)
    monkeypatch.setattr(soundcard, "QUIET_SECONDS", 0.03)
    with pytest.raises(UserError, match=r"the sound devices \(in mute, out default\) have stopped"):
        Card("mute").play(guard, stats, lambda: told.append(stats.blocks))
    assert told == [5, 5, 5, 5]


def test_what_the_network_raises_ends_the_card_with_it(monkeypatch):
    guard, backlog, stats = guard_of(mix_of())
    backlog.put = lambda *_: (_ for _ in ()).throw(RuntimeError("a fault of ours"))
    devices = Devices(noise(5 * HOP), backlog=backlog)
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        Card().play(guard, stats)
    assert devices.closed


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (ValueError("No input device matching 'kazoo'"), "No input device matching 'kazoo'"),
        (Devices.PortAudioError("Invalid sample rate"), "Invalid sample rate"),
    ],
)
def test_devices_that_cannot_be_opened(monkeypatch, refusal, told):
    guard, _, stats = guard_of(mix_of())
    monkeypatch.setattr(soundcard, "portaudio", lambda: Devices(refuses=refusal))
    line = rf"the sound devices \(in kazoo, out default\): {told} \(see --list-devices\)"
    with pytest.raises(UserError, match=line):
        Card("kazoo").play(guard, stats)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "a sound card needs sounddevice: pip install 'music-demixer[live]'"),
        ("raise OSError('PortAudio library not found')", "needs PortAudio: apt install libportaudio2"),
        ("class PortAudioError(Exception): pass\nraise PortAudioError('no host')", "PortAudio does not start: no host"),
    ],
    ids=["no package", "no library", "no host"],
)
def test_without_portaudio_a_line_says_what_to_install(tmp_path, monkeypatch, content, told):
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    if content is None:
        monkeypatch.setitem(sys.modules, "sounddevice", None)
    else:
        (tmp_path / "sounddevice.py").write_text(content)
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as ended:
        soundcard.devices()
    assert told in str(ended.value)


@pytest.mark.parametrize(
    ("typed", "devices"), [((None, None), None), (("3", "USB 2"), Card(3, "USB 2")), ((None, "0"), Card(None, 0))]
)
def test_devices_are_named_by_number_or_name(typed, devices):
    assert Card.named(*typed) == devices


def test_ctrl_c_is_how_a_sound_card_ends_and_other_signals_are_told(monkeypatch):
    for arguments, code in (((), 0), ((signal.SIGTERM,), 143)):

        def play(*_, arguments=arguments):
            raise KeyboardInterrupt(*arguments)

        monkeypatch.setattr(Card, "play", play)
        assert run(monkeypatch, b"", "-t", "vocals", "--in", "0")[2] == code


NULL_DEVICE = "pcm.!default { type null }\nctl.!default { type null }\n"


def test_a_stream_of_portaudio_itself(live_model, tmp_path):
    """Through ALSA's null device, which keeps no time: blocks come as fast as they are taken."""
    (tmp_path / ".asoundrc").write_text(NULL_DEVICE)
    environment = {**os.environ, "HOME": str(tmp_path)}
    listing = [sys.executable, "-c", "import sounddevice; print(sounddevice.query_devices())"]
    listed = subprocess.run(listing, env=environment, capture_output=True, text=True)
    if "default, ALSA" not in listed.stdout:
        pytest.skip(f"needs sounddevice, PortAudio and ALSA: {listed.stderr or listed.stdout}")
    process = child(live_model, "--mute", "vocals", "--in", "default", "--out", "default", "--stats", env=environment)
    with process:
        assert process.stderr.readline() == b"note: playing (in default, out default): Ctrl-C ends it\n"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read().decode()
    assert process.returncode == 0, told
    assert "xruns" in told
    (line,) = (line for line in told.splitlines() if line.startswith("samples"))
    _, samples_in, _, samples_out, *_ = line.split()
    assert int(samples_in) == int(samples_out) > 100 * HOP
