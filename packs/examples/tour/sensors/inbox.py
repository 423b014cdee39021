# SPDX-License-Identifier: Apache-2.0
"""Tells of each file once. What lay there at the start is not told."""
import pathlib

from millrace import current, sensor

seen = None


@sensor(poll_interval=10)
def inbox(service):
    global seen
    folder = pathlib.Path(current().config["inbox"])
    files = {each for each in folder.glob("*") if each.is_file()}  # none while it is not there
    for path in sorted(files - (files if seen is None else seen)):
        payload = {"path": str(path), "bytes": path.stat().st_size}
        service.dispatch("tour.file_arrived", payload)
    seen = files
