// SPDX-License-Identifier: Apache-2.0
#include "packs/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/files.h"

namespace millrace::packs {
namespace {

class FolderReader {
 public:
  FolderReader(const Fd& root, const FolderLimits& limits) : root_(root), limits_(limits) {}

  PackFiles files;
  std::vector<Problem> problems;

  void read(const std::string& folder, size_t depth) {
    if (depth > limits_.max_depth) {
      return refuse(folder, fmt::format("nested deeper than {} folders", limits_.max_depth));
    }
    for (const std::string& name : names_in(folder)) {
      if (full_) return;
      read_entry(folder == "." ? name : folder + "/" + name, depth);
    }
  }

 private:
  void refuse(const std::string& path, std::string message) {
    problems.push_back({path, std::move(message)});
  }

  std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    auto opened = open_beneath(root_, folder, O_RDONLY | O_DIRECTORY);
    // The stream takes a descriptor of its own and closes it.
    std::unique_ptr<DIR, decltype(&closedir)> stream(
        opened ? fdopendir(dup(opened->get())) : nullptr, &closedir);
    if (!stream) {
      refuse(folder, fmt::format("cannot read the folder: {}", std::strerror(errno)));
      return names;
    }
    while (const dirent* entry = readdir(stream.get())) {
      std::string name = entry->d_name;
      bool is_left_out = name == "." || name == ".." || name == ".git" || name == "__pycache__";
      if (!is_left_out) names.push_back(std::move(name));
    }
    std::ranges::sort(names);
    return names;
  }

  void read_entry(const std::string& path, size_t depth) {
    struct stat about{};
    if (fstatat(root_.get(), path.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
      return refuse(path, fmt::format("cannot be looked at: {}", std::strerror(errno)));
    }
    if (S_ISDIR(about.st_mode)) return read(path, depth + 1);
    if (!S_ISREG(about.st_mode) && !S_ISLNK(about.st_mode)) {
      return refuse(path, "is no file: packs hold files and folders only");
    }
    // O_NONBLOCK: a link may lead to a pipe, and opening one must not wait for its writer.
    auto file = open_beneath(root_, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!file) return refuse(path, file.error().message());
    auto bytes = read_file(*file, limits_.max_file_bytes, path);
    if (!bytes) return refuse(path, bytes.error().message());
    add(path, std::move(*bytes));
  }

  void add(const std::string& path, std::string bytes) {
    total_bytes_ += bytes.size();
    full_ = files.size() == limits_.max_files || total_bytes_ > limits_.max_total_bytes;
    if (full_) {
      return refuse(path, fmt::format("the pack is larger than {} files or {} bytes",
                                      limits_.max_files, limits_.max_total_bytes));
    }
    files.emplace(path, std::move(bytes));
  }

  const Fd& root_;
  FolderLimits limits_;
  size_t total_bytes_ = 0;
  bool full_ = false;
};

}  // namespace

Result<PackFiles> read_pack_folder(const std::string& folder, const FolderLimits& limits) {
  TRY(Fd root, open_folder(folder));
  FolderReader reader(root, limits);
  reader.read(".", 0);
  if (reader.problems.empty()) return std::move(reader.files);
  return Error(ErrorKind::Invalid, "PCK-0001",
               fmt::format("the pack folder '{}' holds what no pack may hold", folder))
      .with_problems(std::move(reader.problems));
}

}  // namespace millrace::packs
