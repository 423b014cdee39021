# SPDX-License-Identifier: Apache-2.0
"""git.head, git.clone and git.log."""
import git
from millrace import action, current

FIELDS = ("commit", "author", "email", "date", "subject")
LOG_FORMAT = "%x00".join(("%H", "%an", "%ae", "%aI", "%s"))


@action
def head(url, ref="HEAD"):
    name, commit = git.head(url, ref, current().config)
    return {"ref": name, "commit": commit}


@action
def clone(url, folder, ref=None, depth=1):
    words = ["clone", "--quiet"]
    if ref:
        words += ["--branch", git.word(ref)]
    if depth:
        words += ["--depth", str(depth)]
    git.git(*words, "--", git.word(url), folder, config=current().config)
    return {"folder": folder, "commit": git.git("rev-parse", "HEAD", folder=folder).strip()}


@action
def log(folder, ref="HEAD", since=None, most=20):
    span = f"{git.word(since)}..{git.word(ref)}" if since else git.word(ref)
    text = git.git("log", f"--max-count={most}", f"--format={LOG_FORMAT}", span, "--",
                   config=current().config, folder=folder)
    commits = [dict(zip(FIELDS, line.split("\0"))) for line in text.splitlines()]
    return {"commits": commits}
