"""The weights of Music-Source-Separation-Training's RoFormers in ours, once their shapes are known to be right.

A band's values lie (bins, channels, real|imaginary) there as here. The pairs that the rotary embedding turns are
neighbours there and halves here: the queries' and keys' rows are put into another order once.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.model.layouts.msst.keys import is_frequencies, transformer_keys
from demixer.model.layouts.msst.sizes import Sizes
from demixer.model.layouts.translate import State, by_group
from demixer.model.modules.bands import BandTable
from demixer.model.modules.polar import polar_frequencies
from demixer.model.modules.rotary import rotary_frequencies


def translated(state: State, sizes: Sizes, table: BandTable) -> Iterator[tuple[str, Tensor]]:
    """Their weights by our keys.

    Raises:
        UserError: a position embedding has frequencies of its own.
    """
    width, polar = sizes.attention["head_width"], sizes.attention["positions"] == "pope"
    usual = polar_frequencies(width) if polar else rotary_frequencies(width)
    for key, value in state.items():
        if is_frequencies(key) and not _alike(value, usual):
            raise UserError(f"the weights have frequencies of positions of their own (`{key}`), which is not supported")
    for theirs, ours, _ in transformer_keys(sizes):
        yield ours, _ours(theirs, state[theirs], width, rotary=not polar)
    yield from _split(state, table)
    yield from _masks(state, sizes, table)


def _alike(frequencies: Tensor, usual: Tensor) -> bool:
    known = frequencies.is_floating_point() and frequencies.shape == usual.shape
    return known and bool((frequencies - usual).abs().max() < 1e-2)


def _ours(key: str, value: Tensor, width: int, rotary: bool) -> Tensor:
    """What some tensors hold in another form than here."""
    if key.endswith("connection.norm.gamma"):  # the gain less 1
        return value + 1
    if key.endswith("connection.dynamic_alpha_fn"):  # of a single proposal
        return value.squeeze(0)
    if key.endswith("connection.dynamic_beta_fn"):
        return value.unsqueeze(1) if value.ndim == 1 else value
    return _halves(value, width) if rotary and key.endswith((".to_qkv.weight", ".to_qkv.bias")) else value


def _halves(rows: Tensor, width: int) -> Tensor:
    """(3 · heads · width, …): pairs (0, 1), (2, 3) … of queries and keys become (0, width / 2), (1, width / 2 + 1) …"""
    queries_and_keys, values = rows.split([len(rows) // 3 * 2, len(rows) // 3])
    pairs = queries_and_keys.unflatten(0, (-1, width // 2, 2))
    return torch.cat([pairs.transpose(1, 2).flatten(0, 2), values])


def _split(state: State, table: BandTable) -> Iterator[tuple[str, Tensor]]:
    for ours, theirs in (("norm_weight", "0.gamma"), ("linear.weight", "1.weight"), ("linear.bias", "1.bias")):
        stacks = by_group(table, [state[f"band_split.to_features.{k}.{theirs}"] for k in range(len(table.widths))])
        yield from ((f"split.projections.{g}.{ours}", stacked) for g, stacked in stacks)


def _masks(state: State, sizes: Sizes, table: BandTable) -> Iterator[tuple[str, Tensor]]:
    for s in range(sizes.stems):
        for kind in ("weight", "bias"):
            layers = [
                [state[f"mask_estimators.{s}.to_freqs.{k}.0.{2 * i}.{kind}"] for k in range(len(table.widths))]
                for i in range(sizes.mask_layers + 1)
            ]
            target = f"mask.estimators.{s}"
            for i, per_band in enumerate(layers[:-1]):
                yield f"{target}.{f'hidden.{i - 1}' if i else 'first'}.{kind}", torch.stack(per_band)
            yield from ((f"{target}.outputs.{g}.{kind}", stacked) for g, stacked in by_group(table, layers[-1]))
