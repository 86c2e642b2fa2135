"""What the augmentations' arguments must be."""


def check_probability(probability: float) -> None:
    """Raise ValueError unless 0 ≤ ``probability`` ≤ 1."""
    if not 0 <= probability <= 1:
        raise ValueError(f"`probability` (={probability}) must be between 0 and 1")


def check_ratios(low: float, high: float, name: str) -> None:
    """Raise ValueError unless 0.25 ≤ ``low`` ≤ ``high`` ≤ 4 (beyond two octaves nothing sounds like music)."""
    if not 0.25 <= low <= high <= 4:
        raise ValueError(f"`min_{name}` (={low}) and `max_{name}` (={high}) must be ordered and between 0.25 and 4")
