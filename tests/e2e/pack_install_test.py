#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packs that are installed into a server: from a folder, from an archive, another release of it and
the one before again; what a restart keeps; and archives that no server may take."""
import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile

from harness import Client, Server, binary, rule, run_cases, until

GZIP = {"Content-Type": "application/gzip"}

FILES = {
    "pack.yaml": "ref: tea\nversion: 1.0.0\nname: Tea\n",
    "actions/brew.yaml": "name: brew\nrunner_type: shell\nentry_point: brew.sh\n"
                         "parameters: {what: {type: string, position: 0, default: green}}\n",
    "actions/brew.sh": "#!/bin/sh\necho \"brewed $1\"\n",
    "triggers/empty.yaml": "name: empty\n",
    "rules/again.yaml": "name: again\nenabled: true\ntrigger: {type: tea.empty}\n"
                        "action: {ref: tea.brew}\n",
}
# The same with another script, an action more, without the trigger and the rule on it.
NEXT = {
    **{k: v for k, v in FILES.items() if "triggers/" not in k and "rules/" not in k},
    "pack.yaml": FILES["pack.yaml"].replace("1.0.0", "1.1.0"),
    "actions/brew.sh": "#!/bin/sh\necho \"brewed well $1\"\n",
    "actions/drink.yaml": "name: drink\nrunner_type: noop\n",
}


def write(folder, files):
    shutil.rmtree(folder, ignore_errors=True)
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def archive(files, top="tea/", more=()):
    """A .tar.gz of these files; `more`: TarInfo, or functions that are given the TarFile."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        for entry in more:
            tar.addfile(entry)
    return out.getvalue()


def cli_json(server, *words, expect=0):
    return json.loads(server.cli(*words, "-o", "json", expect=expect))


def fails(server, *words, expect=1):
    run = subprocess.run([binary(), *words, "--data", str(server.data)], capture_output=True,
                         text=True, timeout=60)
    assert run.returncode == expect, f"{words}: {run.returncode}\n{run.stdout}{run.stderr}"
    return run.stderr


def releases(server):
    """The digests that are staged of the pack."""
    folder = server.data / "packs/tea"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def brew(server):
    return server.cli("run", "tea.brew").strip()


def a_folder_is_installed_and_a_restart_needs_it_no_more():
    with Server(packs=(), settings={"log.level": "info"}) as server:
        server.start()
        folder = write(server.home / "tea", FILES)
        would = server.cli("pack", "install", str(folder), "--dry-run")
        assert "would be: installed pack 'tea' 1.0.0" in would, would
        assert not releases(server)
        server.cli("pack", "show", "tea", expect=3)
        said = server.cli("pack", "install", str(folder))
        assert "installed pack 'tea' 1.0.0" in said, said
        assert "1 actions, 1 triggers, 1 rules, 0 faults" in said, said
        shutil.rmtree(folder)
        again = json.loads(server.cli("pack", "show", "tea", "-o", "json"))
        assert again["state"] == "installed" and again["source"] == str(folder), again
        assert again["installer"] and again["digest"] in releases(server), again
        assert "brewed green" in brew(server)
        assert server.cli("rule", "show", "tea.again")
        for _ in range(2):
            server.stop()
            server.start()
            shown = cli_json(server, "pack", "show", "tea")
            assert shown == again, (shown, again)
        assert not server.log_lines("pack.source_gone")
        assert "brewed green" in brew(server)
        # The same once more does nothing.
        write(folder, FILES)
        assert cli_json(server, "pack", "install", str(folder))["outcome"] == "unchanged"
        server.cli("pack", "uninstall", "tea")
        server.stop()
        server.start()
        server.cli("pack", "show", "tea", expect=3)
        server.stop()
        server.doctor()


