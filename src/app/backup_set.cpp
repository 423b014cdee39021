// SPDX-License-Identifier: Apache-2.0
#include "app/backup_set.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>

#include "auth/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "base/text.h"

namespace millrace::app {

namespace fs = std::filesystem;

namespace {

constexpr size_t kPiece = 1 << 20;
constexpr size_t kMaxManifest = 256 << 20;

Error file_error(const std::string& path) {
  return Error(errno == ENOENT ? ErrorKind::NotFound : ErrorKind::Unavailable, "APP-0001",
               fmt::format("{}: {}", path, std::generic_category().message(errno)));
}

// Reads a file once, piece by piece.
Result<SetFile> read_through(const std::string& file, const std::string& name,
                             const std::function<bool(std::string_view)>& take) {
  Fd from(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!from) return file_error(file);
  SetFile seen{.path = name};
  auth::Sha256 sum;
  std::string piece(kPiece, '\0');
  for (;;) {
    ssize_t got = ::read(from.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(file);
    if (got == 0) break;
    std::string_view bytes(piece.data(), static_cast<size_t>(got));
    sum.add(bytes);
    seen.size += got;
    if (!take(bytes)) return file_error(name);
  }
  seen.sha256 = hex_encode(auth::bytes_of(sum.finish()));
  return seen;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// A path that a manifest may name: below the set, and nowhere else.
bool is_below(const std::string& path) {
  fs::path parts(path);
  return !path.empty() && parts.is_relative() &&
         std::ranges::none_of(parts, [](const fs::path& part) { return part == ".."; });
}

}  // namespace

const Fields& SetFile::fields() {
  static const Field lines[] = {
      field("path", &SetFile::path, "Below the set.").required(),
      field("size", &SetFile::size, "").unit("bytes").required(),
      field("sha256", &SetFile::sha256, "Hex.").length(64, 64).required(),
  };
  static const auto table = fields_of<SetFile>("SetFile", "", lines);
  return table;
}

const Fields& Manifest::fields() {
  static const Field lines[] = {
      field("format", &Manifest::format, "").required(),
      field("version", &Manifest::version, "").required(),
      field("schema", &Manifest::schema, "").required(),
      field("feed_seq", &Manifest::feed_seq, ""),
      field("created", &Manifest::created, "").required(),
      field("files", &Manifest::files, "").required(),
  };
  static const auto table = fields_of<Manifest>("Manifest", "A backup.", lines);
  return table;
}

bool Manifest::holds(const std::string& path) const {
  return std::ranges::find(files, path, &SetFile::path) != files.end();
}

Result<void> make_folders_above(const std::string& path) {
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty() || ::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT) return file_error(folder.string());
  TRY(make_folders_above(folder.string()));
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return file_error(folder.string());
  return {};
}

Result<SetFile> copy_file(const std::string& from, const std::string& root, const std::string& path,
                          unsigned mode) {
  std::string target = root + "/" + path;
  TRY(make_folders_above(target));
  Fd to(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!to) return file_error(target);
  TRY(auto seen,
      read_through(from, path, [&](std::string_view bytes) { return write_all(to.get(), bytes); }));
  if (::fchmod(to.get(), mode) != 0) return file_error(target);
  return seen;
}

Result<SetFile> describe_file(const std::string& root, const std::string& path) {
  return read_through(root + "/" + path, path, [](std::string_view) { return true; });
}

Result<Manifest> read_manifest(const std::string& set) {
  std::string path = set + "/" + kManifestFile;
  if (!fs::exists(path)) {
    return Error(ErrorKind::NotFound, "APP-0020",
                 fmt::format("'{}' is no backup: it has no {}", set, kManifestFile));
  }
  TRY(std::string text, read_file(path, kMaxManifest));
  auto manifest = [&]() -> Result<Manifest> {
    TRY(Value value, parse_json(text, kOwnJson));
    return decode<Manifest>(value);
  }();
  if (!manifest.ok()) {
    return Error(ErrorKind::Invalid, "APP-0021",
                 fmt::format("{}: {}", path, manifest.error().describe()));
  }
  for (const auto& file : manifest->files) {
    if (is_below(file.path)) continue;
    return Error(ErrorKind::Invalid, "APP-0021",
                 fmt::format("{}: names '{}', which is not below the set", path, file.path));
  }
  if (manifest->format > kSetFormat) {
    return Error(ErrorKind::Unsupported, "APP-0022",
                 fmt::format("backup '{}' was written by Millrace {} in a later form: restore it "
                             "with that version",
                             set, manifest->version));
  }
  return manifest;
}

Result<std::vector<Problem>> check_files(const std::string& set, const Manifest& manifest) {
  std::vector<Problem> problems;
  std::set<std::string> named{kManifestFile};
  for (const auto& file : manifest.files) {
    named.insert(file.path);
    auto found = describe_file(set, file.path);
    if (!found.ok()) {
      problems.push_back({file.path, found.error().message()});
    } else if (found->size != file.size || found->sha256 != file.sha256) {
      problems.push_back({file.path, fmt::format("expected {} bytes with the sum {}, found {} with "
                                                 "{}",
                                                 file.size, file.sha256.substr(0, 12), found->size,
                                                 found->sha256.substr(0, 12))});
    }
  }
  std::error_code ec;
  for (fs::recursive_directory_iterator it(set, ec), end; !ec && it != end; it.increment(ec)) {
    auto path = it->path().lexically_relative(set).string();
    if (!it->is_directory() && !named.contains(path)) {
      problems.push_back({path, "the manifest does not name it"});
    }
  }
  if (ec)
    return Error(ErrorKind::Unavailable, "APP-0001", fmt::format("{}: {}", set, ec.message()));
  return problems;
}

}  // namespace millrace::app
