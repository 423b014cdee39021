# SPDX-License-Identifier: Apache-2.0
"""The rows: what is asked of each engine, and what is noted of it."""
import contextlib
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
    round_s: float = 1.5
    timers: int = 10_000
    window_s: float = 10.0
    waiting: int = 100_000
    fill_limit_s: float = 30.0
    drain_limit_s: float = 12.0
    idle_s: float = 15.0
    accepted: int = 2_000
    recovery_limit_s: float = 75.0
    slow_recovery_s: float = 15.0

    @staticmethod
    def quick():
        return Scale(1, 0.3, 0.6, 500, 1.0, 3_000, 4.0, 3.0, 2.0, 300, 12.0, 12.0)


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


def in_turn(engines, keys, rounds, once):
    """What once(engine, ...) says of each key, round by round, while the other engines hold still:
    {key: [...]}. Each round begins with another one: who comes first meets a quieter disk."""
    told = {key: [] for key in keys}
    for number in range(rounds):
        turn = number * len(keys) // rounds
        for key in keys[turn:] + keys[:turn]:
            for other in engines:
                other.enclosure.hold(other is not key[0])
            said = once(*key)
            if said is not None:
                told[key].append(said)
    return told


def flushed(engine, work):
    """How often the disk was waited for, for each operation. `work` says how many those were."""
    with engine.enclosure.flushes() as flushes:
        operations = work()
    return flushes[0] / operations


def calls(engines, work, in_flight, scale):
    """Rounds in turn. One more counts the flushes, and not its CPU."""
    keys = [(engine, name) for engine in engines for name in works_of(work) if name in engine.works]

    def once(engine, name):
        engine.load(name, in_flight, scale.warm_s)
        return measured(engine, lambda: engine.load(name, in_flight, scale.round_s))

    def counted(engine, name):
        return flushed(engine, lambda: engine.load(name, in_flight, scale.warm_s).operations)
    rounds = in_turn(engines, keys, scale.rounds, once)
    flushes = in_turn(engines, keys, 1, counted)
    return [dataclasses.replace(figure_of(engine, rounds[engine, name]),
                                flushes=flushes[engine, name][0],
                                note={"fan_steps": "100 steps of one run"}.get(name, ""))
            for engine, name in keys]


def works_of(work):
    """An engine may have two ways to fan out: steps of one run, and calls of their own."""
    return ("fan_steps", "fan_calls") if work == "fan" else (work,)


def timers(engines, scale):
    """Before its rounds each engine has a tenth of the timers in a tenth of the time: the flushes
    are counted, and how fast it registers decides when the first may be due."""
    keys = [(engine,) for engine in engines if engine.recovers]
    few, window_s, lead_s = scale.timers // 10, scale.window_s / 10, {}

    def tried(engine):
        def work():
            seconds, _ = engine.timers(few, 3, window_s, 64)
            lead_s[engine] = max(2.0, 1.5 * seconds * 10 - scale.window_s)
            return few
        return flushed(engine, work)

    def due(engine):
        late_of = []

        def work():
            late_of.append(engine.timers(scale.timers, lead_s[engine], scale.window_s, 64)[1])
            return Load(scale.timers, 0, 0, 0)
        load, *used = measured(engine, work)
        late = sorted(late_of[0]())
        # Those that are late at the end lengthen the time in which they are worked off.
        return (dataclasses.replace(load, seconds=scale.window_s + late[-1] / 1e3,
                                    p50_ms=quantile(late, 0.5), p99_ms=quantile(late, 0.99)), *used)
    flushes = in_turn(engines, keys, 1, tried)
    rounds = in_turn(engines, keys, scale.rounds, due)
    return [dataclasses.replace(figure_of(engine, rounds[engine,]), flushes=flushes[engine,][0])
            for engine, in keys]


def drain(engines, scale):
    """Once each: filling takes longer than all the rest. A twentieth before it counts the flushes.
    Both begin with a start, so that nobody works yet on what is put in."""
    def filled(engine, count, limit_s):
        engine.kill()
        engine.start()
        return engine.fill(count, limit_s)

    def tried(engine):
        waiting = filled(engine, max(scale.waiting // 20, 1_000), scale.fill_limit_s / 4)
        return flushed(engine, lambda: engine.drain(waiting, scale.drain_limit_s)[0])

    def drained(engine):
        waiting = filled(engine, scale.waiting, scale.fill_limit_s)

        def work():
            return Load(*engine.drain(waiting, scale.drain_limit_s), 0, 0)
        return waiting, measured(engine, work)
    keys = [(engine,) for engine in engines if engine.waits]
    flushes = in_turn(engines, keys, 1, tried)
    figures = []
    for (engine,), [(waiting, one)] in in_turn(engines, keys, 1, drained).items():
        figure = figure_of(engine, [one])
        figure.p50_ms = figure.p99_ms = None  # how long an item waits is up to who fills
        figure.flushes = flushes[engine,][0]
        figure.note = f"{waiting:,} waited" + ("" if engine.waits == "queue" else ", for timers")
        if one[0].operations < waiting * 0.9:
            figure.note += f"; {one[0].operations:,} were done when the time was over"
        figures.append(figure)
    return figures


def idle(engines, scale):
    """All at the same time: none is asked anything. Then once more, for the flushes."""
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
    with contextlib.ExitStack() as counting:
        flushes = [counting.enter_context(engine.enclosure.flushes()) for engine in engines]
        time.sleep(scale.idle_s)
    for figure, counted in zip(figures, flushes):
        figure.flushes = counted[0] / scale.idle_s
    return figures


def kill(engines, scale):
    """Works of three steps are accepted; when half are, all processes get kill -9. From the start
    of the next ones until the last accepted work is done. Who was slow once is not asked again."""
    rounds = {}

    def killed(engine):
        done = rounds.setdefault(engine, [])
        if any(figure.done_s > scale.slow_recovery_s for figure in done):
            return None
        accepted = set()
        for number in engine.accept(len(done) * scale.accepted, scale.accepted, 64):
            accepted.add(number)
            if len(accepted) == scale.accepted // 2:
                engine.kill()
        if len(accepted) < scale.accepted // 2:
            raise SystemExit(f"peers: {engine.name} has accepted only {len(accepted)} works")
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
        done.append(Figure(engine.name, done_s=seconds,
                           resident_mb=engine.enclosure.resident_bytes() / 1e6,
                           note=f"{len(accepted):,} accepted; up after {up:.1f} s; "
                                f"{ended} {seconds:.1f} s"))
        return done[-1]
    keys = [(engine,) for engine in engines if engine.recovers]
    return [sorted(figures, key=lambda figure: figure.done_s)[len(figures) // 2]
            for figures in in_turn(engines, keys, scale.rounds, killed).values()]
