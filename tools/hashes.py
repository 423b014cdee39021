# SPDX-License-Identifier: Apache-2.0
"""Hashes without a seed. std::hash of texts and numbers is the same for everybody: who chooses the
keys makes them collide, and a table of them is a list."""
import re

UNSEEDED = re.compile(r"\bstd::hash<\s*(?:std::string\w*|double|float|Value)\b>?")
TABLE = re.compile(r"\bunordered_(?:multi)?(?:map|set)<\s*(?:std::string(?:_view)?|Value)\s*[,>]")


def closing(text, at):
    """Behind the bracket that closes the one before `at`."""
    depth = 1
    while depth and at < len(text):
        depth += {"<": 1, ">": -1}.get(text[at], 0)
        at += 1
    return at


def unseeded(text):
    """(line, what) of each hash of texts or values without a seed, and of each table with one."""
    for match in UNSEEDED.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(0)
    for match in TABLE.finditer(text):
        table = text[match.start():closing(text, text.index("<", match.start()) + 1)]
        if "StringHash" not in table and "ValueHash" not in table:
            yield text.count("\n", 0, match.start()) + 1, table
