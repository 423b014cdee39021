"""Puts a file into a registry, which is a folder. A registry that is marked busy refuses once."""
import pathlib
import sys

from step import answer, parameters

given = parameters()
registry = pathlib.Path(given["registry"])
busy = registry / "busy"
if busy.exists():
    busy.unlink()
    sys.exit("the registry is busy, try again later")
entry = registry / given["commit"][:12]
entry.write_text(given["folder"] + "\n", encoding="utf-8")
answer({"published": str(entry)})
