#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev check: format, layers, vendor headers by owner, sizes, pure modules, the default tenant, SQL,
hashes without a seed, error pages, failures that nobody looks at, exceptions without a reason, Python, headers that stand alone.

Prints one line per problem and exits 1 if there is any. --quick compiles nothing; --full compiles
every header and not only those that a change can have broken. UPDATE_GOLDEN=1 writes the index of
the error pages again.
"""
import ast
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

from batches import compiled
from changes import ROOT, changed_files, includers
from dropped import dropped
from hashes import unseeded

SRC = ROOT / "src"
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
# Pure modules: no clock, no environment, no randomness, no threads.
PURE = ("conductor", "rules", "packs", "kernel", "policy", "expr", "model")
IMPURE = re.compile(
    r"\b(?:system_clock|steady_clock|high_resolution_clock)\b|\bgetenv\s*\(|\brandom_device\b"
    r"|\bunix_ms\s*\(\s*\)"
    r"|#\s*include\s+<(?:thread|mutex|future|condition_variable|boost/asio)"
)
# A path of output or artifacts, written down. `slots/N/artifacts` is a run's own folder.
BLOB_PATH = re.compile(r'"(?:[^"\n]*/)?output/[^"\n]*"|"/output"|(?<!slots/\{\})"/artifacts"'
                       r'|"(?:[^"\n]*/)?artifacts/[^"\n]*"')
# The impure files of pure modules, named as such in their headers.
IMPURE_FILES = {"src/packs/folder.cpp", "src/rules/zone.cpp"}
# The one maker of threads: where the system gives none it is an error, not an exception.
THREADS_IN = "src/async/thread.cpp"
THREAD = re.compile(r"\bstd::j?thread\s*[({]|\bstd::j?thread \w+\s*[({]|\bstd::async\b")
MAX_LINES = 600
# Where an error gets its code; a comparison with one does not count.
ERROR_CODE = re.compile(r'(?<!== )"([A-Z]{3}-\d{4})"')
ERROR_PAGES = ROOT / "docs/errors"
NOLINT = re.compile(r"NOLINT(?:NEXTLINE|BEGIN)?\([\w-]+\): \S")
PAGE_PARTS = ("## What happened", "## What to do")
# SQL: only in store and adapters, and what is in store stands in the golden list.
STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"(?:\s*"(?:[^"\\]|\\.)*")*')
STATEMENT = re.compile(
    r"\s*(?:SELECT\s|INSERT\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|PRAGMA\s|CREATE\s+TABLE\s"
    r"|BEGIN\b|COMMIT$|ROLLBACK$)"
)
SQL_WORDS = re.compile(r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|WHERE|ON CONFLICT|ORDER BY)\b")
STATEMENTS = ROOT / "tests/contract/golden/statements.txt"
# Where the tenant that the first start makes may be named. Elsewhere a tenant comes with what is
# asked or with the row: one that is missing is an error (SEC-0003), never the default.
DEFAULT_TENANT = re.compile(r"\bkDefaultTenant\b|\bTenantId\s*[({]\s*1\s*[)}]")
DEFAULT_TENANT_IN = {
    "src/base/ids.h": "says what it is",
    "src/app/server.cpp": "the first start makes its token; the folders of packs are its own",
    "src/app/pack_loader.cpp": "the folders of packs, and what is installed, are its own as yet",
    "src/app/sensor_specs.cpp": "the sensors of the system's packs, which all see, run once",
    "src/app/recover.cpp": "a restored store, or the owner of a folder, gets a token to begin with",
    "src/engine/engine.cpp": "the packs that a server starts with are its own",
    "src/services/api/webhooks.cpp": "a delivery whose path has no tenant is its own",
    "src/services/api/deliveries.cpp": "the same",
}
# The one writer of what a command prints: one that fails makes the command fail.
STDOUT = re.compile(r"\bfmt::print\((?!\s*stderr\b)|\bstd::cout\b|\b(?:std::)?(?:puts|putchar|printf)\("
                    r"|\b(?:fwrite|fputs|fprintf|fflush)\([^;]*\bstdout\b")
STDOUT_IN = "src/cli/stdout.cpp"
# It throws where stderr is full or closed.
STDERR = re.compile(r"\bfmt::print\(\s*stderr\b|\bstd::cerr\b")
NAMED_FILES = re.compile(r"\|((?: *`[\w./*]+\.(?:h|cpp|py)`,?)+) *\|")  # the first cell of a row
FILE_NAME = re.compile(r"`([^`]+)`")
problems = []


def problem(path, line, text):
    problems.append(f"{path}:{line}: {text}")


def git_files(*patterns):
    out = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\n")
    return [ROOT / name for name in out if name and (ROOT / name).exists()]


def read_layers():
    allowed, vendors = {}, []
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        if ">" in line:
            prefix, owners = line.split(">")
            vendors.append((prefix.strip(), owners.split()))
        else:
            module, modules = line.split(":")
            allowed[module.strip()] = modules.split()
    return allowed, vendors


def module_of(relative, allowed):
    """The longest module path that `relative` (below src/) lies in."""
    parts = relative.split("/")
    for end in range(len(parts) - 1, 0, -1):
        name = "/".join(parts[:end])
        if name in allowed:
            return name
    return None


def check_includes(sources):
    allowed, vendors = read_layers()
    for path in sources:
        relative = path.relative_to(SRC).as_posix()
        shown = path.relative_to(ROOT).as_posix()
        module = module_of(relative, allowed)
        if module is None:
            problem(shown, 1, "its module has no line in tools/layers.txt")
            continue
        text = path.read_text()
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            bracket, name = match.groups()
            if bracket == '"':
                other = module_of(name, allowed)
                if other is None:
                    if (path.parent / name).exists():
                        continue
                    problem(shown, line, f'"{name}" lies in no module of tools/layers.txt')
                elif other.startswith("adapters/") and path.stem.endswith(("_test", "_bench")):
                    continue  # a test may stand on a real adapter
                elif other != module and "*" not in allowed[module] and other not in allowed[module]:
                    problem(shown, line, f"{module} may not include {other} (\"{name}\")")
                continue
            owners = next((o for p, o in vendors if name.startswith(p)), None)
            if owners is None:
                if "/" in name and not name.startswith(("sys/", "netinet/", "arpa/", "linux/", "net/")):
                    problem(shown, line, f"<{name}> has no owner in tools/layers.txt")
            elif "*" not in owners and not any(
                module == owner or module.startswith(owner + "/") for owner in owners
            ):
                problem(shown, line, f"<{name}> belongs to {', '.join(owners)}, not to {module}")


def check_blob_paths(sources):
    """Where output and artifacts lie is known in one room: the port names them, blob_fs keeps
    them."""
    for path in sources:
        shown = path.relative_to(ROOT).as_posix()
        if shown.startswith(("src/kernel/blobs", "src/adapters/blob_fs/")):
            continue
        if path.stem.endswith(("_test", "_fuzz", "_bench")):
            continue
        text = path.read_text()
        for match in BLOB_PATH.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            problem(shown, line, f"a path to blobs ({match.group(0)}): take kernel/blobs.h")


def check_pure(sources):
    for path in sources:
        shown = path.relative_to(ROOT).as_posix()
        if path.relative_to(SRC).parts[0] not in PURE or shown in IMPURE_FILES:
            continue
        if path.stem.endswith(("_test", "_fuzz", "_bench")):
            continue
        text = path.read_text()
        for match in IMPURE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            problem(shown, line, f"a pure module uses `{match.group(0).strip()}`")


def check_stdout(sources):
    for path in sources:
        shown = path.relative_to(ROOT).as_posix()
        if shown == STDOUT_IN or path.stem.endswith(("_test", "_fuzz", "_bench")):
            continue
        text = path.read_text()
        for match in STDOUT.finditer(text):
            problem(shown, text.count("\n", 0, match.start()) + 1,
                    "writes to stdout: take cli/stdout.h, which notes what fails")
        for match in STDERR.finditer(text):
            problem(shown, text.count("\n", 0, match.start()) + 1,
                    "may throw where stderr is full: take base/stderr.h")


def check_threads(sources):
    for path in sources:
        shown = path.relative_to(ROOT).as_posix()
        if shown == THREADS_IN or path.stem.endswith(("_test", "_fuzz", "_bench", "test_support",
                                                      "_fixture")):
            continue
        text = path.read_text()
        for match in THREAD.finditer(text):
            problem(shown, text.count("\n", 0, match.start()) + 1,
                    "makes a thread that throws when there is none: take async/thread.h")


def check_default_tenant(sources):
    unused = set(DEFAULT_TENANT_IN)
    for path in sources:
        shown = path.relative_to(ROOT).as_posix()
        if path.stem.endswith(("_test", "_fuzz", "_bench", "_fixture", "test_support")):
            continue
        text = path.read_text()
        for match in DEFAULT_TENANT.finditer(text):
            unused.discard(shown)
            if shown not in DEFAULT_TENANT_IN:
                problem(shown, text.count("\n", 0, match.start()) + 1,
                        "names the default tenant: take that of the caller or of the row")
    for shown in sorted(unused):
        problem(shown, 1, "does not name the default tenant: strike it from DEFAULT_TENANT_IN")


def check_hashes(sources):
    """Tables whose keys come from outside are hashed with the seed of the process."""
    for path in sources:
        if path.stem.endswith(("_test", "_fuzz", "_bench")):
            continue
        for line, what in unseeded(path.read_text()):
            problem(path.relative_to(ROOT).as_posix(), line,
                    f"{what} has no seed: StringHash or seeded_hash of base/hash.h, or ValueHash")


def strings_of(text):
    """(line, content) of each string literal, with those that stand side by side as one."""
    code = re.sub(r"^\s*(?://|#include).*$", "", text, flags=re.M)
    for match in STRINGS.finditer(code):
        parts = re.findall(r'"((?:[^"\\]|\\.)*)"', match.group(0))
        yield code.count("\n", 0, match.start()) + 1, "".join(parts)


def check_sql(sources):
    golden = STATEMENTS.read_text()
    for path in sources:
        shown = path.relative_to(ROOT).as_posix()
        where = path.relative_to(SRC).parts[0]
        if where == "adapters" or path.stem.endswith(("_test", "_fuzz", "_bench")):
            continue
        if path.name in ("test_support.h", "watched_store.h"):
            continue
        for line, text in strings_of(path.read_text()):
            if where != "store":
                if STATEMENT.match(text):
                    problem(shown, line, "SQL outside of src/store: a function of store/read.h")
            elif SQL_WORDS.search(text):
                # {name} and {} stand for what a statement is given.
                parts = re.split(r"\{\w*\}", text.strip())
                if not re.search(".*?".join(map(re.escape, parts)), golden):
                    problem(shown, line, "SQL that tests/contract/statements_test.cpp does not see: "
                            "call it there, UPDATE_GOLDEN=1 writes the list again")


def check_shape(sources):
    for path in sources:
        shown = path.relative_to(ROOT).as_posix()
        lines = path.read_text().split("\n")
        if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(lines[:3]):
            problem(shown, 1, "no SPDX line in the first three lines")
        if path.suffix == ".h" and "#pragma once" not in lines:
            problem(shown, 1, "no #pragma once")
        if len(lines) > MAX_LINES and not path.stem.endswith("_test"):
            problem(shown, len(lines), f"{len(lines)} lines: does it hold two things?")
        for number, line in enumerate(lines, 1):
            if len(line) > 100 and "http" not in line and 'R"' not in line:
                problem(shown, number, f"{len(line)} columns, expected at most 100")


def error_codes(sources):
    """code -> the first place that uses it, and prefix -> the modules that do."""
    allowed, _ = read_layers()
    places, modules = {}, {}
    for path in sources:
        if path.stem.endswith(("_test", "_fuzz", "_bench")):
            continue
        text = path.read_text()
        for match in ERROR_CODE.finditer(text):
            code = match.group(1)
            shown = path.relative_to(ROOT).as_posix()
            places.setdefault(code, (shown, text.count("\n", 0, match.start()) + 1))
            module = module_of(path.relative_to(SRC).as_posix(), allowed)
            modules.setdefault(code[:3], set()).add(module)
    return places, modules


def error_index(titles, modules):
    """The tables of docs/errors/README.md, one per prefix, made from the titles of the pages."""
    out = ""
    for prefix in sorted({code[:3] for code in titles}):
        where = ", ".join(f"`{name}`" for name in sorted(modules.get(prefix, ())))
        out += f"\n## {prefix}: {where}\n\n| code | what |\n|---|---|\n"
        for code in sorted(code for code in titles if code.startswith(prefix)):
            out += f"| [{code}]({code}.md) | {titles[code]} |\n"
    return out


def check_error_pages(sources):
    """Every error code has a page, every page a code, and the index shows them all."""
    places, modules = error_codes(sources)
    titles = {}
    for path in sorted(ERROR_PAGES.glob("*-*.md")):
        shown, lines = path.relative_to(ROOT).as_posix(), path.read_text().split("\n")
        if not lines[0].startswith(f"# {path.stem}: "):
            problem(shown, 1, f"expected the title '# {path.stem}: what it is'")
        titles[path.stem] = lines[0].partition(": ")[2]
        for part in PAGE_PARTS:
            if part not in lines:
                problem(shown, 1, f"no part '{part}'")
        if path.stem not in places:
            problem(shown, 1, f"no source uses {path.stem}: remove the page")
    for code in sorted(places.keys() - titles.keys()):
        problem(*places[code], f"{code} has no page docs/errors/{code}.md")
    index = ERROR_PAGES / "README.md"
    head, mark, tables = index.read_text().partition("\n## ")
    wanted = error_index(titles, modules)
    if mark + tables == wanted:
        return
    if os.environ.get("UPDATE_GOLDEN"):
        index.write_text(head + wanted)
    else:
        problem("docs/errors/README.md", 1, "not the pages' titles: UPDATE_GOLDEN=1 ./dev check")


def check_format(sources):
    run = subprocess.run(
        ["clang-format-19", "--dry-run", "-Werror", *map(str, sources)],
        capture_output=True, text=True,
    )
    if run.returncode != 0:
        for line in run.stderr.splitlines():
            match = re.match(r"(.*?):(\d+):\d+: error", line)
            if match:
                shown = pathlib.Path(match.group(1)).relative_to(ROOT)
                problem(shown, match.group(2), "format differs: ./dev fmt")


def check_dropped(sources):
    """A failure is handled, passed on, or waived with a reason."""
    for path in sources:
        if path.stem.endswith(("_test", "_fuzz", "_bench")):
            continue
        for line, name in dropped(path.read_text()):
            problem(path.relative_to(ROOT).as_posix(), line,
                    f"what if {name} failed? No else, return, ASSERT or TRY tells, and no comment "
                    "`may fail: why`")


def check_exceptions(sources):
    """clang-tidy's findings are waived one by one, by name, with the reason behind it."""
    for path in sources:
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if "NOLINT" in line and not NOLINT.search(line) and "NOLINTEND" not in line:
                problem(path.relative_to(ROOT).as_posix(), number,
                        "expected NOLINT(check): and the reason")


