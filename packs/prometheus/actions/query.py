# SPDX-License-Identifier: Apache-2.0
"""Queries to Prometheus, and their answers as plain values."""
import math

from ask import ask
from millrace import action, current


@action
def query(query, time=None):
    return _plain(ask("url", "/api/v1/query", {"query": query, "time": time})["data"])


@action
def query_range(query, start, end, step="1m"):
    form = {"query": query, "start": start, "end": end, "step": step}
    return _plain(ask("url", "/api/v1/query_range", form)["data"])


def _plain(data):
    kind, result = data["resultType"], data["result"]
    current().logger.debug("%s of %d", kind, len(result))
    if kind == "vector":
        result = [{"labels": one["metric"], "value": _number(one["value"][1])} for one in result]
    elif kind == "matrix":
        result = [
            {"labels": one["metric"], "values": [[at, _number(text)] for at, text in one["values"]]}
            for one in result
        ]
    elif kind == "scalar":
        result = _number(result[1])
    else:
        result = result[1]
    return {"type": kind, "result": result}


def _number(text):
    """Prometheus sends numbers as texts. JSON has no NaN and no infinity: those stay texts."""
    value = float(text)
    return value if math.isfinite(value) else text
