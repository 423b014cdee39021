"""Takes a file out of the registry; one that is not there is fine."""
import pathlib

from step import answer, parameters

given = parameters()
(pathlib.Path(given["registry"]) / given["commit"][:12]).unlink(missing_ok=True)
answer({"withdrawn": given["commit"][:12]})
