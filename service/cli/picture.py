"""A simulation as a picture (SVG): who goes from which outcome to which, and the countries with the most changes."""

from html import escape

from service.simulation import OUTCOMES, Change, Tally

_COLOURS = {"approve": "#2e7d32", "hold": "#f9a825", "deny": "#c62828"}
_WIDTH, _LEFT, _CELL, _ROW, _TOP = 720, 110, 150, 46, 84
_MOST_COUNTRIES = 15


def picture(tally: Tally, version: str) -> str:
    """An SVG document that stands alone: the matrix above, bars by country below."""
    countries = _countries(tally)
    below = _TOP + _ROW * (len(OUTCOMES) + 1) + 40
    height = below + 26 * (len(countries) + 1) + 20
    title = f"{tally.changed:,} of {tally.simulated:,} decisions change under {version}"
    parts = [
        _head(height, title),
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(20, 34, title, size=18),
        *_matrix(tally),
        *_bars(countries, below),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _head(height: int, title: str) -> str:
    size = f'width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}"'
    told = f'role="img" aria-label="{escape(title)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="14" {told}>'


def _matrix(tally: Tally) -> list[str]:
    most = max([*tally.changes.values(), 1])
    parts = [_text(20, _TOP - 12, "from \\ to")]
    for column, after in enumerate(OUTCOMES):
        parts.append(_text(_LEFT + column * _CELL + 10, _TOP - 12, after))
        for row, before in enumerate(OUTCOMES):
            count = tally.changes[Change(before, after)]
            x, y = _LEFT + column * _CELL, _TOP + row * _ROW
            strength = 0.12 + 0.88 * (count / most) if count else 0.03
            same = before == after
            parts.append(
                f'<rect x="{x}" y="{y}" width="{_CELL - 4}" height="{_ROW - 4}" rx="4" '
                f'fill="{"#78909c" if same else _COLOURS[after]}" fill-opacity="{strength:.2f}"/>'
            )
            parts.append(_text(x + 10, y + 26, f"{count:,}"))
    parts += [_text(20, _TOP + row * _ROW + 26, before) for row, before in enumerate(OUTCOMES)]
    return parts


def _bars(countries: list[tuple[str, dict[str, int]]], top: int) -> list[str]:
    most = max([sum(counts.values()) for _, counts in countries], default=1)
    parts = [_text(20, top, "changes by the customer's country, coloured by the new outcome")] if countries else []
    for row, (country, counts) in enumerate(countries):
        x, y = float(_LEFT), top + 14 + row * 26
        parts.append(_text(20, y + 15, country))
        for outcome in OUTCOMES:
            width = (_WIDTH - _LEFT - 110) * counts.get(outcome, 0) / most
            if width:
                parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="20" fill="{_COLOURS[outcome]}"/>')
            x += width
        parts.append(_text(x + 8, y + 15, f"{sum(counts.values()):,}"))
    return parts


def _countries(tally: Tally) -> list[tuple[str, dict[str, int]]]:
    found = []
    for country, changes in tally.countries.items():
        counts: dict[str, int] = {}
        for change, count in changes.items():
            if change.before != change.after:
                counts[change.after] = counts.get(change.after, 0) + count
        if counts:
            found.append((country, counts))
    return sorted(found, key=lambda one: (-sum(one[1].values()), one[0]))[:_MOST_COUNTRIES]


def _text(x: float, y: float, text: str, *, size: int = 14) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}">{escape(text)}</text>'