def an_archive_is_installed_and_its_wrong_files_are_told():
    with Server(packs=()) as server:
        server.start()
        file = server.home / "tea.tar.gz"
        file.write_bytes(archive({**FILES, "actions/bad.yaml": "name: bad\nrunner_type: [\n"}))
        said = server.cli("pack", "install", str(file))
        assert "1 actions, 1 triggers, 1 rules, 1 faults" in said, said
        assert "fault: actions/bad.yaml:" in said, said
        shown = cli_json(server, "pack", "show", "tea")
        assert shown["faults"] == 1 and shown["problems"][0].startswith("actions/bad.yaml:"), shown
        assert shown["source"] == str(file)
        # What tar makes in other ways: files at the top, a link within, a folder's own entry.
        subprocess.run(["tar", "czf", file, "-C", write(server.home / "t", FILES), "."], check=True)
        assert cli_json(server, "pack", "install", str(file))["faults"] == 0
        os.symlink("brew.sh", server.home / "t/actions/same.sh")
        subprocess.run(["tar", "czf", file, "-C", server.home, "t"], check=True)
        assert cli_json(server, "pack", "install", str(file))["ref"] == "tea"
        digest = cli_json(server, "pack", "show", "tea")["digest"]
        staged = server.data / "packs/tea" / digest / "actions/same.sh"
        assert staged.read_text() == FILES["actions/brew.sh"] and not staged.is_symlink()
        assert "brewed green" in brew(server)


def another_release_says_what_changes_and_the_one_before_comes_back():
    with Server(packs=(), settings={"log.level": "info"}) as server:
        server.start()
        folder = write(server.home / "tea", FILES)
        said = fails(server, "pack", "upgrade", str(folder), expect=3)
        assert "no pack 'tea' to upgrade" in said, said
        fails(server, "pack", "rollback", "tea", expect=3)
        server.cli("pack", "install", str(folder))
        assert "no other release" in fails(server, "pack", "rollback", "tea")
        first = cli_json(server, "pack", "show", "tea")
        write(folder, NEXT)
        would = cli_json(server, "pack", "upgrade", str(folder), "--dry-run")
        assert would["dry_run"] and would["outcome"] == "upgraded", would
        assert would["version_before"] == "1.0.0" and would["version"] == "1.1.0", would
        assert would["added"] == ["action tea.drink"], would
        assert would["removed"] == ["rule tea.again", "trigger tea.empty"], would
        assert would["changed"] == ["action tea.brew"] and not would["breaks"], would
        assert cli_json(server, "pack", "show", "tea") == first
        assert releases(server) == [first["digest"]]
        said = server.cli("pack", "upgrade", str(folder))
        assert "+ action tea.drink" in said and "~ action tea.brew" in said, said
        assert "upgraded pack 'tea' 1.0.0" in said, said
        assert "brewed well green" in brew(server)
        server.cli("rule", "show", "tea.again", expect=3)
        # Back, also after a restart; and forth.
        server.stop()
        server.start()
        assert "brewed well green" in brew(server)
        back = cli_json(server, "pack", "rollback", "tea")
        assert back["outcome"] == "rolled_back" and back["version"] == "1.0.0", back
        assert "brewed green" in brew(server)
        assert server.cli("rule", "show", "tea.again")
        server.stop()
        server.start()
        assert cli_json(server, "pack", "show", "tea") == first
        assert cli_json(server, "pack", "rollback", "tea")["version"] == "1.1.0"
        assert not server.log_lines("pack.source_gone")
        server.stop()
        server.doctor()


def a_release_that_others_rules_would_miss_is_refused_unless_it_is_forced():
    with Server(packs=()) as server:
        server.start()
        client = server.client()
        client.data("POST", f"/api/v1/packs?from=tea.tar.gz", archive(FILES), GZIP)
        client.data("POST", "/api/v1/rules", rule("ops.mine", "core.noop", {}, trigger="tea.empty"))
        before = cli_json(server, "pack", "show", "tea")
        status, _, problem = client.request("POST", "/api/v1/packs", archive(NEXT), GZIP)
        assert status == 409 and problem["code"] == "PCK-0006", problem
        assert "rule ops.mine uses 'tea.empty'" in json.dumps(problem), problem
        would = client.data("POST", "/api/v1/packs?dry_run=true", archive(NEXT), GZIP)
        assert would["breaks"] == ["rule ops.mine uses 'tea.empty'"], would
        assert cli_json(server, "pack", "show", "tea") == before
        assert releases(server) == [before["digest"]]
        done = client.data("POST", "/api/v1/packs?force=true", archive(NEXT), GZIP)
        assert done["outcome"] == "upgraded" and done["breaks"], done
        assert cli_json(server, "rule", "show", "ops.mine")["ref"] == "ops.mine"


