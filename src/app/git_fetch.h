// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "packs/archive.h"

namespace millrace::app {

// What may be fetched: https://HOST/PATH, ssh://[USER@]HOST/PATH, git@HOST:PATH, and http:// of
// this machine; a branch, tag or commit. No password in it, nothing that git could take for an
// option or another transport. Errors: Invalid, PCK-0014.
Result<void> check_git_source(const std::string& url, const std::string& ref);

struct GitPack {
  packs::ArchivedPack pack;  // named as the repository
  std::string commit;
};

struct GitWant {
  std::string url;
  std::string ref;     // empty: HEAD
  std::string folder;  // for what is fetched; is made, and removed
  int64_t within_ms = 120'000;
  const std::atomic<bool>* stop = nullptr;  // git is killed then
};

// One commit, without its history, by the program `git` in processes of its own, which ask nobody
// for a password. Nothing is checked out: hooks, filters and links of the repository do nothing.
// Blocks. Errors: PCK-0015, git's last words; those of read_tar.
Result<GitPack> fetch_git(const GitWant& want);

}  // namespace millrace::app
