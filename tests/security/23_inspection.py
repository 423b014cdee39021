# SPDX-License-Identifier: Apache-2.0
"""An inspection costs what the workflow is long, and holds up nobody meanwhile (review, H3).

Each shape is sent at n, 2n and 4n: CPU may grow by little more than the size does.
"""

import subprocess
import sys
import threading

from attack import Target, binary, main, wrong

TARGET = Target(most_mib=300)
GROWTH = 3.0  # per doubling: 2 is linear, 4 quadratic; some is for the clock's ticks
NOTHING = 0.15  # CPU seconds that say nothing
MOST = 2.5  # MiB of an answer


def ladder(n):
    """Two ways to the next task, of which one publishes a variable: 2^n sets of variables."""
    tasks = "".join(
        f"  t{i}:\n    action: core.noop\n    next:\n      - when: <% succeeded() %>\n        publish: [{{v{i}: 1}}]\n        do: t{i + 1}\n"
        f"      - when: <% failed() %>\n        do: t{i + 1}\n"
        for i in range(n)
    )
    uses = " ".join(f"<% ctx(v{i}) %>" for i in range(n))
    return (
        f"version: 1.0\ntasks:\n{tasks}  t{n}:\n    action: core.echo\n    input:\n      message: {uses}\n"
    )


def wide(n):
    """Every task goes to every other."""
    names = ", ".join(f"t{i}" for i in range(n))
    return "version: 1.0\ntasks:\n" + "".join(
        f"  t{i}:\n    action: core.noop\n    next:\n      - publish: [{{v{i}: 1}}]\n        do: [{names}]\n"
        for i in range(n)
    )


def diamonds(n):
    """Two tasks side by side, then one, then two: 2^n ways, each publishing another variable."""
    out = ["version: 1.0", "tasks:"]
    for i in range(n):
        out.append(f"  a{i}: {{action: core.noop, next: [{{publish: [{{x{i}: 1}}], do: [b{i}, c{i}]}}]}}")
        out.append(f"  b{i}: {{action: core.noop, next: [{{publish: [{{y{i}: 1}}], do: a{i + 1}}}]}}")
        out.append(f"  c{i}: {{action: core.noop, next: [{{publish: [{{z{i}: 1}}], do: a{i + 1}}}]}}")
    return "\n".join([*out, f"  a{n}: {{action: core.echo, input: {{message: <% ctx(x0) %>}}}}"])


def circle(n):
    return "version: 1.0\ntasks:\n" + "".join(
        f"  t{i}:\n    action: core.echo\n    input: {{message: <% ctx(v{(i + 7) % n}) %>}}\n    next:\n"
        f"      - publish: [{{v{i}: 1}}]\n        do: t{(i + 1) % n}\n"
        for i in range(n)
    )


def unset(n):
    """Variables that nobody set beside ones that somebody did: which of them was meant?"""
    return (
        "version: 1.0\nvars:\n"
        + "".join(f"  - variable_number_{i}: 1\n" for i in range(n))
        + "tasks:\n  a:\n    action: core.echo\n    input:\n      message:\n"
        + "".join(f"        - <% ctx(variabel_number_{i}) %>\n" for i in range(n))
    )


def repeated(n):
    return "version: 1.0\ntasks:\n  a:\n    action: core.noop\n" + "    action: core.noop\n" * n


def repeated_names(n):
    return "version: 1.0\ntasks:\n" + "".join(
        f"  t{i % (n // 2)}: {{action: core.noop}}\n" for i in range(n)
    )


def bad_tags(n):
    return "".join(f"k{i}: !x{i} y\n" for i in range(n))


def nowhere(n):
    return "version: 1.0\ntasks:\n" + "".join(
        f"  task_number_{i}: {{action: core.noop, next: [{{do: taks_number_{i}}}]}}\n" for i in range(n)
    )


def unknown_keys(n):
    return "version: 1.0\ntasks:\n  a:\n    action: core.noop\n" + "".join(
        f"    actoin{i}: 1\n" for i in range(n)
    )


