"""PReLU whose gradient costs no more than its value on a processor."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from demixer.model.modules.normalisation import for_products


class PReLU(nn.PReLU):
    """``nn.PReLU`` with one slope, trained in a sixth of the time on processors, where torch's gradient takes 3 to 5 ns
    a value: as long as the fully connected layer before it.
    """

    def forward(self, x: Tensor) -> Tensor:
        plain = x.device.type != "cpu" or not torch.is_grad_enabled() or torch.compiler.is_compiling()
        return super().forward(x) if plain else _OneSlope.apply(for_products(x), self.weight)


class _OneSlope(torch.autograd.Function):
    """max(x, 0) + slope · min(x, 0), the slope rounded to the format of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return F.prelu(x, slope.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, slope = ctx.saved_tensors
        of_x = torch.ops.aten.leaky_relu_backward(gradient, x, slope.to(x.dtype).item(), self_is_result=False)
        of_slope = (gradient * x.clamp_max(0)).sum(dtype=slope.dtype)
        return of_x, of_slope.reshape(slope.shape)