def a_pack_of_a_folder_is_changed_in_its_folder():
    with Server(packs=()) as server:
        folder = write(server.home / "tea", FILES)
        server.packs = (folder,)
        server.start()
        shown = cli_json(server, "pack", "show", "tea")
        assert shown["state"] == "folder" and shown["source"] == str(folder), shown
        status, _, problem = server.client().request("POST", "/api/v1/packs", archive(NEXT), GZIP)
        assert status == 409 and problem["code"] == "PCK-0011", problem
        assert str(folder) in problem["detail"], problem
        assert releases(server) == [shown["digest"]]
        write(folder, NEXT)
        done = cli_json(server, "pack", "reload")
        assert done["changed"] == ["tea"] and done["faults"] == 0, done
        assert "brewed well" in brew(server)
        assert cli_json(server, "pack", "reload")["changed"] == []
        # Its folder goes: it may be installed over.
        server.stop()
        server.packs = ()
        server.start()
        assert cli_json(server, "pack", "show", "tea")["state"] == "source_gone"
        done = server.client().data("POST", "/api/v1/packs", archive(NEXT), GZIP)
        assert done["outcome"] == "upgraded", done
        assert cli_json(server, "pack", "show", "tea")["state"] == "installed"
        assert cli_json(server, "pack", "rollback", "tea")["version"] == "1.0.0"
        core = archive({"pack.yaml": "ref: core\nversion: 9\n"})
        status, _, problem = server.client().request("POST", "/api/v1/packs", core, GZIP)
        assert status == 409 and problem["code"] == "PCK-0007", problem


