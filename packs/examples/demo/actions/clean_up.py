"""Removes a checkout."""
import pathlib
import shutil

from step import answer, parameters

given = parameters()
shutil.rmtree(pathlib.Path(given["workspace"]) / given["commit"][:12], ignore_errors=True)
answer({"removed": given["commit"][:12]})
