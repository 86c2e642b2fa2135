"""A model's weights: files of tensors, from which nothing runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from demixer.checkpoints.torch_file import load_safely
from demixer.errors import UserError, one_line, told
from demixer.temporary import atomic_path


def read_content(file: Path) -> dict[str, Any]:
    """Read what a weights file holds, as it is: a ``.safetensors`` file's tensors, or a pickle's plain content.

    Raises:
        UserError: the file is damaged, holds more than plain data and tensors, or is no mapping.
    """
    if file.suffix != ".safetensors":
        content = load_safely(file)
    else:
        try:
            content = load_file(file)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"cannot read the weights `{file}`, copy or download them again: {one_line(error)[:300]}"
            ) from error
    if not isinstance(content, dict):
        raise UserError(f"cannot read the weights `{file}`: it holds a {type(content).__name__}, no state dict")
    return content


def write_weights(file: Path, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> None:
    """Write weights as ``.safetensors`` (half precision by default)."""
    with told(f"cannot write `{file}`"), atomic_path(file) as temporary:
        # save_file would leave the file readable by its owner alone
        temporary.write_bytes(save({key: value.detach().to(dtype).contiguous() for key, value in weights.items()}))
