"""Scaled dot-product attention: torch's own, or on a processor in products that are faster there."""

import torch
import torch.nn.functional as F
from torch import Tensor

from demixer.model.modules.products import by_onednn, in_onednn

LONG = 200  # positions from which on each head's products are large enough to be computed one by one
BLOCK = 400  # queries at once: their scores stay in the processor's cache


def dot_product_attention(queries: Tensor, keys: Tensor, values: Tensor, scale: float, dropout: float = 0.0) -> Tensor:
    """softmax(scale · Q Kᵀ) V of each head.

    Args:
        queries: (A, L, heads, width) in single precision, or in the number format of ``values``.
        keys: of the same shape and format.
        values: (A, L, heads, width of the values) in the number format of products.
        scale: of the scores.
        dropout: probability of a weight.

    Returns:
        Of the shape and number format of ``values``.
    """
    long = queries.shape[1] >= LONG
    if dropout or not _by_hand(queries, values) or (not long and values.dtype == torch.float32):
        parts = (part.to(values.dtype).transpose(1, 2) for part in (queries, keys, values))
        return F.scaled_dot_product_attention(*parts, dropout_p=dropout, scale=scale).transpose(1, 2)
    queries, keys = (queries * scale).transpose(1, 2).contiguous(), keys.transpose(1, 2).contiguous()
    return _of_each_head(queries, keys, values) if long else _of_all_heads(queries, keys, values)


def _by_hand(queries: Tensor, values: Tensor) -> bool:
    """Whether products by oneDNN are faster than torch's own attention, which computes small blocks of them.

    Not with bf16 in tiles (Intel's AMX): for that torch has products of its own.
    """
    with torch.autocast("cpu", enabled=False):
        able = by_onednn(queries, queries) and by_onednn(values, values) and queries.dtype == torch.float32
    return able and (values.dtype == torch.float32 or not torch.cpu._is_amx_tile_supported())


def _of_each_head(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Head by head, block of queries by block: (A, heads, L, width), and the values as they come."""
    attended, columns = torch.empty_like(values), values.permute(0, 2, 3, 1).contiguous()
    for item in range(len(queries)):
        for head in range(queries.shape[1]):
            blocks = zip(queries[item, head].split(BLOCK), attended[item, :, head].split(BLOCK), strict=True)
            for block, out in blocks:
                weights = in_onednn(block, keys[item, head]).softmax(-1)
                out.copy_(in_onednn(weights.to(values.dtype), columns[item, head]))
    return attended


def _of_all_heads(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """All heads in one product: (A, heads, L, width), and the values as they come; scores in single precision."""
    with torch.autocast("cpu", enabled=False):
        weights = torch.matmul(queries, keys.mT).softmax(-1)
        return torch.matmul(weights.to(values.dtype), values.transpose(1, 2).contiguous()).transpose(1, 2)
