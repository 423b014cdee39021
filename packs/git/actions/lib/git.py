# SPDX-License-Identifier: Apache-2.0
"""The program git, with what strangers may have written kept out of its options."""
import os
import subprocess

from millrace import Failed

TRANSPORTS = ("https", "ssh")
TIMEOUT_S = 300


def git(*words, config=None, folder=None):
    """stdout of `git WORDS`. Asks nobody for a password."""
    config = config or {}
    env = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
        # Else `ext::` in a URL would run a command.
        "GIT_ALLOW_PROTOCOL": ":".join(config.get("transports") or TRANSPORTS),
        "LC_ALL": "C.UTF-8",
    }
    timeout_s = config.get("timeout") or TIMEOUT_S
    try:
        run = subprocess.run(["git", *words], cwd=folder, env=env, timeout=timeout_s,
                             capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError as error:
        what = "the program git" if error.filename == "git" else f"the folder '{folder}'"
        raise Failed(f"{what} is not there") from None
    except subprocess.TimeoutExpired:
        raise Failed(f"git {words[0]}: no answer within {timeout_s} s") from None
    if run.returncode != 0:
        said = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
        raise Failed(f"git {words[0]}: {said[-1]}")
    return run.stdout


def word(text):
    """A URL or ref as a word of a command line, which must not be taken for an option."""
    if not text or text.startswith("-"):
        raise Failed(f"expected a URL or a ref, found '{text}'")
    return text


def head(url, ref="HEAD", config=None):
    """(full name, commit) of a branch, a tag or HEAD."""
    # An annotated tag has an id of its own; its commit is that of `TAG^{}`.
    lines = git("ls-remote", word(url), word(ref), ref + "^{}", config=config).splitlines()
    found = dict(reversed(line.split("\t")) for line in lines)
    # `main` finds refs/heads/other/main too.
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if name in found:
            return name, found.get(name + "^{}", found[name])
    raise Failed(f"'{url}' has no branch or tag '{ref}'")
