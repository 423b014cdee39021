// SPDX-License-Identifier: Apache-2.0
#include "app/write_release.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <mutex>

#include "app/staged_releases.h"
#include "base/files.h"
#include "packs/files.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

Error not_written(const std::string& path, const std::error_code& ec) {
  return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: {}", path, ec.message()));
}

// Scripts are started through their interpreter or directly: all may be executed.
Result<void> write_plain(const std::string& path, std::string_view bytes) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555));
  if (!file) return not_written(path, {errno, std::generic_category()});
  if (write_all(file.get(), bytes) == bytes.size()) return {};
  return not_written(path, {errno, std::generic_category()});
}

// Puts `fresh` in the place of `folder`, at one blow where something is there: what runs from it
// goes on with the files that it has open.
Result<void> put_in_place(const std::string& fresh, const std::string& folder) {
  bool swapped =
      ::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, folder.c_str(), RENAME_EXCHANGE) == 0;
  std::error_code ec;
  if (!swapped) fs::remove_all(folder, ec);
  if (!swapped) fs::rename(fresh, folder, ec);
  if (ec) return not_written(folder, ec);
  if (swapped) fs::remove_all(fresh, ec);
  return sync_folder(fs::path(folder).parent_path().string());
}

}  // namespace

Result<void> write_release(const packs::PackFiles& files, const std::string& folder) {
  static std::mutex one_at_a_time;  // two of one folder would write into the same one beside it
  std::lock_guard lock(one_at_a_time);
  std::error_code ec;
  std::string fresh = folder + ".new";
  fs::remove_all(fresh, ec);
  for (const auto& [path, bytes] : files) {
    std::string target = fresh + "/" + path;
    fs::create_directories(fs::path(target).parent_path(), ec);
    if (ec) return not_written(target, ec);
    TRY(write_plain(target, bytes));
  }
  // One sync for all files instead of one for each: nobody reads them before the rename.
  TRY(auto staged, open_folder(fresh));
  if (::syncfs(staged.get()) != 0) return not_written(fresh, {errno, std::generic_category()});
  return put_in_place(fresh, folder);
}

Result<void> install_release(const std::string& data, const std::string& pack,
                             const std::string& digest, const packs::PackFiles& files) {
  std::string found = packs::digest_of(files);
  bool is_pack_name = !pack.empty() && pack.find('/') == pack.npos && pack[0] != '.';
  if (found == digest && is_pack_name)
    return write_release(files, release_path(data, pack, digest));
  return Error(ErrorKind::Invalid, "AGT-0005",
               fmt::format("release {} of pack '{}' came with other files: their digest is {}",
                           digest.substr(0, 12), pack, found.substr(0, 12)));
}

}  // namespace millrace::app
