"""What callers hand to the Separator: arrays and tensors, refused in a line where they cannot be meant; progress."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from demixer import AudioParams, Separator, UserError, __version__
from demixer.paths import SRC_DIR
from tests.song_files import noise, share_separator

SHARES = {"vocals": 0.75, "other": 0.25}


def test_a_numpy_array_gives_arrays_and_a_tensor_tensors():
    song = noise(50_000)
    tensors = share_separator(SHARES)(song)
    for given in (song.numpy(), song.numpy().astype(np.float64), song.numpy()[:, ::1]):
        arrays = share_separator(SHARES)(given)
        assert tuple(arrays) == tuple(tensors)
        for target, stem in arrays.items():
            assert isinstance(stem, np.ndarray)
            assert stem.dtype == np.float32
            np.testing.assert_allclose(stem, tensors[target].numpy(), atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_samples_on_a_gpu_are_taken_at_any_rate():
    separator, waveform = share_separator(SHARES), noise(1_000)
    ours, expected = separator(waveform.cuda(), 22_050), separator(waveform, 22_050)
    assert all(torch.equal(ours[name], expected[name]) for name in expected)


def test_samples_are_taken_however_they_lie_in_memory():
    """Of another machine's byte order, mirrored, read-only (a warning of torch's), or with a gradient to come."""
    song = noise(5_000).numpy()
    constant = song[:, ::-1].copy()
    constant.setflags(write=False)
    for given in (song[:, ::-1], constant, constant.astype(">f4"), constant.astype(np.longdouble)):
        stems = share_separator(SHARES)(given)
        np.testing.assert_allclose(stems["vocals"], 0.75 * song[:, ::-1], atol=1e-6)
    share_separator(SHARES)(torch.from_numpy(song).requires_grad_(), 48_000)


def test_nothing_in_nothing_out():
    stems = share_separator(SHARES)(np.zeros((2, 0), np.float32))
    assert {target: stem.shape for target, stem in stems.items()} == {"vocals": (2, 0), "other": (2, 0)}


@pytest.mark.parametrize(
    ("waveform", "message"),
    [
        ([[0.0, 1.0]], "of type list: give a tensor or a numpy array"),
        (np.zeros(100), r"shape \(100,\)\) must be \(C, L\) with C = 1 or 2: a mono waveform is \(1, L\)"),
        (np.zeros((100, 2)), r"shape \(100, 2\)\) .*: channels come first: transpose it"),
        (np.zeros((6, 100)), "mix it down to one or two channels"),
        (torch.zeros(1, 2, 100), "give one song, without a batch"),
        (np.zeros((0, 100)), "give one song"),
        (np.zeros((2, 100), np.int16), "of int16: divide it by 32768 and convert it, to floating-point samples in ±1"),
        (torch.zeros(2, 100, dtype=torch.int32), "divide it by 2147483648"),
        (np.zeros((2, 100), bool), "of bool: scale it and convert it"),
        (np.zeros((2, 100), object), "of object: scale it"),
        (np.full((1, 1), 1e300), "sample 0 of channel 0 is infinite"),
        (np.array([[0.0, 0, 0], [0, np.nan, 0]]), "sample 1 of channel 1 is infinite or not a number"),
        (torch.tensor([[0.0, -torch.inf]]), "sample 1 of channel 0 is infinite"),
    ],
)
def test_a_waveform_that_cannot_be_meant_is_refused(waveform, message):
    with pytest.raises(ValueError, match=message) as refused:
        share_separator(SHARES)(waveform)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("rate_hz", [0, -44100, 44.1, 44100.5, "44100", float("nan"), 3_000_000])
def test_a_rate_that_is_none_is_refused(rate_hz):
    with pytest.raises(ValueError, match=r"`sample_rate_hz` \(=.*\) must be a whole number of Hz from 1000 to 1000000"):
        share_separator(SHARES)(noise(1000), rate_hz)


@pytest.mark.parametrize("rate_hz", [48_000, np.int32(48_000), 48_000.0])
def test_a_rate_of_any_kind_of_number(rate_hz):
    stems = share_separator(SHARES)(noise(4800), rate_hz)
    assert stems["vocals"].shape == (2, 4800)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_progress_grows_to_one(rate_hz):
    shares = []
    share_separator(SHARES)(noise(20 * rate_hz), rate_hz, shares.append)
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert 0 < shares[0] < 0.9
    assert shares[-1] == 1.0


def test_what_progress_raises_ends_the_separation():
    computed = []

    def network(windows):
        computed.append(len(windows))
        return windows.unsqueeze(1)

    def stop(share):
        raise InterruptedError(f"at {share:.2f}")

    separator = Separator(network, ["all"], 1000, AudioParams(1.0, 0.5, batch_size=2))
    with pytest.raises(InterruptedError, match=r"at 0\.0"):
        separator(noise(60_000), progress=stop)
    assert len(computed) == 1


def test_the_package_is_light_until_something_is_asked_for():
    heavy = ("torch", "numpy", "pytorch_lightning", "hydra", "omegaconf", "matplotlib", "gradio")
    code = f"""import sys; sys.path.insert(0, {str(SRC_DIR)!r})
import demixer
print(demixer.__version__, [name for name in {heavy} if name in sys.modules])
demixer.Separator
print([name for name in {heavy[2:]} if name in sys.modules])
try: demixer.Separater
except AttributeError as error: print(error)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        f"{__version__} []",
        "[]",
        "module 'demixer' has no attribute 'Separater'",
    ]


def test_a_users_mistake_has_one_class():
    assert issubclass(UserError, ValueError)
