"""What the networks share: the mixture's complex spectrogram → band features → masks → the targets' spectrograms."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class BandSplitNetwork(nn.Module):
    """Bands become features, a sequence of modules works on them, and they become masks that multiply the mixture.

    Args:
        split: (T, M, F, 2) real → features (K, T, M, N), with M = B · C.
        sequence: modules (K, T, M, N) → the same, which are called with C, too: an item's channels lie side by side.
        mask: (K, T, M, N) → the targets' masks (S, T, M, F, 2), by S ``estimators``.

    Attributes:
        checkpointing: keep each module's input only, and compute what is inside it again for the gradient: the same
            gradients in less memory and with a third more computing.
        compiled: whether :meth:`compile` was called.

    Shapes:
        (B, C, F, T) complex → (B, S, C, F, T) complex, frame-major in memory as the mixture should be.
    """

    def __init__(self, split: nn.Module, sequence: Iterable[nn.Module], mask: nn.Module) -> None:
        super().__init__()
        self.checkpointing = self.compiled = False
        self.split, self.sequence, self.mask = split, nn.ModuleList(sequence), mask

    def forward(self, mixture: Tensor) -> Tensor:
        rows = mixture.permute(3, 0, 1, 2).flatten(1, 2).contiguous()  # (T, M, F)
        mask = self.estimate_mask(torch.view_as_real(rows), mixture.shape[1])
        estimates = torch.view_as_complex(mask) * rows  # (S, T, M, F)
        return estimates.unflatten(2, mixture.shape[:2]).permute(2, 0, 3, 4, 1)

    def forward_real(self, mixture: Tensor) -> Tensor:
        """What :meth:`forward` computes, for runtimes without complex numbers.

        Args:
            mixture: (B, C, T, F, 2), the real and the imaginary part.

        Returns:
            (B, S, C, T, F, 2).
        """
        rows = mixture.permute(2, 0, 1, 3, 4).flatten(1, 2)  # (T, M, F, 2)
        mask = self.estimate_mask(rows, mixture.shape[1])
        real = mask[..., 0] * rows[..., 0] - mask[..., 1] * rows[..., 1]
        imaginary = mask[..., 0] * rows[..., 1] + mask[..., 1] * rows[..., 0]
        estimates = torch.stack([real, imaginary], dim=-1)  # (S, T, M, F, 2)
        return estimates.unflatten(2, mixture.shape[:2]).permute(2, 0, 3, 1, 4, 5)

    def estimate_mask(self, values: Tensor, channels: int) -> Tensor:
        """The real part of the work.

        Args:
            values: (T, M, F, 2), the real and the imaginary part.
            channels: C of an item.

        Returns:
            The masks (S, T, M, F, 2) in single precision.
        """
        with torch.autocast(values.device.type, enabled=False):  # else the song itself would be rounded to bf16
            x = self.split(values)
        return self.mask(self.run_sequence(x, channels)).float()

    def run_sequence(self, x: Tensor, channels: int) -> Tensor:
        """One module after the other on the features (K, T, M, N)."""
        for module in self.sequence:
            x = self.run_module(module, x, channels)
        return x

    def run_module(self, module: nn.Module, *arguments: Any) -> Tensor:
        """A module's output, of which nothing else is kept for the gradient where there is ``checkpointing``."""
        again = self.checkpointing and torch.is_grad_enabled()
        return checkpoint(module, *arguments, use_reentrant=False) if again else module(*arguments)

    def compile(self, **options: Any) -> None:
        """Compile the real-valued parts, one by one: the complex mask and its product stay outside.

        Args:
            options: of ``torch.compile``.
        """
        self.compiled = True
        for module in (self.split, *self.sequence, self.mask):
            module.compile(**options)
