# SPDX-License-Identifier: Apache-2.0
"""Reads the tables of a guide, and writes results into them (UPDATE_GOLDEN=1).

A cell that is code stands in backticks; `\\|` in a table is `|`.
"""
import re


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def code(cell):
    """What stands in the backticks of a cell; the whole cell when there are none."""
    text = cell.replace("\\|", "|")
    for fence in ("``", "`"):
        if text.startswith(fence) and text.endswith(fence) and len(text) > 2 * len(fence):
            return text[len(fence):-len(fence)].strip(" " if fence == "``" else "")
    return text


def names(cell):
    """All that stands in backticks in a cell."""
    return [code(found) for found in re.findall(r"``.+?``|`.+?`", cell)]


def as_cell(text):
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")


def rows(path):
    """Each row of each table: {header: cell}, with `line`, its number, and `part`, its heading."""
    part, header, found = "", None, []
    for number, line in enumerate(path.read_text().splitlines()):
        if line.startswith("#"):
            part = line.lstrip("# ")
        if not line.startswith("|"):
            header = None
        elif header is None:
            header = cells(line)
        elif not set(line) <= set("|-: "):
            values = cells(line)
            assert len(values) == len(header), f"{path.name}:{number + 1}: {line}"
            found.append({**dict(zip(header, values)), "line": number, "part": part})
    return found


def write_results(path, column, results):
    """Puts results, {line: text}, into the last column, `column`, of their rows."""
    lines = path.read_text().splitlines()
    for row in rows(path):
        if column in row and row["line"] in results:
            kept = [c for h, c in row.items() if h not in (column, "line", "part")]
            lines[row["line"]] = f"| {' | '.join([*kept, as_cell(results[row['line']])])} |"
    path.write_text("\n".join(lines) + "\n")
