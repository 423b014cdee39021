# SPDX-License-Identifier: Apache-2.0
"""The faults. Each is given the site, a source of chance of its own, and a function that says what
was drawn; when it returns, the site may be anything that `Site.heal` makes whole again."""
import random
import shutil
import signal
import threading
import time

from harness import until
from network import BOTH, DOWN, UP
from place import AGENTS, APIS, EXECUTORS, Node, kill_pids

BEYOND_LEASE_S = 14
AWAY_S = 20
LEFT_ALONE = (0, 1, 12)  # seconds until somebody starts again who was killed


def calm(_site, _chance, say):
    say("nothing")


def kill(names):
    def fault(site, chance, say):
        name, spawner = chance.choice(names), chance.random() < 0.4
        pause = chance.choice(LEFT_ALONE)
        say(f"kill -9 of {name}{' and its spawner' if spawner else ''}, back after {pause} s")
        one = site.everyone()[name]
        one.kill(spawner=spawner)
        time.sleep(pause)
        one.start(ready=False)
    return fault


def stop(names):
    def fault(site, chance, say):
        name = chance.choice(names)
        say(f"SIGSTOP of {name} for {BEYOND_LEASE_S} s")
        one = site.everyone()[name]
        one.signal(signal.SIGSTOP)
        time.sleep(BEYOND_LEASE_S)
        one.signal(signal.SIGCONT)
    return fault


def kill_often(site, chance, say):
    """At any moment of a start, too."""
    times, far_apart = chance.randint(6, 12), chance.choice((0.3, 2))
    say(f"{times} times kill -9 of anybody, up to {far_apart} s apart")
    for _ in range(times):
        one = site.everyone()[chance.choice(list(site.everyone()))]
        one.kill(spawner=chance.random() < 0.3)
        one.start(ready=False)
        time.sleep(chance.uniform(0, far_apart))


def kill_spawners(site, chance, say):
    names = chance.sample((*EXECUTORS, *AGENTS), 2)
    say(f"kill -9 of the spawners of {' and '.join(names)}")
    for name in names:
        kill_pids(site.everyone()[name].spawner_pids())


def kill_all(site, chance, say):
    names = list(EXECUTORS) if chance.random() < 0.5 else list(site.nodes)
    say(f"kill -9 of {', '.join(names)} at once")
    for name in names:
        site.nodes[name].kill()
    time.sleep(chance.choice((0, 2)))
    for name in names:
        site.nodes[name].start(ready=False)


def two_at_once(site, chance, say):
    names = chance.sample(("kill_executor", "kill_api", "kill_agent", "restart_postgres",
                           "postgres_away", "cut_connections", "cut", "step_clock"), 2)
    say(f"{' and '.join(names)} at once")
    troubles = []

    def one(name, own_chance):
        try:
            FAULTS[name](site, own_chance, say)
        except Exception as error:
            troubles.append(error)
    threads = [threading.Thread(target=one, args=(name, random.Random(chance.random())))
               for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for trouble in troubles:
        raise trouble


def restart_postgres(site, chance, say):
    how = chance.choice(("kill", "stop"))
    say(f"PostgreSQL: {how} and start")
    getattr(site.postgres, how)()
    site.postgres.start()


def postgres_away(site, chance, say):
    say(f"PostgreSQL stopped for {AWAY_S} s")
    site.postgres.stop()
    time.sleep(AWAY_S)
    site.postgres.start()


def cut_connections(site, chance, say):
    times = chance.choice((1, 5, 15))
    say(f"{times} times all connections of PostgreSQL ended")
    for _ in range(times):
        if site.postgres.answers():
            site.postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                "pid <> pg_backend_pid() AND backend_type = 'client backend'")
        time.sleep(chance.uniform(0.1, 1))


def fill_disk(site, chance, say):
    seconds = chance.choice((3, 10))
    say(f"the disk of PostgreSQL is full for {seconds} s")
    site.disk.fill()
    time.sleep(seconds)
    site.disk.free()
    site.postgres_is_up()


