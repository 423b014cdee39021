#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev lint [--full]: clang-tidy by the rules of .clang-tidy over the sources that changed (for a
header: its own source, or the first that includes it); with --full over all of them, whole batches
at once. build/dev must be configured and its precompiled header built. Exits 1 on a finding."""
import concurrent.futures
import os
import subprocess
import sys

from batches import ROOT, compiled
from changes import changed_files

BUILD = ROOT / "build/dev"


def source_of(header, sources):
    own = header.with_suffix(".cpp")
    if own in sources:
        return own
    src = ROOT / "src"
    name = header.relative_to(src).as_posix() if header.is_relative_to(src) else header.name
    return next((s for s in sorted(sources) if f'"{name}"' in s.read_text()), None)


def wanted(full):
    """Pairs of a file and its compilation."""
    every = [one for one in compiled(BUILD) if "_deps" not in one.output]
    changed = None if full else changed_files()
    if changed is None:
        return [(one.file, one) for one in every]
    by_source = {part: one for one in every for part in one.parts}
    files = set()
    for path in (ROOT / name for name in changed):
        if path.suffix == ".cpp" and path in by_source:
            files.add(path)
        elif path.suffix == ".h" and path.exists():
            files.add(source_of(path, by_source))
    return [(path, by_source[path]) for path in sorted(files - {None})]


def findings(pair):
    path, one = pair
    run = subprocess.run(
        ["clang-tidy-19", "--quiet", f"--config-file={ROOT / '.clang-tidy'}", str(path), "--",
         *one.flags()],
        cwd=BUILD, capture_output=True, text=True,
    )
    return run.returncode, run.stdout, run.stderr


def main():
    pairs = wanted("--full" in sys.argv)
    seen, failed = set(), False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for code, out, err in pool.map(findings, pairs):
            if code == 0:
                continue
            failed = True
            text = out if "error:" in out else out + err
            for line in text.splitlines():
                # A header's finding comes with each source that includes it.
                if "error:" in line and line not in seen:
                    seen.add(line)
                    print(line.replace(f"{ROOT}/", ""), flush=True)
    print(f"lint: {len(pairs)} compilations, {len(seen)} findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
