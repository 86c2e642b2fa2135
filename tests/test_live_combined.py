"""Live models among others: in averages and chains they are heard as they are alone, in their own time."""

import torch
from live_stand_in import write_tiny_live_model

from demixer import AveragedSeparator, ChainedSeparator, Separator
from demixer.separation.combining import Combination
from tests.song_files import music, share_separator, write_tiny_model

SAMPLES = 70_001


def test_in_an_average_a_live_model_is_in_time_with_one_of_windows(tmp_path):
    live, windows = write_tiny_live_model(tmp_path / "live"), write_tiny_model(tmp_path / "windows")
    one, other = (Separator.from_pretrained(each, "cpu", "fp32") for each in (live, windows))
    song, averaged = music(SAMPLES), AveragedSeparator([one, other], [3, 1])
    alone, both = (one(song), other(song)), averaged(song)
    for target, stem in both.items():
        torch.testing.assert_close(stem, 0.75 * alone[0][target] + 0.25 * alone[1][target], atol=1e-6, rtol=0)
    assert max(stem.std() for stem in both.values()) > 0.01 * song.std()
    in_blocks = torch.cat(list(averaged.stream(song.split(3_000, dim=-1))), dim=-1)
    torch.testing.assert_close(in_blocks, torch.stack(list(both.values())), atol=1e-5, rtol=0)
    by_name = Combination([str(live), str(windows)], weights=[3, 1]).load("cpu", "fp32")(song)
    torch.testing.assert_close(by_name["bass"], both["bass"], atol=1e-5, rtol=0)


def test_in_a_chain_a_live_model_stands_first_or_last(tmp_path):
    live = Separator.from_pretrained(write_tiny_live_model(tmp_path / "live"), "cpu", "fp32")
    shares, song = share_separator({"kick": 0.5, "snare": 0.25}), music(SAMPLES)
    alone, first = live(song), ChainedSeparator(live, "drums", shares)(song)
    torch.testing.assert_close(first["drums_kick"], 0.5 * alone["drums"], atol=1e-6, rtol=0)
    torch.testing.assert_close(first["bass"], alone["bass"], atol=1e-6, rtol=0)
    last = ChainedSeparator(shares, "kick", live)(song)
    torch.testing.assert_close(last["kick_bass"], live(0.5 * song)["bass"], atol=1e-6, rtol=0)
    assert alone["drums"].std() > 0.01 * song.std()
