"""Numbers and counts as people read them: in the log, in the report and on the screen."""

import math
from typing import Any

NAMES = {"si_sdr_db": "SI-SDR", "log_wmse": "log-WMSE", "silence_db": "at silence"}


def counted(row: dict[str, float], songs: int) -> str:
    """Says how many songs a summary's row rests on."""
    if "songs_usdr" not in row:
        return ""
    if row["songs_usdr"] == row["songs_csdr"] == songs:
        return f" | {songs} songs"
    return f" | uSDR of {row['songs_usdr']}, cSDR of {row['songs_csdr']} of {songs} songs"


def decibels(value: float | None, sign: bool = False, digits: int = 2) -> str:
    """A number as people read it: two decimals, no sign where they are zero, a dash where there is none.

    >>> decibels(3.14159), decibels(-0.5, sign=True), decibels(-0.001, sign=True), decibels(math.nan)
    ('3.14', '−0.50', '0.00', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    plus = "+" if sign and round(value, digits) else ""
    return f"{value:{plus}z.{digits}f}".replace("inf", "∞").replace("-", "−")


def heading(metric: str) -> str:
    """A further metric's column as people read it.

    >>> heading("museval_sdr_db"), heading("si_sdr_db")
    ('museval SDR', 'SI-SDR')
    """
    if metric in NAMES:
        return NAMES[metric]
    *source, name = metric.removesuffix("_db").split("_")
    return " ".join([*source, name.upper()])


def plain(value: Any) -> str:
    """A value of ``about`` as text: a table's entries in one line."""
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
