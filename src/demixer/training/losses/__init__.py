"""How far a network's estimates are from the truth, to be minimised: one idea a file, chosen in ``conf/loss``."""

from demixer.training.losses.l1 import L1Loss
from demixer.training.losses.multi_resolution import MultiResolutionLoss
from demixer.training.losses.relative_rms import RelativeRMSLoss
from demixer.training.losses.signal_to_noise import L1SNRLoss, SNRLoss
from demixer.training.losses.truncated import TruncatedLoss

__all__ = ["L1Loss", "L1SNRLoss", "MultiResolutionLoss", "RelativeRMSLoss", "SNRLoss", "TruncatedLoss"]