def cut(site, chance, say):
    links = {f"{name} and PostgreSQL": node.store_link for name, node in site.nodes.items()}
    links |= {f"{name} and who calls it": node.grpc_link for name, node in site.nodes.items()
              if node.host == "127.0.0.1"}
    if site.namespace:
        links["far and its server"] = site.namespace
    name = chance.choice(list(links))
    if chance.random() < 0.4:  # half of them are of PostgreSQL
        name = "far and its server" if site.namespace else "x2 and who calls it"
    ways, seconds = chance.choice((BOTH, UP, DOWN)), chance.choice((2, 15))
    say(f"cut between {name}, {' and '.join(ways)}, for {seconds} s")
    links[name].cut(ways)
    time.sleep(seconds)
    links[name].heal()


def step_clock(site, chance, say):
    name, seconds = chance.choice((*EXECUTORS, *APIS)), chance.choice((-20, -3, 3, 20))
    say(f"the clock of {name} is set by {seconds} s, and back")
    site.clock_was_set = True
    site.nodes[name].set_clock(seconds)
    time.sleep(8)
    site.nodes[name].set_clock(0)


def roll(site, chance, say):
    """One after the other. The first time it is an upgrade: each comes back as another version, the
    first of which makes a step of the schema, beside servers that do not know it."""
    names = list(site.everyone())
    chance.shuffle(names)
    binary, site.next_binary = site.next_binary, None
    say(f"rolling restart{f', to {binary.name}' if binary else ''}: {', '.join(names)}")
    for name in names:
        one = site.everyone()[name]
        code = one.stop()
        assert code == 0, f"{name} was told to stop and ended with {code}"
        one.binary = binary or one.binary
        one.start()


def twin_of(site, name):
    """A second server of a name that is taken, in a folder of its own."""
    site.twins += 1
    twin = Node(site, f"twin{site.twins}", "executor,worker")
    twin.binary = site.nodes[name].binary
    twin.settings["worker.name"] = name
    twin.data.mkdir(mode=0o700)
    shutil.copy(site.nodes["a1"].data / "keys.json", twin.data / "keys.json")
    return twin


def take_name(site, chance, say):
    name = chance.choice(EXECUTORS)
    twin, first = twin_of(site, name), site.nodes[name]
    try:
        if chance.random() < 0.5:
            say(f"a second {name} is started while the first one lives")
            twin.start(ready=False)
            until("the second one has given up", twin.has_ended, 60, 0.2)
            assert twin.process.returncode != 0 and "STO-0015" in twin.log.read_text(), \
                f"expected STO-0015, found {twin.process.returncode}"
            assert first.alive(), f"the first {name} has ended"
            return
        say(f"a second {name} takes the place of the first one, which is stopped and goes on")
        first.signal(signal.SIGSTOP)
        twin.start(ready=False)
        until("the second one has taken the place", twin.is_ready, 60, 0.2)
        first.signal(signal.SIGCONT)
        until("the first one has ended", first.has_ended, 60, 0.2)
        twin.stop()
    finally:
        twin.close()


FAULTS = {
    "calm": calm,
    "kill_executor": kill(EXECUTORS),
    "kill_api": kill(APIS),
    "kill_agent": kill(AGENTS),
    "kill_all": kill_all,
    "kill_often": kill_often,
    "kill_spawners": kill_spawners,
    "two_at_once": two_at_once,
    "two_more_at_once": two_at_once,
    "stop_executor": stop(EXECUTORS),
    "stop_api": stop(APIS),
    "stop_agent": stop(AGENTS),
    "restart_postgres": restart_postgres,
    "postgres_away": postgres_away,
    "cut_connections": cut_connections,
    "fill_disk": fill_disk,
    "cut": cut,
    "cut_again": cut,
    "step_clock": step_clock,
    "roll": roll,
    "take_name": take_name,
}


def order(chance):
    """Names without end: all of them in an order of chance, then in another one."""
    while True:
        names = [name for name in FAULTS if name != "calm"]
        chance.shuffle(names)
        yield from names
