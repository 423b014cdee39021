#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""suite.py BUILD [--again] [CTEST ARGUMENT...]: runs the tests of a build folder, two at a time
where one does not measure time. What failed is told once more at the end, in short, where a log
that was cut still has it. --again: a test that failed is run once more, alone; one that passes
then is named as unsteady, which is a defect, and the run goes on."""
import os
import pathlib
import re
import subprocess
import sys

MOST_LINES = 60
NOISE = re.compile(r"^\d{4}-\d\d-\d\dT\S+ (debug|info|warn)\b|^\[ +(RUN|OK) +\]|^\[-+\]")


def failures(log):
    """name -> the last lines that a failed test has printed, without what is said in passing."""
    found = {}
    for section in re.split(r"^(?=\d+/\d+ Testing: )", log, flags=re.MULTILINE)[1:]:
        if not re.search(r"^Test Passed\.$", section, re.MULTILINE):
            name = section.partition("\n")[0].partition(": ")[2]
            lines = [line[:300] for line in section.splitlines() if not NOISE.match(line)]
            found[name] = lines[-MOST_LINES:]
    return found


def run(build, arguments=(), environment=None, again=False):
    """Whether all passed."""
    environment = environment or os.environ
    ctest = ["ctest", "--test-dir", str(build), "--output-on-failure"]
    if subprocess.run([*ctest, "-j2", *arguments], env=environment, check=False).returncode == 0:
        return True
    log = build / "Testing/Temporary/LastTest.log"
    failed = failures(log.read_text(errors="replace"))
    passes = again and subprocess.run([*ctest, "--rerun-failed"], env=environment,
                                      check=False).returncode == 0
    word = "unsteady" if passes else "failed"
    for name, lines in failed.items():
        print(f"\n== {word}: {name}", *lines, sep="\n")
    print(f"\n{word}: {' '.join(failed)}", flush=True)
    return passes


def main():
    build, *arguments = sys.argv[1:]
    again = arguments[:1] == ["--again"]
    sys.exit(0 if run(pathlib.Path(build), arguments[again:], again=again) else 1)


if __name__ == "__main__":
    main()
