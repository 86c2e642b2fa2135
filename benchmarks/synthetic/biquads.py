"""Second-order sections of a mixing desk (Bristow-Johnson, "Cookbook formulae for audio EQ biquad coefficients").

Each is ``(b0, b1, b2, 1, a1, a2)``, as ``scipy.signal.sosfilt`` takes them.
"""

import math

Section = tuple[float, ...]


def bell(centre_hz: float, gain_db: float, octaves: float, rate_hz: int) -> Section:
    """Raise or lower a band; ``octaves`` between the points of half the gain."""
    omega, amplitude = 2 * math.pi * centre_hz / rate_hz, 10 ** (gain_db / 40)
    alpha = math.sin(omega) * math.sinh(math.log(2) / 2 * octaves * omega / math.sin(omega))
    middle = -2 * math.cos(omega)
    numerator = 1 + alpha * amplitude, middle, 1 - alpha * amplitude
    return _normal(numerator, (1 + alpha / amplitude, middle, 1 - alpha / amplitude))


def high_shelf(middle_hz: float, gain_db: float, slope: float, rate_hz: int) -> Section:
    """Raise or lower what is above; half the gain at ``middle_hz``; a ``slope`` of 1 is the steepest without a bump."""
    omega, amplitude = 2 * math.pi * middle_hz / rate_hz, 10 ** (gain_db / 40)
    cosine = math.cos(omega)
    alpha = math.sin(omega) / 2 * math.sqrt((amplitude + 1 / amplitude) * (1 / slope - 1) + 2)
    edge = 2 * math.sqrt(amplitude) * alpha
    more, less = amplitude + 1, amplitude - 1
    numerator = (
        amplitude * (more + less * cosine + edge),
        -2 * amplitude * (less + more * cosine),
        amplitude * (more + less * cosine - edge),
    )
    return _normal(numerator, (more - less * cosine + edge, 2 * (less - more * cosine), more - less * cosine - edge))


def _normal(numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Section:
    return tuple(value / denominator[0] for value in (*numerator, *denominator))
