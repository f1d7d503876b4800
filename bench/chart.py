"""Cost against size as a small SVG; a text editor is all that it takes to check one."""

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 640, 360, 64, 44, 48, 24
COLOURS = ("#1f6feb", "#d9822b")
Point = tuple[float, float]


def cost_chart(title: str, x: str, y: str, series: Mapping[str, Sequence[Point]]) -> str:
    """An SVG of at most two series of points on linear axes from zero. The dashed line of each is
    what its last point would cost if the cost of the first grew linearly."""
    points = [point for line in series.values() for point in line]
    widest = max(px for px, _ in points)
    linear = {
        name: (widest, line[0][1] / line[0][0] * widest)
        for name, line in series.items()  # from the origin
    }
    highest = 1.05 * max(py for _, py in [*points, *linear.values()])

    def place(point: Point) -> tuple[float, float]:
        across, up = point[0] / widest, point[1] / highest
        return (
            LEFT + across * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    def text(
        at: tuple[float, float], what: str, anchor: str = "middle", colour: str = "#444"
    ) -> str:
        return (
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}" fill="{colour}">'
            f"{escape(what)}</text>"
        )

    left, bottom = place((0, 0))
    right, top = place((widest, highest))
    drawn = [
        text((LEFT, 20), title, "start", "#000"),
        text(((left + right) / 2, HEIGHT - 10), x),
        text((8, TOP - 8), y, "start"),
        f'<path d="M{left} {top:.1f}V{bottom}H{right:.1f}" fill="none" stroke="#888"/>',
    ]
    for px in sorted({px for px, _ in points}):
        drawn.append(text((place((px, 0))[0], bottom + 18), f"{px:g}"))
    for share in (0.25, 0.5, 0.75, 1):
        height = place((0, share * highest))[1]
        drawn.append(text((left - 6, height + 4), f"{share * highest:.0f}", "end"))
        drawn.append(f'<path d="M{left} {height:.1f}H{right:.1f}" stroke="#eee"/>')
    for number, (name, line) in enumerate(series.items()):
        colour = COLOURS[number]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in map(place, line))
        end = place(linear[name])
        drawn.append(
            f'<path d="M{left} {bottom}L{end[0]:.1f} {end[1]:.1f}" stroke="{colour}"'
            ' stroke-dasharray="4 4"/>'
        )
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for px, py in map(place, line):
            drawn.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour}"/>')
        drawn.append(text((left + 10, TOP + 14 + 16 * number), name, "start", colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}"'
        ' font-family="sans-serif" font-size="12">'
        '<rect width="100%" height="100%" fill="#fff"/>' + "".join(drawn) + "</svg>\n"
    )
