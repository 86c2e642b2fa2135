"""Numbers, written as people read them."""


def clock(seconds: float) -> str:
    """Write a time as players do.

    >>> clock(0), clock(61.9), clock(3600)
    ('0:00', '1:01', '60:00')
    """
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def hertz(value_hz: float, _position: int = 0) -> str:
    """Write a frequency the short way; matplotlib also gives a position.

    >>> hertz(500), hertz(16_000), hertz(22_050)
    ('500', '16k', '22.05k')
    """
    return f"{value_hz / 1000:.4g}k" if value_hz >= 1000 else f"{value_hz:.4g}"