def entry(name, kind=tarfile.REGTYPE, target="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def bad_archives():
    """(what, bytes, status, code, word of the answer)"""
    with_one = lambda *entries: archive(FILES, more=entries)
    yield "no gzip", b"PK\x03\x04", 400, "PCK-0008", "no .tar.gz"
    yield "nothing", b"", 400, "PCK-0008", "short"
    yield "cut gzip", archive(FILES)[:-20], 400, "PCK-0008", "damaged"
    yield "no tar", gzip.compress(b"hello" * 200), 400, "PCK-0008", "no tar archive"
    yield "cut tar", gzip.compress(gzip.decompress(archive(FILES))[:700]), 400, "PCK-0008", "short"
    yield "no pack", archive({"README": "x"}), 400, "PCK-0008", "pack.yaml"
    yield "dots", with_one(entry("tea/../../evil")), 400, "PCK-0008", "'..'"
    yield "absolute", with_one(entry("/tmp/millrace-evil")), 400, "PCK-0008", "absolute"
    yield "link out", with_one(entry("tea/l", tarfile.SYMTYPE, "../../etc/passwd")), 400, \
        "PCK-0008", "leads out"
    yield "absolute link", with_one(entry("tea/l", tarfile.SYMTYPE, "/etc/passwd")), 400, \
        "PCK-0008", "leads out"
    yield "hard link out", with_one(entry("tea/l", tarfile.LNKTYPE, "../etc/passwd")), 400, \
        "PCK-0008", "leads out"
    yield "device", with_one(entry("tea/null", tarfile.CHRTYPE)), 400, "PCK-0008", "is no file"
    yield "pipe", with_one(entry("tea/pipe", tarfile.FIFOTYPE)), 400, "PCK-0008", "is no file"
    yield "deep", with_one(entry("tea/" + "d/" * 30 + "x")), 400, "PCK-0008", "deeper"
    nul = archive(FILES, more=[entry("tea/" + "n" * 120 + "x")])
    nul = gzip.compress(gzip.decompress(nul).replace(b"n" * 120 + b"x\n", b"n" * 120 + b"\0\n"))
    yield "NUL", nul, 400, "PCK-0008", "NUL"
    yield "10,001 entries", archive({**FILES, **{f"f/{i}": "" for i in range(10_001)}}), 413, \
        "PCK-0009", "10000 files"
    yield "a bomb", gzip.compress(bytes(400 << 20), 9), 413, "PCK-0009", "larger than"
    big = archive({**FILES, "big": "x" * (20 << 20)})
    yield "a large file", big, 413, "PCK-0009", "tea/big"
    yield "no ref", archive({"pack.yaml": "version: 1\n"}, "9 x/"), 422, "PCK-0010", "named"
    yield "no YAML", archive({"pack.yaml": "ref: ["}), 422, "PCK-0010", "named"


def no_bad_archive_leaves_anything():
    with Server(packs=()) as server:
        server.start()
        client = server.client()
        client.data("POST", "/api/v1/packs", archive(FILES), GZIP)
        shown = client.data("GET", "/api/v1/packs/tea")
        for what, body, status, code, word in bad_archives():
            got, _, problem = client.request("POST", "/api/v1/packs", body, GZIP, timeout=120)
            assert (got, problem["code"]) == (status, code), (what, got, problem)
            assert word in json.dumps(problem), (what, word, problem)
            assert client.data("GET", "/api/v1/packs/tea") == shown, what
            assert releases(server) == [shown["digest"]], what
            assert sorted(os.listdir(server.data / "packs")) == ["core", "tea"], what
        status, _, problem = client.request("POST", "/api/v1/packs", archive(FILES),
                                            {"Content-Type": "text/plain"})
        assert status == 415 and problem["code"] == "API-0012", problem
        made = client.data("POST", "/api/v1/tokens", {"identity": "r", "permissions": ["packs:read"]})
        reader = Client(server.url(), made["token"])
        assert reader.request("POST", "/api/v1/packs", archive(FILES), GZIP)[0] == 403
        assert reader.request("POST", "/api/v1/packs/tea/rollback")[0] == 403
        assert reader.request("POST", "/api/v1/packs/reload")[0] == 403
        assert "brewed green" in brew(server)
        server.stop()
        server.doctor()


def releases_that_nothing_needs_are_deleted_after_their_time():
    asks = {"actions/order.yaml": "name: order\nrunner_type: workflow\n"
                                  "entry_point: workflows/order.yaml\n",
            "actions/workflows/order.yaml": "tasks: {ask: {action: core.ask, "
                                            "input: {prompt: Now}}}\n"}
    with Server(packs=(), settings={"packs.keep_releases_days": 0}) as server:
        server.start()
        write(server.home / "tea", {**FILES, **asks})
        first = cli_json(server, "pack", "install", str(server.home / "tea"))["digest"]
        order = server.cli("run", "tea.order", "--async").strip()
        write(server.home / "tea", NEXT)
        second = cli_json(server, "pack", "install", str(server.home / "tea"), "--force")["digest"]
        server.stop()
        server.start()
        until("it is swept", lambda: (server.data / "releases.json").exists())
        assert releases(server) == sorted([first, second]), "an open execution is pinned to it"
        inquiry = until("it asks", lambda: server.client().data(
            "GET", "/api/v1/inquiries?status=pending"))[0]
        server.client().data("POST", f"/api/v1/inquiries/{inquiry['id']}/answer", {"response": {}})
        until("it ends", lambda: server.client().data(
            "GET", f"/api/v1/executions/{order}")["status"] == "succeeded")
        server.stop()
        server.start()
        until("it is deleted", lambda: releases(server) == [second])
        fails(server, "pack", "rollback", "tea", expect=3)
        assert "brewed well" in brew(server)
        server.stop()
        server.doctor()


def installs_at_the_same_time_come_one_after_the_other():
    with Server(packs=()) as server:
        server.start()
        words = []
        for number in range(6):
            folder = write(server.home / f"p{number}", {"pack.yaml": f"ref: p{number}\nversion: 1\n"})
            words.append([binary(), "pack", "install", str(folder), "--data", str(server.data)])
        runs = [subprocess.Popen(each, stdout=subprocess.DEVNULL) for each in words]
        assert [run.wait(timeout=60) for run in runs] == [0] * 6
        until("all are there", lambda: len(server.client().data("GET", "/api/v1/packs")) == 7)


if __name__ == "__main__":
    raise SystemExit(run_cases([
        a_folder_is_installed_and_a_restart_needs_it_no_more,
        an_archive_is_installed_and_its_wrong_files_are_told,
        another_release_says_what_changes_and_the_one_before_comes_back,
        a_release_that_others_rules_would_miss_is_refused_unless_it_is_forced,
        a_pack_of_a_folder_is_changed_in_its_folder,
        no_bad_archive_leaves_anything,
        releases_that_nothing_needs_are_deleted_after_their_time,
        installs_at_the_same_time_come_one_after_the_other,
    ]))