def expressions(n):
    return "version: 1.0\ntasks:\n  a:\n    action: core.echo\n    input:\n      message:\n" + "".join(
        f"        - <% ({i} %>\n" for i in range(n)
    )


def joins(n):
    return "version: 1.0\ntasks:\n" + "".join(
        f"  t{i}: {{action: core.noop, join: all, next: [{{do: [t{(i * 2 + 1) % n}, t{(i * 2 + 2) % n}]}}]}}\n"
        for i in range(n)
    )


# Shape and its smallest n: large enough to be seen, small enough to end.
SHAPES = [
    (ladder, 10),
    (ladder, 60),
    (wide, 40),
    (diamonds, 6),
    (diamonds, 60),
    (circle, 150),
    (unset, 1_000),
    (repeated, 5_000),
    (repeated_names, 4_000),
    (bad_tags, 5_000),
    (nowhere, 800),
    (unknown_keys, 3_000),
    (expressions, 1_500),
    (joins, 400),
]


def inspect(text):
    client = TARGET.client()
    status, _, answer = client.request("POST", "/api/v1/workflows/inspect", {"text": text}, timeout=120)
    client.close()
    assert status in (200, 400, 413, 503), (status, str(answer)[:300])
    return status, answer


def cpu_grows_as_the_text_does():
    bad = []
    for shape, n in SHAPES:
        costs = []
        for size in (n, 2 * n, 4 * n):
            text = shape(size)
            assert len(text) < 1 << 20, (shape.__name__, size, len(text))
            spent, (status, answer) = TARGET.cost(lambda text=text: inspect(text))
            costs.append(spent)
            if spent > NOTHING and len(costs) > 1 and spent > GROWTH * max(costs[-2], NOTHING / 2):
                bad.append((shape.__name__, size, [f"{cost:.2f} s" for cost in costs]))
                break
            if len(str(answer)) > MOST * (1 << 20):
                bad.append((shape.__name__, size, f"an answer of {len(str(answer))} bytes"))
                break
    wrong(bad)
    TARGET.still_well()


def nobody_waits_for_it():
    """The dearest of them, over and over, by one; requests of another are answered between."""
    ended = threading.Event()
    texts = [unset(2_000), ladder(200), repeated_names(8_000)]
    done = []

    def attack():
        while not ended.is_set():
            for text in texts:
                try:
                    inspect(text)
                except OSError:
                    return  # the server has ended, which the other side finds
                done.append(1)

    threads = [threading.Thread(target=attack, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    client, answered = TARGET.anyone(), 0
    while len(done) < 4:
        # Not how long it waits is looked at, but how many are answered for one of theirs.
        assert client.request("GET", "/health", timeout=60)[0] == 200
        answered += 1
    ended.set()
    for thread in threads:
        thread.join(120)
    assert answered > 10 * len(done), f"{answered} answers while {len(done)} inspections ran"


def a_pack_with_one_is_checked_in_the_same_time():
    folder = TARGET.home / "deep"
    (folder / "actions/workflows").mkdir(parents=True)
    (folder / "pack.yaml").write_text("name: deep\nversion: 1.0.0\ndescription: x\n")
    (folder / "actions/w.yaml").write_text(
        "name: w\ndescription: x\nrunner_type: orquesta\nentry_point: workflows/w.yaml\n"
    )
    for text in (ladder(40), diamonds(40), wide(100)):
        (folder / "actions/workflows/w.yaml").write_text(text)
        run = subprocess.run(
            ["prlimit", "--cpu=30", binary(), "pack", "check", str(folder)],
            capture_output=True,
            text=True,
            timeout=280,
        )
        assert run.returncode >= 0, (run.returncode, text[:200])


CASES = [cpu_grows_as_the_text_does, nobody_waits_for_it, a_pack_with_one_is_checked_in_the_same_time]

sys.exit(main(TARGET, CASES))
