"""Stands for an effect that must not happen twice: one line in a journal."""
import time

from step import parameters

given = parameters()
print("announced", given["commit"][:12], flush=True)
time.sleep(given["linger"])
