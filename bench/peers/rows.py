# SPDX-License-Identifier: Apache-2.0
"""The rows: what is asked of each engine, and what is noted of it."""
import dataclasses
import time

from load import Load, quantile

NAMES = {
    "empty": "empty durable call, 64 at once",
    "three": "3 durable steps, 64 at once",
    "fan": "fan-out 100 and join, 4 at once",
    "timers": "{count:,} timers due in {window:.0f} s",
    "drain": "{count:,} waiting items drained",
    "idle": "idle",
    "kill": "kill -9 in the middle",
}


@dataclasses.dataclass
class Figure:
    """One engine in one row. None: it was not measured."""
    engine: str
    rate: float = None  # operations a second
    cpu_us: float = None  # of all processes of the engine, for each operation
    p50_ms: float = None
    p99_ms: float = None
    resident_mb: float = None
    flushes: float = None  # for each operation
    written: float = None  # bytes for each operation
    done_s: float = None  # after kill -9
    note: str = ""


@dataclasses.dataclass
class Scale:
    """How much of everything. Rounds are bounded by time, so that slow engines end too."""
    rounds: int = 3
    warm_s: float = 0.5
    round_s: float = 2.0
    timers: int = 10_000
    window_s: float = 10.0
    waiting: int = 100_000
    fill_limit_s: float = 30.0
    drain_limit_s: float = 15.0
    idle_s: float = 15.0
    accepted: int = 2_000
    recovery_limit_s: float = 60.0

    @staticmethod
    def quick():
        return Scale(1, 0.3, 0.6, 500, 1.0, 3_000, 4.0, 3.0, 2.0, 300, 12.0)


def measured(engine, work):
    """What `work` did, and what the engine used for it: (Load, CPU us, bytes)."""
    cpu, written = engine.enclosure.cpu_us(), engine.enclosure.written_bytes()
    load = work()
    return (load, engine.enclosure.cpu_us() - cpu, engine.enclosure.written_bytes() - written)


def figure_of(engine, rounds):
    """The medians of the rounds."""
    def median(value):
        return quantile(sorted(value(*one) for one in rounds), 0.5)
    return Figure(
        engine.name,
        rate=median(lambda load, cpu, written: load.operations / load.seconds),
        cpu_us=median(lambda load, cpu, written: cpu / load.operations),
        p50_ms=median(lambda load, cpu, written: load.p50_ms),
        p99_ms=median(lambda load, cpu, written: load.p99_ms),
        written=median(lambda load, cpu, written: written / load.operations),
        resident_mb=engine.enclosure.resident_bytes() / 1e6)


def alone(engines, one, work):
    """Runs `work` while the other engines hold still."""
    for other in engines:
        other.enclosure.hold(other is not one)
    return work()


def calls(engines, work, in_flight, scale):
    """Rounds in turn. One more counts the flushes, and not its CPU."""
    able = [(engine, name) for engine in engines for name in works_of(work) if name in engine.works]
    rounds = {key: [] for key in able}
    for number in range(scale.rounds):
        # Each round begins with another one: who comes first meets a quieter disk.
        turn = number * len(able) // scale.rounds
        for engine, name in able[turn:] + able[:turn]:
            def once(engine=engine, name=name):
                engine.load(name, in_flight, scale.warm_s)
                return measured(engine, lambda: engine.load(name, in_flight, scale.round_s))
            rounds[engine, name].append(alone(engines, engine, once))
    figures = []
    for engine, name in able:
        figure = figure_of(engine, rounds[engine, name])

        def counted(engine=engine, name=name):
            with engine.enclosure.flushes() as flushes:
                load = engine.load(name, in_flight, scale.warm_s)
            return flushes[0] / load.operations
        figure.flushes = alone(engines, engine, counted)
        figure.note = {"fan_steps": "100 steps of one run"}.get(name, "")
        figures.append(figure)
    return figures


def works_of(work):
    """An engine may have two ways to fan out: steps of one run, and calls of their own."""
    return ("fan_steps", "fan_calls") if work == "fan" else (work,)


def timers(engines, scale):
    figures = []
    for engine in engines:
        if not engine.recovers:
            continue

        def due(engine=engine):
            # How fast they can be registered decides when the first may be due.
            few = max(64, scale.timers // 30)
            seconds, _ = engine.timers(few, 3, 0.2, 64)
            lead = max(2.0, 1.5 * seconds / few * scale.timers - scale.window_s)
            late_of = []

            def work():
                late_of.append(engine.timers(scale.timers, lead, scale.window_s, 64)[1])
                return Load(scale.timers, scale.window_s, 0, 0)
            load, *used = measured(engine, work)
            late = sorted(late_of[0]())
            return (dataclasses.replace(load, p50_ms=quantile(late, 0.5),
                                        p99_ms=quantile(late, 0.99)), *used)
        figure = figure_of(engine, [alone(engines, engine, due)])
        figure.rate = None  # they are due at 1,000 a second
        figures.append(figure)
    return figures


def drain(engines, scale):
    figures = []
    for engine in engines:
        if not engine.waits:
            continue

        def drained(engine=engine):
            waiting = engine.fill(scale.waiting, scale.fill_limit_s)

            def work():
                operations, seconds = engine.drain(waiting, scale.drain_limit_s)
                return Load(operations, seconds, 0, 0)
            return waiting, measured(engine, work)
        waiting, one = alone(engines, engine, drained)
        figure = figure_of(engine, [one])
        figure.p50_ms = figure.p99_ms = None
        figure.note = f"{waiting:,} waited" + ("" if engine.waits == "queue" else ", for timers")
        if one[0].operations < waiting * 0.9:
            figure.note += f"; {one[0].operations:,} were done when the time was over"
        figures.append(figure)
    return figures


def idle(engines, scale):
    """All at the same time: none is asked anything."""
    for engine in engines:
        engine.enclosure.hold(False)
    time.sleep(5)  # what a start leaves to do is done
    before = [(e.enclosure.cpu_us(), e.enclosure.written_bytes()) for e in engines]
    time.sleep(scale.idle_s)
    figures = []
    for engine, (cpu, written) in zip(engines, before):
        figures.append(Figure(
            engine.name, cpu_us=(engine.enclosure.cpu_us() - cpu) / scale.idle_s,
            written=(engine.enclosure.written_bytes() - written) / scale.idle_s,
            resident_mb=engine.enclosure.resident_bytes() / 1e6))
    return figures


def kill(engines, scale):
    """Works of three steps are accepted; when half are, all processes get kill -9. From the start
    of the next ones until the last accepted work is done."""
    figures = []
    for engine in engines:
        if not engine.recovers:
            continue

        def killed(engine=engine):
            accepted = set()
            for number in engine.accept(0, scale.accepted, 64):
                accepted.add(number)
                if len(accepted) == scale.accepted // 2:
                    engine.kill()
            begin = time.monotonic()
            engine.start()
            engine.resume()
            up = time.monotonic() - begin
            left = accepted
            while left and time.monotonic() - begin < scale.recovery_limit_s:
                time.sleep(0.1)
                left = accepted - engine.finished()
            seconds = time.monotonic() - begin
            if left and engine.name.startswith("Millrace"):
                raise SystemExit(f"peers: {engine.name} lost {len(left)} of {len(accepted)}")
            ended = f"{len(left)} not done after" if left else "all done after"
            return Figure(engine.name, done_s=seconds,
                          note=f"{len(accepted):,} accepted; up after {up:.1f} s; "
                               f"{ended} {seconds:.1f} s")
        figures.append(alone(engines, engine, killed))
    return figures
