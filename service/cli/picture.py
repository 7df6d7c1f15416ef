"""A simulation as a picture (SVG): who goes from which answer to which, and the countries with the most changes."""

from html import escape

from service.simulation import ANSWERS, DENIED_IN_PART, IN_PART, Change, Tally, answers_of

_COLOURS = {"approve": "#2e7d32", IN_PART: "#c0ca33", "hold": "#f9a825", DENIED_IN_PART: "#ef6c00", "deny": "#c62828"}
_WIDTH, _LEFT, _ROW, _TOP = 720, 110, 46, 84
_MATRIX_WIDTH = 600
_MOST_COUNTRIES = 15


def picture(tally: Tally, version: str) -> str:
    """An SVG document that stands alone: the matrix above, bars by country below."""
    countries = _countries(tally)
    below = _TOP + _ROW * (len(answers_of(tally)) + 1) + 40
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
    most, answers = max([*tally.changes.values(), 1]), answers_of(tally)
    cell = _MATRIX_WIDTH // max(len(answers), 4)
    parts = [_text(20, _TOP - 12, "from \\ to")]
    for column, after in enumerate(answers):
        parts.append(_text(_LEFT + column * cell + 10, _TOP - 12, after))
        for row, before in enumerate(answers):
            count = tally.changes[Change(before, after)]
            x, y = _LEFT + column * cell, _TOP + row * _ROW
            strength = 0.12 + 0.88 * (count / most) if count else 0.03
            same = before == after
            parts.append(
                f'<rect x="{x}" y="{y}" width="{cell - 4}" height="{_ROW - 4}" rx="4" '
                f'fill="{"#78909c" if same else _COLOURS[after]}" fill-opacity="{strength:.2f}"/>'
            )
            parts.append(_text(x + 10, y + 26, f"{count:,}"))
    parts += [_text(20, _TOP + row * _ROW + 26, before) for row, before in enumerate(answers)]
    return parts


def _bars(countries: list[tuple[str, dict[str, int]]], top: int) -> list[str]:
    most = max([sum(counts.values()) for _, counts in countries], default=1)
    parts = [_text(20, top, "changes by the customer's country, coloured by the new answer")] if countries else []
    for row, (country, counts) in enumerate(countries):
        x, y = float(_LEFT), top + 14 + row * 26
        parts.append(_text(20, y + 15, country))
        for outcome in ANSWERS:
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
