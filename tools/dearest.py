#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev dearest [PRESET]: the ten compilations that took longest when they were last done, from
ninja's log. What ccache answered counts with the time of the answer: CCACHE_DISABLE=1 and a fresh
build folder tell the truth."""
import sys

from batches import ROOT, compiled, shown

SHOWN = 10


def seconds_of_outputs(build):
    seconds = {}
    for line in (build / ".ninja_log").read_text().splitlines():
        if line.startswith("#"):
            continue
        begin, end, _, output, _ = line.split("\t")
        seconds[output] = (int(end) - int(begin)) / 1000
    return seconds


def main():
    build = ROOT / "build" / (sys.argv[1] if len(sys.argv) > 1 else "dev")
    seconds = seconds_of_outputs(build)
    built = [(seconds.get(one.output, 0), one) for one in compiled(build)]
    built = [pair for pair in built if pair[0] > 0]
    built.sort(key=lambda pair: -pair[0])
    total = sum(spent for spent, _ in built)
    print(f"{len(built)} compilations, {total:.0f} s; the dearest:")
    for spent, one in built[:SHOWN]:
        parts = " ".join(shown(part) for part in one.parts)
        print(f"{spent:6.1f} s  {parts}")
    links = [(s, o) for o, s in seconds.items() if "CMakeFiles" not in o and s > 0]
    print(f"links and the rest: {sum(s for s, _ in links):.0f} s")


if __name__ == "__main__":
    main()
