# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/performance.md, between two marks; rows where a peer wins come first."""
BEGIN = "<!-- peers: written by ./dev bench --peers -->\n"
END = "<!-- peers: end -->\n"
# Figures that can be won, in the order in which they are shown.
JUDGED = (("cpu_us", "CPU"), ("rate", "rate"), ("p50_ms", "p50"), ("p99_ms", "p99"),
          ("resident_mb", "resident"), ("flushes", "flushes"), ("written", "bytes"),
          ("done_s", "time"))


def ours(figure):
    return figure.engine.startswith("Millrace")


def best(figures, name):
    values = [getattr(figure, name) for figure in figures]
    values = [value for value in values if value is not None]
    return (max if name == "rate" else min)(values) if values else None


def group_of(figure):
    """Whom one of ours is held against: with the handler in node, or in process."""
    return "with the handler in node" if "node" in figure.engine else "in process"


def won_by_a_peer(figures):
    """What a peer does better than the best of ours, by more than 1 %: {group: [what]}"""
    peers = [figure for figure in figures if not ours(figure)]
    won = {}
    for group in ("with the handler in node", "in process"):
        mine = [figure for figure in figures if ours(figure) and group_of(figure) == group]
        for name, title in JUDGED:
            a, b = best(mine, name), best(peers, name)
            if a is not None and b is not None and (b > a * 1.01 if name == "rate" else b * 1.01 < a):
                won.setdefault(group, []).append(title)
    return won


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(figures, group):
    """CPU of the best of ours over that of the best peer."""
    mine = best([f for f in figures if ours(f) and group_of(f) == group], "cpu_us")
    peer = best([f for f in figures if not ours(f)], "cpu_us")
    return mine / peer if mine and peer else None


COLUMNS = (("rate", "op/s"), ("cpu_us", "CPU us/op"), ("p50_ms", "p50 ms"), ("p99_ms", "p99 ms"),
           ("resident_mb", "MB"), ("flushes", "flushes/op"), ("written", "bytes/op"),
           ("done_s", "s"))


def table(title, figures):
    columns = [(name, head) for name, head in COLUMNS
               if any(getattr(figure, name) is not None for figure in figures)]
    if title == "idle":
        columns = [(name, head.replace("/op", "/s")) for name, head in columns]
    notes = any(figure.note for figure in figures)
    lines = [f"**{title}**", ""]
    won = won_by_a_peer(figures)
    for group, what in won.items():
        lines.append(f"A peer wins, {group}: {', '.join(what)}.")
    for group in ("with the handler in node", "in process"):
        if title != "idle" and (value := ratio(figures, group)):
            lines.append(f"CPU {group} over the best peer's: {value:.2g}.")
    lines += ["", "| engine | " + " | ".join(head for _, head in columns) + (" | |" if notes else " |"),
              "|---" * (len(columns) + 1 + notes) + "|"]
    for figure in figures:
        cells = [figure.engine] + [number(getattr(figure, name)) for name, _ in columns]
        lines.append("| " + " | ".join(cells + [figure.note] * notes) + " |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def page(rows, head):
    """`rows`: {title: figures}."""
    order = sorted(rows, key=lambda title: not won_by_a_peer(rows[title]))
    return head + "\n" + "\n".join(table(title, rows[title]) for title in order)


def written_into(document, text):
    """The document with the text between its marks, at its end when it has none."""
    if BEGIN not in document:
        return document.rstrip("\n") + "\n\n" + BEGIN + text + END
    before, _, rest = document.partition(BEGIN)
    return before + BEGIN + text + END + rest.partition(END)[2]
