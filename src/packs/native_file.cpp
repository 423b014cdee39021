// SPDX-License-Identifier: Apache-2.0
#include "packs/native_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace millrace::packs {
namespace {

constexpr size_t kMostSections = 4096;
constexpr size_t kMostNeeds = 4096;
constexpr uint32_t kVerneed = 0x6ffffffe;

// Numbers and texts of a file, each only where the file has them.
class ElfBytes {
 public:
  explicit ElfBytes(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  T number(uint64_t at) const {
    T value = 0;
    if (at <= bytes_.size() && bytes_.size() - at >= sizeof value) {
      std::memcpy(&value, bytes_.data() + at, sizeof value);
    }
    return value;
  }
  std::string_view text(uint64_t at) const {
    if (at >= bytes_.size()) return {};
    constexpr size_t kLongest = 256;  // of the name of a version
    auto rest = bytes_.substr(at, kLongest);
    auto end = rest.find('\0');
    return end == rest.npos ? std::string_view() : rest.substr(0, end);
  }

  // An offset that the file names: behind its end there is nothing, and no sum of it wraps.
  uint64_t place(uint64_t at) const {
    return std::min<uint64_t>(number<uint64_t>(at), bytes_.size());
  }

 private:
  std::string_view bytes_;
};

struct ElfSection {
  uint32_t kind = 0, link = 0, info = 0;
  uint64_t offset = 0;
};

ElfSection section_at(const ElfBytes& file, uint64_t table, uint16_t size, uint32_t number) {
  uint64_t at = table + uint64_t{size} * number;
  return {file.number<uint32_t>(at + 4), file.number<uint32_t>(at + 40),
          file.number<uint32_t>(at + 44), file.place(at + 24)};
}

// Elf64_Verneed: count at 2, first at 8, next at 12; Elf64_Vernaux: name at 8, next at 12.
void read_needs(const ElfBytes& file, const ElfSection& section, const ElfSection& names,
                std::string& glibc) {
  constexpr std::string_view kGlibc = "GLIBC_";
  size_t left = kMostNeeds;
  uint64_t at = section.offset;
  for (uint32_t i = 0; i < section.info && left > 0; ++i, --left) {
    uint64_t entry = at + file.number<uint32_t>(at + 8);
    auto count = file.number<uint16_t>(at + 2);
    for (uint16_t j = 0; j < count && left > 0; ++j, --left) {
      auto name = file.text(names.offset + file.number<uint32_t>(entry + 8));
      if (name.starts_with(kGlibc)) {
        name.remove_prefix(kGlibc.size());
        if (is_newer_version(name, glibc)) glibc = name;
      }
      auto next = file.number<uint32_t>(entry + 12);
      if (next == 0) break;
      entry += next;
    }
    auto next = file.number<uint32_t>(at + 12);
    if (next == 0) break;
    at += next;
  }
}

}  // namespace

std::optional<NativeFile> read_native_file(std::string_view bytes) {
  constexpr std::string_view kBegins(
      "\x7f"
      "ELF\x02\x01",
      6);  // 64 bits, little-endian
  constexpr size_t kHeader = 64;
  if (!bytes.starts_with(kBegins) || bytes.size() < kHeader) return std::nullopt;
  ElfBytes file(bytes);
  auto machine = file.number<uint16_t>(18);
  NativeFile found{.machine = machine == 62    ? "x86_64"
                              : machine == 183 ? "aarch64"
                                               : fmt::format("{}", machine),
                   .glibc = {}};
  auto table = file.number<uint64_t>(40);
  auto size = file.number<uint16_t>(58);
  auto count = std::min<size_t>(file.number<uint16_t>(60), kMostSections);
  if (table > bytes.size()) return found;
  for (uint32_t i = 0; i < count; ++i) {
    auto section = section_at(file, table, size, i);
    if (section.kind != kVerneed) continue;
    read_needs(file, section, section_at(file, table, size, section.link), found.glibc);
  }
  return found;
}

bool is_newer_version(std::string_view one, std::string_view other) {
  while (!one.empty() || !other.empty()) {
    auto take = [](std::string_view& text) {
      uint32_t number = 0;
      auto part = text.substr(0, text.find('.'));
      std::from_chars(part.data(), part.data() + part.size(), number);
      text.remove_prefix(std::min(text.size(), part.size() + 1));
      return number;
    };
    auto a = take(one), b = take(other);
    if (a != b) return a > b;
  }
  return false;
}

std::vector<Problem> native_problems(const PackFiles& files, std::string_view machine,
                                     std::string_view glibc) {
  std::vector<Problem> problems;
  for (const auto& [path, bytes] : files) {
    if (!path.starts_with("actions/") && !path.starts_with("sensors/")) continue;
    auto found = read_native_file(bytes);
    if (!found) continue;
    if (found->machine != machine) {
      problems.push_back(
          {path, fmt::format("is built for {}, and this machine is {}", found->machine, machine)});
    } else if (is_newer_version(found->glibc, glibc)) {
      problems.push_back({path, fmt::format("needs GLIBC {}, and this machine has {}: build it on "
                                            "an older system, or without shared libraries",
                                            found->glibc, glibc)});
    }
  }
  return problems;
}

}  // namespace millrace::packs
