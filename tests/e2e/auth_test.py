# SPDX-License-Identifier: Apache-2.0
"""Ways in: the last administrator, `auth recover`, whose token counts; whose files they are."""
import os
import pathlib
import stat
import subprocess
import sys

from harness import Server, binary, run_cases


def millrace(*words, expect=0, **more):
    ran = subprocess.run([binary(), *map(str, words)], capture_output=True, text=True, timeout=60, **more)
    assert ran.returncode == expect, (words, ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout + ran.stderr


def only_the_owner_may_open_what_is_there():
    old = os.umask(0)
    try:
        with Server() as server:
            server.start()
            secret = server.home / "secret"
            secret.write_text("a secret that is long enough")
            server.cli("run", "core.local", "cmd=true")
            server.cli("webhook", "create", "hub", "--scheme", "github", "--secret-file", str(secret))
            millrace("backup", server.home / "copy", "--data", server.data)
            for root in (server.data, server.home / "copy"):
                for path in [root, *root.rglob("*")]:
                    mode = stat.S_IMODE(path.lstat().st_mode)
                    in_run = server.data / "run" in path.parents  # below a folder of mode 0700
                    assert mode & 0o077 == 0 or path.is_symlink() or in_run, (path, oct(mode))
    finally:
        os.umask(old)


def the_last_administrator_stays_and_the_owner_gets_in_again():
    with Server() as server:
        server.start()
        first = server.client().data("GET", "/api/v1/tokens")[0]["id"]
        status, _, answer = server.client().request("DELETE", f"/api/v1/tokens/{first}")
        assert (status, answer["code"]) == (409, "API-0083"), answer

        said = millrace("auth", "recover", "--data", server.data, expect=1)
        assert "in use by process" in said and "stop the server" in said, said
        old = (server.data / "admin.token").read_text()
        server.stop()
        (server.data / "admin.token").unlink()  # lost
        said = millrace("auth", "recover", "--data", server.data)
        assert str(server.data / "admin.token") in said, said
        assert stat.S_IMODE((server.data / "admin.token").stat().st_mode) == 0o600
        new = (server.data / "admin.token").read_text()
        assert new != old and new.strip() not in said, said

        server.start()
        whoami = millrace("auth", "whoami", "--data", server.data)
        assert "admin" in whoami and "keys:decrypt" in whoami, whoami
        tokens = server.client().data("GET", "/api/v1/tokens")
        assert len(tokens) == 2 and all(t["permissions"] == ["*"] for t in tokens), tokens
        # The lost one can be ended now.
        server.cli("auth", "token", "revoke", first)
        millrace("auth", "whoami", "--data", server.data)
        millrace("doctor", "--data", server.data)

    nowhere = pathlib.Path("/nonexistent")
    assert "no store" in millrace("auth", "recover", "--data", nowhere, expect=3)


def a_token_that_is_named_is_the_one_that_counts():
    with Server() as server:
        server.start()
        made = server.client().data(
            "POST", "/api/v1/tokens", {"identity": "little", "permissions": ["rules:read"]})
        env = {**os.environ, "HOME": str(server.home), "MILLRACE_TOKEN": made["token"]}
        env.pop("MILLRACE_URL", None)
        env["MILLRACE_DATA"] = str(server.data)
        assert "little" in millrace("auth", "whoami", env=env)
        # The same where the folder is the default one.
        env.pop("MILLRACE_DATA")
        here = server.home / "here"
        here.mkdir()
        (here / "millrace-data").symlink_to(server.data)
        assert "little" in millrace("auth", "whoami", env=env, cwd=here)
        denied = millrace("auth", "token", "list", env=env, cwd=here, expect=4)
        assert "lacks the permission 'admin'" in denied, denied
        # And beside a default profile.
        config = server.home / ".config/millrace/config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f"profiles: {{default: {{url: '{server.url()}', token_file: {server.data}/admin.token}}}}\n")
        assert "little" in millrace("auth", "whoami", env=env)
        env.pop("MILLRACE_TOKEN")
        assert "admin" in millrace("auth", "whoami", env=env)


if __name__ == "__main__":
    sys.exit(run_cases([
        only_the_owner_may_open_what_is_there,
        the_last_administrator_stays_and_the_owner_gets_in_again,
        a_token_that_is_named_is_the_one_that_counts,
    ]))
