#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/zones.py > src/rules/testdata/zones.txt: each zone's offset from UTC from 2020 to 2040 as
Python's zoneinfo has it, for zone_table_test.cpp. Zones with the same list share it."""
import collections
import datetime
import pathlib
import sys
import zoneinfo

UTC = datetime.timezone.utc
BEGIN = int(datetime.datetime(2020, 1, 1, tzinfo=UTC).timestamp())
END = int(datetime.datetime(2041, 1, 1, tzinfo=UTC).timestamp())
# No zone has ever changed twice within it.
STEP = 6 * 3600
NOT_A_ZONE = {"localtime"}  # what the machine is set to


def version():
    for folder in map(pathlib.Path, zoneinfo.TZPATH):
        if (folder / "tzdata.zi").exists():
            return (folder / "tzdata.zi").open().readline().removeprefix("# version ").strip()
        if (folder / "+VERSION").exists():
            return (folder / "+VERSION").read_text().strip()
    sys.exit("no version of tzdata: expected tzdata.zi or +VERSION in " + ", ".join(zoneinfo.TZPATH))


def offset(zone, at):
    return int(datetime.datetime.fromtimestamp(at, zone).utcoffset().total_seconds())


def first_with(zone, wanted, before, at):
    """The first second of `wanted`, which holds at `at` and does not at `before`."""
    while at - before > 1:
        middle = (before + at) // 2
        if offset(zone, middle) == wanted:
            at = middle
        else:
            before = middle
    return at


def changes(name):
    zone = zoneinfo.ZoneInfo(name)
    before = offset(zone, BEGIN)
    words = [str(before)]
    for at in range(BEGIN, END, STEP):
        now = offset(zone, min(at + STEP, END - 1))
        if now != before:
            words.append(f"{first_with(zone, now, at, min(at + STEP, END - 1))}={now}")
        before = now
    return " ".join(words)


def main():
    zones = collections.defaultdict(list)
    for name in sorted(zoneinfo.available_timezones() - NOT_A_ZONE):
        zones[changes(name)].append(name)
    print(f"""# tzdata {version()}
# Written by tools/zones.py from Python's zoneinfo. Two lines for each list: the zones that have it;
# their offset in seconds at 2020-01-01T00:00:00Z, then each change until 2041: second of UTC=offset.""")
    for words, names in sorted(zones.items(), key=lambda zone: zone[1]):
        print(" ".join(names))
        print(words)


main()