def check_headers(full):
    """Every header compiles alone, without the precompiled ones."""
    headers = [path for path in git_files("src/*.h") if path.is_relative_to(SRC)]
    if not full:
        headers = includers(headers, changed_files())
    like = next(one for one in compiled(ROOT / "build/dev") if one.target == "mr_base")
    words, flags = iter(like.flags()), []
    for word in words:
        if word == "-include-pch":
            next(words)
        else:
            flags.append(word)
    flags += ["-isystem", str(ROOT / "build/dev/proto")]  # generated from api/proto

    def problems_of(path):
        name = path.relative_to(SRC).as_posix()
        run = subprocess.run(
            [like.words[0], *flags, '-DMILLRACE_SOURCE_DIR=""', "-fsyntax-only", "-x", "c++", "-"],
            cwd=ROOT,
            input=f'#include "{name}"\n', capture_output=True, text=True,
        )
        errors = [line for line in run.stderr.splitlines() if "error:" in line]
        return errors[:5] if run.returncode != 0 else []

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for errors in pool.map(problems_of, headers):
            problems.extend(errors)
    return len(headers)


def check_python():
    """What no test runs (bench/peers) is at least Python, and nothing is defined over something."""
    for path in git_files("*.py"):
        try:
            tree = ast.parse(path.read_text(), path.name)
        except SyntaxError as error:
            problem(path.relative_to(ROOT), error.lineno, error.msg)
            continue
        for scope in [tree, *[node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]]:
            there = set()
            for node in scope.body:
                if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                    continue
                if node.name in there and not node.decorator_list:
                    problem(path.relative_to(ROOT), node.lineno, f"a second '{node.name}'")
                there.add(node.name)


