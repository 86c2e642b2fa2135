"""The subsets of a dataset, train and test, as folders."""

from pathlib import Path

from demixer.errors import UserError

SUBSETS = ("train", "test")


def subset_folder(root: Path, subset: str | None) -> Path | None:
    """The folder in ``root`` with a subset's songs; None if it has none of them.

    A root that has neither a folder ``train`` nor ``test`` is wholly of the subset it is named after, otherwise of
    ``train``. For ``subset`` None it is the root itself.

    Raises:
        UserError: there is no such subset.
    """
    if subset is None:
        return root
    if subset not in SUBSETS:
        raise UserError(f"subset `{subset}` is neither `train` nor `test`")
    if any((root / name).is_dir() for name in SUBSETS):
        return root / subset
    own = root.resolve().name
    return root if subset == (own if own in SUBSETS else "train") else None
