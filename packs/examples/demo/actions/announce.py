"""Stands for an effect that must not happen twice: one line in a journal."""
import json
import os
import sys
import time

parameters = json.load(sys.stdin)
with open(parameters["journal"], "a", encoding="utf-8") as journal:
    journal.write(f"{os.environ['MILLRACE_EXEC_ID']} {parameters['commit'][:12]}\n")
time.sleep(parameters["linger"])
print("announced", parameters["commit"][:12])
