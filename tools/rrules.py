#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/rules/testdata/rrules.txt: recurrence rules and their first times, as python-dateutil
has them: the examples of RFC 5545, and some hundred rules by chance.

    python3 tools/rrules.py > src/rules/testdata/rrules.txt

A line: ZONE DTSTART RULE TIME..., times as Unix seconds. Local times become these by the rules of
src/rules/rrule.h: one in a gap is the end of the gap, one that occurs twice the first.
"""
import random
import warnings
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

warnings.simplefilter("ignore")
MOST = 12

# RFC 5545, 3.8.5.3, all of DTSTART;TZID=America/New_York:19970902T090000 but for those that say
# another one.
EXAMPLES = [
    "FREQ=DAILY;COUNT=10", "FREQ=DAILY;UNTIL=19971224T000000Z", "FREQ=DAILY;INTERVAL=2",
    "FREQ=DAILY;INTERVAL=10;COUNT=5", "19980101T090000 FREQ=YEARLY;UNTIL=20000131T140000Z;"
    "BYMONTH=1;BYDAY=SU,MO,TU,WE,TH,FR,SA", "FREQ=WEEKLY;COUNT=10",
    "FREQ=WEEKLY;INTERVAL=2;WKST=SU", "FREQ=WEEKLY;UNTIL=19971007T000000Z;WKST=SU;BYDAY=TU,TH",
    "FREQ=WEEKLY;COUNT=10;WKST=SU;BYDAY=TU,TH",
    "19970901T090000 FREQ=WEEKLY;INTERVAL=2;UNTIL=19971224T000000Z;WKST=SU;BYDAY=MO,WE,FR",
    "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
    "19970905T090000 FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
    "19970907T090000 FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
    "19970922T090000 FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "19970928T090000 FREQ=MONTHLY;BYMONTHDAY=-3",
    "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15", "19970930T090000 FREQ=MONTHLY;COUNT=10;BYMONTHDAY=1,-1",
    "19970910T090000 FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
    "FREQ=MONTHLY;INTERVAL=2;BYDAY=TU", "19970610T090000 FREQ=YEARLY;COUNT=10;BYMONTH=6,7",
    "19970310T090000 FREQ=YEARLY;INTERVAL=2;COUNT=10;BYMONTH=1,2,3",
    "19970101T090000 FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
    "19970519T090000 FREQ=YEARLY;BYDAY=20MO", "19970512T090000 FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
    "19970313T090000 FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "19970605T090000 FREQ=YEARLY;BYDAY=TH;BYMONTH=6,7,8",
    "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "19970913T090000 FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13",
    "19961105T090000 FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
    "19970904T090000 FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3",
    "19970929T090000 FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
    "FREQ=DAILY;BYHOUR=9,10,11,12,13,14,15,16;BYMINUTE=0,20,40",
    "19970805T090000 FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
    "19970805T090000 FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
    "20070115T090000 FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5",
]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def some(values, most):
    return ",".join(map(str, sorted(random.sample(list(values), random.randint(1, most)))))


def by_chance():
    freq = random.choice(["YEARLY", "YEARLY", "MONTHLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY",
                          "MINUTELY", "SECONDLY"])
    below = freq in ("HOURLY", "MINUTELY", "SECONDLY")
    parts = ["FREQ=" + freq]
    chance = lambda p: random.random() < p
    if chance(.5):
        parts.append(f"INTERVAL={random.choice([2, 3, 4, 5, 7, 12, 17])}")
    if chance(.3):
        parts.append("BYMONTH=" + some(range(1, 13), 3))
    if freq == "YEARLY" and chance(.25):
        parts.append("BYWEEKNO=" + some([1, 2, 20, 52, 53, -1], 2))
    elif freq in ("YEARLY", "HOURLY", "MINUTELY", "SECONDLY") and chance(.2):
        parts.append("BYYEARDAY=" + some([1, 60, 100, 200, 365, 366, -1, -366], 3))
    if freq != "WEEKLY" and chance(.3):
        parts.append("BYMONTHDAY=" + some([1, 2, 13, 15, 28, 29, 30, 31, -1, -2, -31], 3))
    if chance(.4):
        days = random.sample(DAYS, random.randint(1, 3))
        if freq in ("YEARLY", "MONTHLY") and chance(.6) and not any("WEEKNO" in p for p in parts):
            days = [random.choice(["1", "-1", "2", "-2", "5"]) + day for day in days]
        parts.append("BYDAY=" + ",".join(days))
    if chance(.3):
        parts.append("BYHOUR=" + some([0, 2, 3, 9, 23], 3))
    if chance(.3):
        parts.append("BYMINUTE=" + some([0, 7, 30, 59], 3))
    if chance(.15):
        parts.append("BYSECOND=" + some([0, 30, 59], 2))
    if not below and len(parts) > 2 and chance(.3):
        parts.append("BYSETPOS=" + some([1, 2, 3, -1, -2], 2))
    if chance(.2):
        parts.append("WKST=" + random.choice(DAYS))
    if not below and chance(.2):
        parts.append(f"COUNT={random.randint(1, 10)}")
    return "UTC" if below else random.choice(ZONES), ";".join(parts)


def unix(local, zone):
    """Unix seconds of a time of the wall clock."""
    first = local.replace(tzinfo=zone, fold=0)
    at = first.astimezone(timezone.utc)
    if at.astimezone(zone).replace(tzinfo=None) == local:
        return int(at.timestamp())
    while at.astimezone(zone).utcoffset() == (at - timedelta(seconds=60)).astimezone(zone).utcoffset():
        at -= timedelta(seconds=60 - at.second if at.second else 60)
    return int(at.timestamp())


def line(zone_name, start, rule):
    zone = ZoneInfo(zone_name)
    begin = datetime.strptime(start, "%Y%m%dT%H%M%S")
    text, until = rule, None
    parts = [part for part in rule.split(";") if not part.startswith("UNTIL=")]
    if len(parts) != len(rule.split(";")):  # dateutil wants it naive, as the rest
        given = next(part for part in rule.split(";") if part.startswith("UNTIL="))[6:]
        until = datetime.strptime(given, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
        text = ";".join(parts)
    times = []
    for local in rrulestr(text, dtstart=begin).xafter(begin, count=MOST * 2, inc=True):
        if local.year > begin.year + 45:
            break
        at = unix(local, zone)
        if until is not None and at > until:
            break
        if not times or at > times[-1]:
            times.append(at)
    return " ".join([zone_name, start, rule, *map(str, times[:MOST])])


def main():
    random.seed(5545)
    for example in EXAMPLES:
        start, rule = example.split(" ") if " " in example else ("19970902T090000", example)
        print(line("America/New_York", start, rule))
    written = 0
    while written < 400:
        zone, rule = by_chance()
        start = random.choice(["20240229T023000", "20240310T021500", "20241027T023000",
                               "20230101T000000", "20251231T235959", "20260330T090000"])
        try:
            text = line(zone, start, rule)
        except ValueError:
            continue
        if len(text.split(" ")) < 4:
            continue
        print(text)
        written += 1


main()