def check_maps():
    """A Markdown file is one, and the files that a README's tables name are there."""
    for path in git_files("*.md"):
        shown = path.relative_to(ROOT)
        lines = path.read_text().split("\n")
        if not lines[0].startswith("# "):
            problem(shown, 1, f"expected a title (`# ...`), found '{lines[0][:40]}'")
        for number, line in enumerate(lines, 1):
            row = NAMED_FILES.match(line)
            names = FILE_NAME.findall(row[1]) if row and path.name == "README.md" else []
            for name in names:
                beside = path.parent / pathlib.Path(names[0]).parent
                if not any(list(folder.glob(name)) for folder in (path.parent, beside, ROOT, SRC)):
                    problem(shown, number, f"names {name}, which is not there")


def main():
    sources = [p for p in git_files("src/*.h", "src/*.cpp") if p.is_relative_to(SRC)]
    tests = git_files("tests/*.h", "tests/*.cpp", "bench/*.h", "bench/*.cpp")
    check_includes(sources)
    check_pure(sources)
    check_blob_paths(sources)
    check_default_tenant(sources)
    check_stdout(sources)
    check_threads(sources)
    check_sql(sources)
    check_hashes(sources)
    check_shape(sources + tests)
    check_error_pages(sources)
    check_format(sources + tests)
    check_dropped(sources)
    check_exceptions(sources + tests)
    check_python()
    check_maps()
    headers = 0 if "--quick" in sys.argv else check_headers("--full" in sys.argv)
    for line in problems:
        print(line)
    print(f"check: {len(sources) + len(tests)} files, {headers} headers alone, "
          f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
