"""The models that the page offers, loaded when they are asked for."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from demixer.checkpoints.locating import locate_networks, shipped_models
from demixer.errors import UserError
from demixer.separation.separator import Separator

LOADED = 2  # kept in memory at once


class Models:
    """Models by name; a visitor gives a name, never a path.

    Args:
        paths: names, folders or files, as ``inference.py -c`` takes them; empty: all in ``saved_models/``.
        device: where they compute.

    Raises:
        UserError: there is none, one of them is no model, or two have the same name.
    """

    def __init__(self, paths: Sequence[str] = (), device: str = "auto") -> None:
        chosen = list(paths) or shipped_models()
        if not chosen:
            raise UserError("no model in `saved_models/`: fetch one (download_model.py) or name one (--ckpt-path)")
        self.device = device
        self._paths = {Path(path).name or str(path): str(path) for path in chosen}
        if len(self._paths) < len(chosen):
            raise UserError(f"two models of `--ckpt-path` have the same name: {', '.join(chosen)}")
        for path in chosen:
            locate_networks(Path(path))
        self._loaded: OrderedDict[str, Separator] = OrderedDict()
        self._lock = Lock()

    @property
    def names(self) -> list[str]:
        return list(self._paths)

    def load(self, name: str) -> Separator:
        """The model called ``name``; the ones used last stay loaded.

        Raises:
            UserError: there is none of this name, or it cannot be loaded.
        """
        if name not in self._paths:
            raise UserError(f"no model {name!r} here: choose one of {', '.join(self.names)}")
        with self._lock:
            if name not in self._loaded:
                while len(self._loaded) >= LOADED:
                    self._loaded.popitem(last=False)
                self._loaded[name] = Separator.from_pretrained(self._paths[name], self.device)
            self._loaded.move_to_end(name)
            return self._loaded[name]
