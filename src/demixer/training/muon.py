"""The Muon optimiser for the hidden layers' matrices, with AdamW for all other parameters."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.optim import Optimizer

from demixer.separation.devices import choose_precision

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # the polynomial's coefficients, as published: steep at 0, near 1 from 0.3 on
ADAMW_RMS = 0.2  # what a step of AdamW usually measures, over its learning rate
MOST_ENTRIES = 2**20  # of the matrices that are made orthogonal at once, more is slower on processors


class Muon(Optimizer):
    """Steps with orthogonal matrices (Jordan 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, 2502.16982).

    The momentum of a hidden layer's matrix is replaced by the nearest matrix whose singular values are all about 1,
    so that rare directions are learnt as fast as common ones. It is scaled to the size that AdamW's steps have, so
    that both share one learning rate. Each gate of a recurrent layer, the queries, keys and values of an attention,
    and each band of a banded layer are matrices of their own. The first layer (the band split), the last (the masks'
    outputs), gains and offsets are AdamW's.

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
        self._parts = {named[name]: len(hidden) // hidden.shape[1] for name, hidden in recurrent.items()}
        self._parts |= {matrix: 3 for name, matrix in matrices.items() if name.endswith(".qkv.weight")}

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            update = self._muon if group["orthogonal"] else self._adamw
            if parameters:
                update(parameters, **{key: value for key, value in group.items() if key in self.defaults})
        return loss

    def _muon(self, matrices: list[Tensor], lr: float, momentum: float, weight_decay: float, **_: object) -> None:
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
        gradients = [matrix.grad for matrix in matrices]
        momenta = [self.state[matrix]["momentum"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - momentum)
        directions = torch._foreach_lerp(gradients, momenta, momentum)
        steps = self._orthogonal(matrices, directions)
        torch._foreach_mul_(matrices, 1 - lr * weight_decay)
        torch._foreach_add_(matrices, steps, alpha=-lr)

    def _orthogonal(self, matrices: list[Tensor], directions: list[Tensor]) -> list[Tensor]:
        """The directions with orthogonal matrices, those of one shape in one product after another."""
        single = [
            direction.unflatten(0, (self._parts.get(matrix, 1), -1)).flatten(0, -3)
            for matrix, direction in zip(matrices, directions, strict=True)
        ]
        places: dict[torch.Size, list[int]] = {}
        for place, each in enumerate(single):
            places.setdefault(each.shape[1:], []).append(place)
        for shape, group in places.items():
            scale = ADAMW_RMS * max(shape) ** 0.5  # an orthogonal matrix's entries measure 1 / √(longer side)
            for some in _bounded(group, [single[place] for place in group]):
                steps = scale * orthogonalise(torch.cat([single[place] for place in some]))
                parts = steps.split([len(single[place]) for place in some])
                for place, part in zip(some, parts, strict=True):
                    single[place] = part
        return [part.view_as(matrix) for part, matrix in zip(single, matrices, strict=True)]

    def _adamw(self, parameters: list[Tensor], lr: float, betas: tuple[float, float], eps: float, **_: object) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                empty = {"mean": torch.zeros_like(parameter), "power": torch.zeros_like(parameter)}
                self.state[parameter].update(step=0, **empty)
            self.state[parameter]["step"] += 1
        states = [self.state[parameter] for parameter in parameters]
        gradients = [parameter.grad for parameter in parameters]
        means, powers = [state["mean"] for state in states], [state["power"] for state in states]
        torch._foreach_lerp_(means, gradients, 1 - betas[0])
        torch._foreach_lerp_(powers, torch._foreach_mul(gradients, gradients), 1 - betas[1])
        roots = torch._foreach_div(powers, [1 - betas[1] ** state["step"] for state in states])
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, eps)
        steps = torch._foreach_div(means, [1 - betas[0] ** state["step"] for state in states])
        torch._foreach_div_(steps, roots)
        torch._foreach_add_(parameters, steps, alpha=-lr)


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


def _bounded(places: list[int], matrices: list[Tensor]) -> Iterator[list[int]]:
    """The places in batches of at most ``MOST_ENTRIES``, beyond which a processor's cache holds no product."""
    batch, entries = [], 0
    for place, matrix in zip(places, matrices, strict=True):
        if batch and entries + matrix.numel() > MOST_ENTRIES:
            yield batch
            batch, entries = [], 0
        batch.append(place)
        entries += matrix.numel()
    yield batch


def _is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    *modules, kind = name.split(".")
    return kind.startswith("weight") and parameter.ndim >= 2 and not {"split", "outputs"} & set(modules)
