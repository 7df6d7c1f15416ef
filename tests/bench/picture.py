"""The picture of the figures: bars of events a second and of latency, as SVG written by hand."""

from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _LABEL, _BAR, _GAP = 900, 250, 22, 8
_OURS, _OTHERS, _FAINT = "#1f6feb", "#8b949e", "#b6d4fe"

Bar = tuple[str, float, str]
"""Label, value, colour."""


def draw(figures: dict[str, Any]) -> str:
    """The picture as the text of an SVG file."""
    pipeline, latency = figures["pipeline"], figures["latency"]
    throughput: list[Bar] = [
        ("exportgate, one worker", pipeline["events_per_second"], _OURS),
        ("raw loop, decides nothing", pipeline["raw_events_per_second"], _OTHERS),
        ("plain FastStream handler", pipeline["per_message_events_per_second"], _OTHERS),
        ("two workers", pipeline["two_workers_events_per_second"], _OURS),
        ("two workers, misaligned partitions", pipeline["misaligned_events_per_second"], _OURS),
        (
            f"{figures['size']['stored_decisions']:,} decisions stored",
            pipeline["after_million_events_per_second"],
            _OURS,
        ),
    ]
    delays: list[Bar] = [
        (f"{name} at {rate} events/s", one[f"{name}_ms"], colour)
        for rate, one in latency.items()
        for name, colour in (("p50", _OURS), ("p99", _FAINT))
    ]
    machine = figures["machine"]
    about = (
        f"{machine['broker']}, PostgreSQL {machine['postgres']}, {machine['cores']} cores, policy {machine['policy']}"
    )
    top, parts = 30, [_text(10, 24, "exportgate: topic to topic", bold=True), _text(10, 46, about)]
    for title, bars, unit in (("Events a second", throughput, ""), ("Latency, milliseconds", delays, " ms")):
        top += 50
        parts.append(_text(10, top, title, bold=True))
        top = _bars(parts, bars, unit, top + 12)
    height = top + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _bars(parts: list[str], bars: Sequence[Bar], unit: str, top: int) -> int:
    """Add bars below `top`, and return where they end."""
    most = max(value for _, value, _ in bars)
    for label, value, colour in bars:
        width = max(1, round((_WIDTH - _LABEL - 100) * value / most))
        parts.append(_text(10, top + 16, label))
        parts.append(f'<rect x="{_LABEL}" y="{top}" width="{width}" height="{_BAR}" fill="{colour}"/>')
        figure = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
        parts.append(_text(_LABEL + width + 6, top + 16, figure + unit))
        top += _BAR + _GAP
    return top


def _text(x: int, y: int, text: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x}" y="{y}"{weight}>{escape(text)}</text>'
