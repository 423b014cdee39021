#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev fuzz [--seconds N] [--planted] [--record] [TARGET...]: runs fuzz targets, two at a time.

A target begins with its seeds (src/ROOM/corpus/TARGET, with its dictionary TARGET.dict beside them)
and with what earlier runs have kept in build/fuzz/corpus. It fails on a crash, a finding of a
sanitizer, a check of its own, an input of more than a second of CPU, and at 512 MB. What it found
lies in build/fuzz/found; the line that is printed tries it again.

--planted: each target has a fault in it that only this run has, and must find it from its seeds
alone, within 20 s of CPU, at its first or second try. --record adds runs and minutes of CPU to the table of
docs/reliability.md; with it --seconds are of CPU.
"""
import argparse
import concurrent.futures
import ctypes
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/fuzz"
TABLE = ROOT / "docs/reliability.md"
TARGET = re.compile(r"^FUZZ\((\w+)\)", re.M)
PLANTED_CPU = 20
LIMITS = ["-rss_limit_mb=512", "-timeout=60", "-max_len=4096", "-print_final_stats=1"]
# Memory that is freed is kept back for a while, to find its use: less than ASan's 256 MB.
ASAN = "quarantine_size_mb=16:detect_leaks=1:allocator_may_return_null=0"


def targets():
    """Each target and the corpus folder of its room."""
    found = {}
    for source in sorted((ROOT / "src").rglob("*_fuzz.cpp")):
        for name in TARGET.findall(source.read_text()):
            found[name] = source.parent / "corpus"
    return found


def planted_limits():
    """The same addresses each time: libFuzzer learns from comparisons, of pointers too."""
    addr_no_randomize = 0x0040000
    ctypes.CDLL(None).personality(addr_no_randomize)
    resource.setrlimit(resource.RLIMIT_CPU, (PLANTED_CPU, PLANTED_CPU + 1))


class Run:
    def __init__(self, name, corpus, folder, words, planted):
        command = [str(BUILD / f"{name}_fuzz"), str(folder)]
        if (corpus / name).is_dir():
            command.append(str(corpus / name))
        dictionary = corpus / f"{name}.dict"
        if dictionary.exists():
            command.append(f"-dict={dictionary}")
        found = BUILD / "found"
        found.mkdir(exist_ok=True)
        command += [*LIMITS, f"-artifact_prefix={found}/{name}-", *words]
        environment = dict(os.environ, ASAN_OPTIONS=ASAN)
        limit = None
        if planted:
            environment["MILLRACE_FUZZ_PLANTED"] = "1"
            limit = planted_limits
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=limit,
        ) as child:
            self.log = child.stdout.read().decode(errors="replace")
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        self.name = name
        self.code = child.returncode
        self.cpu = usage.ru_utime + usage.ru_stime
        runs = re.search(r"stat::number_of_executed_units: (\d+)", self.log)
        steps = re.findall(r"^#(\d+)", self.log, re.M)
        self.runs = int(runs[1]) if runs else int(steps[-1]) if steps else 0
        cover = re.findall(r"cov: (\d+) ft: (\d+)", self.log)
        self.edges, self.features = map(int, cover[-1]) if cover else (0, 0)
        artifact = re.search(r"Test unit written to (\S+)", self.log)
        self.artifact = artifact[1] if artifact else None

    def has_found(self):
        return "a planted fault" in self.log or "assertion failed" in self.log

    def reason(self):
        """The lines of the log from the finding on."""
        marks = ("assertion failed", "ERROR:", "runtime error", "SUMMARY:")
        lines = self.log.splitlines()
        first = next((i for i, l in enumerate(lines) if any(m in l for m in marks)), len(lines) - 8)
        return "\n".join(lines[max(first, 0) : first + 25])


def fuzz(name, corpus, seconds):
    kept = BUILD / "corpus" / name
    kept.mkdir(parents=True, exist_ok=True)
    return Run(name, corpus, kept, [f"-max_total_time={seconds}"], False)


def fuzz_for(name, corpus, seconds):
    """As long as it takes to have used that much CPU: for the table, on a busy machine too. In
    processes of a minute: the sanitizer's heap falls to pieces in longer ones, up to the limit."""
    minute = 60
    run = fuzz(name, corpus, min(seconds, minute))
    while run.code == 0 and run.cpu < 0.95 * seconds:
        more = fuzz(name, corpus, min(max(int(seconds - run.cpu), 10), minute))
        more.cpu += run.cpu
        more.runs += run.runs
        run = more
    return run


def plant(name, corpus, _):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="millrace-fuzz-"))
    try:
        seeds = Run(name, corpus, folder, ["-runs=0"], True)
        run = Run(name, corpus, folder, ["-seed=1"], True)
        if not run.has_found():
            run = Run(name, corpus, folder, ["-seed=2"], True)
        if seeds.code != 0:
            run.log = f"a seed has it already: {seeds.artifact}\n"
    finally:
        shutil.rmtree(folder)
    if run.artifact:
        pathlib.Path(run.artifact).unlink(missing_ok=True)
    return run


def record(run):
    """Adds to its row `| target | runs | edges | features | minutes |`; a new target gets one."""
    text = TABLE.read_text()
    begin = text.index("| target | runs |")
    end = text.index("\n\n", begin)
    head, rule, *rows = text[begin:end].split("\n")
    table = {row.split("|")[1].strip(): row for row in rows}
    runs_before, minutes = 0, 0.0
    if run.name in table:
        cells = [cell.strip().replace(",", "") for cell in table[run.name].split("|")]
        runs_before, minutes = int(cells[2]), float(cells[5])
    table[run.name] = (f"| {run.name} | {runs_before + run.runs:,} | {run.edges:,} "
                       f"| {run.features:,} | {minutes + run.cpu / 60:.1f} |")
    rows = [table[name] for name in sorted(table)]
    TABLE.write_text(text[:begin] + "\n".join([head, rule, *rows]) + text[end:])


def main():
    parser = argparse.ArgumentParser(prog="./dev fuzz")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--planted", action="store_true")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("names", nargs="*", metavar="TARGET")
    options = parser.parse_args()
    known = targets()
    for name in options.names:
        if name not in known:
            sys.exit(f"no fuzz target '{name}': expected one of {', '.join(sorted(known))}")
    chosen = options.names or sorted(known)
    one = plant if options.planted else fuzz_for if options.record else fuzz
    failed = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(one, name, known[name], options.seconds) for name in chosen]
        for job in concurrent.futures.as_completed(jobs):
            run = job.result()
            if options.record:
                record(run)
            print(f"{run.name:18} {run.runs:>10,} runs {run.edges:>7,} edges {run.features:>7,} "
                  f"features {run.cpu:6.1f} s of CPU", flush=True)
            if options.planted and not run.has_found():
                failed.append(run)
                print(f"  the fault that is planted there was not found\n{run.reason()}", flush=True)
            elif not options.planted and run.code != 0:
                failed.append(run)
                print(f"{run.reason()}\nrepro: build/fuzz/{run.name}_fuzz {run.artifact}", flush=True)
    print(f"{len(chosen)} targets, {len(failed)} failed: {' '.join(run.name for run in failed)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
