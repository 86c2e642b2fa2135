"""The Muon optimiser for the hidden layers' matrices, with AdamW for all other parameters."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

from demixer.separation.devices import choose_precision

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the polynomial's coefficients, as published: steep at 0, near 1 from 0.3 on
ADAMW_RMS = 0.2  # what a step of AdamW usually measures, over its learning rate


class Muon(Optimizer):
    """Steps with orthogonal matrices (Jordan 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, 2502.16982).

    The momentum of a hidden layer's matrix is replaced by the nearest matrix whose singular values are all about 1,
    so that rare directions are learnt as fast as common ones. It is scaled to the size that AdamW's steps have, so
    that both share one learning rate. Each gate of a recurrent layer and each band of a banded layer is a matrix of
    its own. The first layer (the band split), the last (the masks' outputs), gains and offsets are AdamW's.

    Args:
        named_parameters: of the network.
        lr: learning rate of both.
        momentum: of Muon (Nesterov's).
        betas: of AdamW.
        weight_decay: decoupled, of Muon's matrices.
        eps: of AdamW.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        lr: float = 2e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 1e-2,
        eps: float = 1e-8,
    ) -> None:
        named = dict(named_parameters)
        matrices = {name: p for name, p in named.items() if _is_hidden_matrix(name, p)}
        groups = [
            {"params": list(matrices.items()), "orthogonal": True},
            {"params": [(name, p) for name, p in named.items() if name not in matrices], "orthogonal": False},
        ]
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay, "eps": eps}
        super().__init__(groups, defaults)
        recurrent = {name: named[name.replace("weight_ih", "weight_hh")] for name in matrices if "weight_" in name}
        self._gates = {named[name]: len(hidden) // hidden.shape[1] for name, hidden in recurrent.items()}

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._muon if group["orthogonal"] else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update(parameter, **{key: value for key, value in group.items() if key in self.defaults})
        return loss

    def _muon(self, matrix: Tensor, lr: float, momentum: float, weight_decay: float, **_: object) -> None:
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        state["momentum"].lerp_(matrix.grad, 1 - momentum)
        direction = matrix.grad.lerp(state["momentum"], momentum)
        step = orthogonalise(direction.unflatten(0, (self._gates.get(matrix, 1), -1)))
        step *= ADAMW_RMS * max(step.shape[-2:]) ** 0.5  # an orthogonal matrix's entries measure 1 / √(longer side)
        matrix.mul_(1 - lr * weight_decay).sub_(step.view_as(matrix), alpha=lr)

    def _adamw(self, parameter: Tensor, lr: float, betas: tuple[float, float], eps: float, **_: object) -> None:
        state = self.state[parameter]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), power=torch.zeros_like(parameter))
        state["step"] += 1
        mean = state["mean"].lerp_(parameter.grad, 1 - betas[0]) / (1 - betas[0] ** state["step"])
        power = state["power"].lerp_(parameter.grad.square(), 1 - betas[1]) / (1 - betas[1] ** state["step"])
        parameter.sub_(mean / (power.sqrt() + eps), alpha=lr)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """The nearest orthogonal matrix to each of (…, rows, columns), by an iteration that needs products only.

    Singular values end between 0.7 and 1.2, which is near enough for a step, unless they were below a thousandth of
    the matrix's norm. It iterates in bf16 where that is native: rounding is small beside that range.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    x = x.to(choose_precision("auto", x.device))
    a, b, c = NEWTON_SCHULZ
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


def _is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    *modules, kind = name.split(".")
    return kind.startswith("weight") and parameter.ndim >= 2 and not {"split", "outputs"} & set(modules)
