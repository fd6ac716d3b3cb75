"""Numbers in words: how the report writes shares, points, intervals and lists.

>>> percent(0.0612)
'6.1 %'
>>> points(-0.0004)
'0.0'
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from unravelnet.wording import percent, superscript

_MINUS = "\u2212"
# Shares below it, and the ends of their intervals, have more digits than points have.
_FINE = 0.0095


def points(difference: float, *, signed: bool = True, digits: int = 1) -> str:
    """Write a difference of two shares in percentage points, without the unit.

    >>> points(0.112), points(-0.0012), points(0.112, signed=False), points(-0.0014, digits=2)
    ('+11.2', '−0.1', '11.2', '−0.14')
    """
    text = f"{100 * difference:.{digits}f}"
    if float(text) == 0:
        return text.removeprefix("-")
    sign = "+" if signed and difference > 0 else ""
    return f"{sign}{text}".replace("-", _MINUS)


def fine_percent(share: float) -> str:
    """Write an error rate in percent with two decimals, as tables of trained networks do.

    >>> fine_percent(0.0596)
    '5.96 %'
    """
    return f"{100 * share:.2f} %"


def threshold(difference: float) -> str:
    """Write a threshold in percentage points, with its unit.

    >>> threshold(0.05), threshold(0.01)
    ('5 points', '1 point')
    """
    return f"{100 * difference:g} point{'' if difference == 0.01 else 's'}"


def percent_with_interval(row: pd.Series) -> str:
    """Write a value with its interval, both in percent.

    >>> percent_with_interval(pd.Series({"value": 0.061, "low": 0.0565, "high": 0.0659}))
    '6.1 % (5.7 to 6.6)'
    >>> percent_with_interval(pd.Series({"value": 7.5e-5, "low": 6e-5, "high": 9.1e-5}))
    '0.0075 % (0.006 to 0.0091)'
    """
    ends = [float(row["low"]), float(row["high"])]
    if 0 < abs(row["value"]) < _FINE and all(map(math.isfinite, ends)):
        low, high = (percent(end).removesuffix(" %") for end in ends)
        return f"{percent(row['value'])} ({low} to {high})"
    return f"{percent(row['value'])}{_interval(row, signed=False)}"


def points_with_interval(row: pd.Series, *, digits: int = 1) -> str:
    """Write a difference with its interval, both in percentage points.

    >>> points_with_interval(pd.Series({"value": 0.112, "low": 0.098, "high": 0.126}))
    '+11.2 points (+9.8 to +12.6)'
    """
    return f"{points(row['value'], digits=digits)} points{_interval(row, signed=True, digits=digits)}"


def more_or_less(row: pd.Series, *, digits: int = 2) -> str:
    """Write by how many percentage points one share is more or less than another, with the interval of that.

    >>> more_or_less(pd.Series({"value": 0.0374, "low": 0.031, "high": 0.044}))
    '3.74 points more (3.10 to 4.40)'
    >>> more_or_less(pd.Series({"value": -0.002, "low": -0.003, "high": 0.001}))
    '0.20 points less (−0.10 to 0.30)'
    """
    side, word = (-1, "less") if row["value"] < 0 else (1, "more")
    low, high = sorted(side * float(row[end]) for end in ("low", "high"))
    ends = _interval(pd.Series({"low": low, "high": high}), signed=False, digits=digits)
    return f"{points(abs(row['value']), signed=False, digits=digits)} points {word}{ends}"


def number(value: float) -> str:
    """Write a number with three digits.

    >>> number(0.2604), number(-12.0), number(3.71e-7)
    ('0.26', '−12', '3.71·10⁻⁷')
    """
    text = f"{value:.3g}"
    if "e" in text:
        digits, exponent = text.split("e")
        text = f"{digits}·10{superscript(int(exponent))}"
    return text.replace("-", _MINUS)


def number_with_interval(row: pd.Series) -> str:
    """Write a number with its interval.

    >>> number_with_interval(pd.Series({"value": 0.26, "low": 0.25, "high": 0.27}))
    '0.26 (0.25 to 0.27)'
    """
    low, high = float(row["low"]), float(row["high"])
    ends = f" ({number(low)} to {number(high)})" if math.isfinite(low) and math.isfinite(high) else ""
    return f"{number(row['value'])}{ends}"


def listed(items: Sequence[object], *, last: str = "and") -> str:
    """Write a list.

    >>> listed([18, 36]), listed(["a", "b", "c"])
    ('18 and 36', 'a, b and c')
    """
    texts = [str(item) for item in items]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {last} {texts[-1]}" if texts else "none"


def _interval(row: pd.Series, *, signed: bool, digits: int = 1) -> str:
    low, high = float(row["low"]), float(row["high"])
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    ends = (points(end, signed=signed, digits=digits) for end in (low, high))
    return f" ({' to '.join(ends)})"
