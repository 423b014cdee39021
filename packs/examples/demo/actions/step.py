"""What the steps of the delivery share: parameters in, journal, result out."""
import json
import os
import sys


def parameters():
    """One JSON object on stdin. One line in the journal per run tells later who ran how often."""
    given = json.load(sys.stdin)
    if journal := given.get("journal"):
        line = (f"{os.environ['MILLRACE_ACTION']} {os.environ['MILLRACE_EXEC_ID']} "
                f"{os.environ['MILLRACE_ATTEMPT']}\n")
        with open(journal, "a", encoding="utf-8") as file:
            file.write(line)
    return given


def answer(value):
    json.dump(value, sys.stdout)
