# SPDX-License-Identifier: Apache-2.0
"""How each source is compiled, read from a build folder: in a batch (a unity source of CMake that
includes it) or alone."""
import json
import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).resolve().parent.parent
PART = re.compile(r'^#include "([^"]+)"', re.M)


class Compiled:
    """One line of compile_commands.json: `parts` are the sources that it compiles."""

    def __init__(self, entry, build):
        self.file = pathlib.Path(entry["file"])
        self.output = entry.get("output", "")
        self.words = shlex.split(entry["command"])
        if not self.output:
            self.output = self.words[self.words.index("-o") + 1]
        self.target = self.output.split("CMakeFiles/")[-1].split(".dir/")[0]
        self.parts = [self.file]
        if self.file.is_relative_to(build) and "/Unity/" in self.file.as_posix():
            self.parts = [pathlib.Path(part) for part in PART.findall(self.file.read_text())]

    def flags(self):
        """The flags without compiler, output and source."""
        words = [w for w in self.words[1:] if w not in ("-c", str(self.file))]
        at = words.index("-o")
        return words[:at] + words[at + 2 :]


def compiled(build):
    build = pathlib.Path(build).resolve()
    entries = json.loads((build / "compile_commands.json").read_text())
    return [Compiled(entry, build) for entry in entries]


def shown(path):
    path = pathlib.Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.as_posix()
