// SPDX-License-Identifier: Apache-2.0
#include "agent/release_archive.h"

#include <fmt/format.h>

#include <optional>

#include "base/text.h"

namespace millrace::agent {
namespace {

void put_text(std::string& out, std::string_view text) {
  auto size = static_cast<uint32_t>(text.size());
  for (int byte = 0; byte < 4; ++byte) out += static_cast<char>(size >> (8 * byte) & 0xff);
  out += text;
}

std::optional<std::string_view> take_text(std::string_view& rest) {
  if (rest.size() < 4) return std::nullopt;
  uint32_t size = 0;
  for (size_t byte = 0; byte < 4; ++byte) {
    size |= uint32_t{static_cast<unsigned char>(rest[byte])} << (8 * byte);
  }
  rest.remove_prefix(4);
  if (rest.size() < size) return std::nullopt;
  std::string_view text = rest.substr(0, size);
  rest.remove_prefix(size);
  return text;
}

bool stays_below(std::string_view path) {
  if (path.find('\0') != path.npos) return false;
  for (std::string_view part : split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return !path.empty();
}

}  // namespace

std::string write_archive(const ReleaseFiles& files) {
  std::string archive;
  for (const auto& [path, bytes] : files) {
    put_text(archive, path);
    put_text(archive, bytes);
  }
  return archive;
}

Result<ReleaseFiles> read_archive(std::string_view archive) {
  ReleaseFiles files;
  while (!archive.empty()) {
    auto path = take_text(archive);
    auto bytes = path ? take_text(archive) : std::nullopt;
    if (!bytes) return Error(ErrorKind::Invalid, "AGT-0005", "a release's archive is cut short");
    if (!stays_below(*path) || !files.emplace(*path, *bytes).second) {
      return Error(ErrorKind::Invalid, "AGT-0005",
                   fmt::format("a release's archive holds '{}': expected each path once, below the "
                               "release's folder",
                               path->substr(0, 200)));
    }
  }
  return files;
}

}  // namespace millrace::agent
