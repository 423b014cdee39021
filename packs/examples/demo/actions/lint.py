"""Compiles one Python file without running it."""
import pathlib

from step import answer, parameters

given = parameters()
path = pathlib.Path(given["folder"]) / given["file"]
compile(path.read_text(encoding="utf-8"), given["file"], "exec")
answer({"file": given["file"], "lines": path.read_bytes().count(b"\n")})
