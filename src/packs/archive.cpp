// SPDX-License-Identifier: Apache-2.0
#include "packs/archive.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <vector>

#include "base/text.h"

namespace millrace::packs {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kMostProblems = 20;
constexpr size_t kLongestName = 255;  // of a file; what file systems take
constexpr size_t kLongestPath = 1024;
constexpr int kMostLinks = 8;  // one after the other

Error no_archive(std::string_view why) {
  return Error(ErrorKind::Invalid, "PCK-0008", fmt::format("the archive is no pack: {}", why));
}

std::string_view text_of(std::string_view header, size_t at, size_t size) {
  auto text = header.substr(at, size);
  return text.substr(0, text.find('\0'));
}

std::optional<uint64_t> octal(std::string_view header, size_t at, size_t size) {
  auto digits = trim(text_of(header, at, size));
  uint64_t number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

uint64_t sum_of(std::string_view header) {
  auto add = [](uint64_t sum, char c) { return sum + static_cast<unsigned char>(c); };
  uint64_t sum = std::accumulate(header.begin(), header.end(), uint64_t{0}, add);
  auto own = header.substr(148, 8);  // counts as spaces
  return sum - std::accumulate(own.begin(), own.end(), uint64_t{0}, add) + 8 * ' ';
}

bool is_zero(std::string_view block) { return block.find_first_not_of('\0') == block.npos; }

struct Entry {
  std::string path;
  std::string target;  // of links
  char type = '0';
  std::string_view bytes;
};

// The entries of a tar archive, with the names that the records before them give.
class TarReader {
 public:
  explicit TarReader(std::string_view tar) : rest_(tar) {}

  // Nothing at the end, which is a block of zeros.
  Result<std::optional<Entry>> next() {
    for (Names names;;) {
      if (rest_.size() < kBlock) return no_archive("it is cut short");
      auto header = rest_.substr(0, kBlock);
      if (is_zero(header)) return std::optional<Entry>();
      TRY(auto bytes, take(header, names.size));
      char type = header[156];
      switch (type) {
        case 'x': TRY(names.read_pax(bytes)); continue;
        case 'g': continue;
        case 'L': names.path = text_of(bytes, 0, bytes.size()); continue;
        case 'K': names.target = text_of(bytes, 0, bytes.size()); continue;
        default: break;
      }
      Entry entry{.path = names.path.value_or(path_in(header)),
                  .target = names.target.value_or(std::string(text_of(header, 157, 100))),
                  .type = type,
                  .bytes = bytes};
      if (entry.path.ends_with('/') && (type == '0' || type == '\0')) entry.type = '5';
      return std::optional<Entry>(std::move(entry));
    }
  }

 private:
  struct Names {
    std::optional<std::string> path, target;
    std::optional<uint64_t> size;

    // Lines of `LENGTH KEY=VALUE\n`; the length is that of the whole line.
    Result<void> read_pax(std::string_view records) {
      while (!records.empty()) {
        size_t length = 0;
        auto [end, error] =
            std::from_chars(records.data(), records.data() + records.size(), length);
        auto digits = static_cast<size_t>(end - records.data());
        bool is_sound = error == std::errc() && length <= records.size() && length > digits + 2 &&
                        records[digits] == ' ' && records[length - 1] == '\n';
        if (!is_sound) return no_archive("a pax record in it is damaged");
        auto line = records.substr(digits + 1, length - digits - 2);
        records.remove_prefix(length);
        auto equals = line.find('=');
        if (equals == line.npos) return no_archive("a pax record in it is damaged");
        TRY(set(line.substr(0, equals), line.substr(equals + 1)));
      }
      return {};
    }

    Result<void> set(std::string_view key, std::string_view value) {
      if (key == "path") path = value;
      if (key == "linkpath") target = value;
      if (key != "size") return {};
      uint64_t number = 0;
      auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size()) {
        return no_archive("a size in it is no number");
      }
      size = number;
      return {};
    }
  };

  static std::string path_in(std::string_view header) {
    std::string path(text_of(header, 0, 100));
    auto before = text_of(header, 345, 155);
    bool has_prefix = header.substr(257, 6) == std::string_view("ustar\0", 6) && !before.empty();
    return has_prefix ? fmt::format("{}/{}", before, path) : path;
  }

  Result<std::string_view> take(std::string_view header, std::optional<uint64_t> pax_size) {
    auto sum = octal(header, 148, 8);
    if (!sum || *sum != sum_of(header)) return no_archive("it is no tar archive, or is damaged");
    char type = header[156];
    bool is_link = type == '1' || type == '2';
    bool is_record = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    auto size = pax_size && !is_record ? pax_size : octal(header, 124, 12);
    if (is_link) size = 0;
    rest_.remove_prefix(kBlock);
    if (!size || *size > rest_.size()) return no_archive("it is cut short");
    auto bytes = rest_.substr(0, *size);
    rest_.remove_prefix(std::min<size_t>((*size + kBlock - 1) / kBlock * kBlock, rest_.size()));
    return bytes;
  }

  std::string_view rest_;
};

// `a/./b` as `a/b`. Nothing where it leads out; `..` only where a link may say it.
std::optional<std::string> below(std::string_view path, bool may_go_up) {
  std::vector<std::string_view> parts;
  for (auto part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!may_go_up || parts.empty()) {
      return std::nullopt;
    } else {
      parts.pop_back();
    }
  }
  return fmt::format("{}", fmt::join(parts, "/"));
}

// What an entry holds that no pack may hold; empty: nothing.
std::string fault_of(const Entry& entry) {
  if (entry.path.find('\0') != std::string::npos) return "there is a NUL in its name";
  if (entry.path.starts_with('/')) return "its name is absolute";
  if (!below(entry.path, false)) return "there is a '..' in its name";
  bool is_long = entry.path.size() > kLongestPath ||
                 std::ranges::any_of(split(entry.path, '/'),
                                     [](auto part) { return part.size() > kLongestName; });
  if (is_long) return "its name is too long";
  constexpr std::string_view kKnown(
      "0\0"
      "7512",
      6);
  if (kKnown.find(entry.type) == kKnown.npos) {
    return "is no file: packs hold files and folders only";
  }
  return {};
}

bool is_left_out(std::string_view path) {
  return std::ranges::any_of(split(path, '/'),
                             [](auto part) { return part == ".git" || part == "__pycache__"; });
}

class ArchiveReader {
 public:
  explicit ArchiveReader(const FolderLimits& limits) : limits_(limits) {}

  Result<ArchivedPack> read(std::string_view tar) {
    TarReader reader(tar);
    for (;;) {
      TRY(auto entry, reader.next());
      if (!entry) break;
      TRY(add(*entry));
    }
    for (const auto& [path, target] : links_) TRY(follow(path, target));
    for (const auto& [path, bytes] : files_) check_place(path);
    if (problems_.empty()) return without_top();
    return no_archive("it holds what no pack may hold").with_problems(std::move(problems_));
  }

 private:
  void refuse(const std::string& path, std::string message) {
    if (problems_.size() < kMostProblems) {
      problems_.push_back({path.substr(0, kLongestPath), std::move(message)});
    }
  }

  Result<void> add(const Entry& entry) {
    if (auto fault = fault_of(entry); !fault.empty()) {
      refuse(entry.path, std::move(fault));
      return {};
    }
    std::string path = *below(entry.path, false);
    if (entry.type == '5' || path.empty() || is_left_out(path)) return {};
    if (files_.contains(path) || links_.contains(path)) {
      refuse(path, "stands there twice");
      return {};
    }
    TRY(count(path, entry.bytes.size()));
    if (entry.type != '1' && entry.type != '2') {
      files_.emplace(std::move(path), entry.bytes);
      return {};
    }
    // A hard link names a path of the archive, the other kind one from where it lies.
    bool is_hard = entry.type == '1';
    auto folder = path.substr(0, path.rfind('/') == path.npos ? 0 : path.rfind('/'));
    auto target = entry.target.starts_with('/') || entry.target.find('\0') != entry.target.npos
                      ? std::nullopt
                      : below(is_hard ? entry.target : folder + "/" + entry.target, true);
    if (target) {
      links_.emplace(std::move(path), *target);
    } else {
      refuse(path, "is a link that leads out of the pack");
    }
    return {};
  }

  Result<void> count(const std::string& path, size_t bytes) {
    total_bytes_ += bytes;
    bool is_full = count_++ == limits_.max_files || total_bytes_ > limits_.max_total_bytes;
    if (is_full) {
      return Error(ErrorKind::TooLarge, "PCK-0009",
                   fmt::format("the archive is larger than {} files or {} bytes: '{}' is too much",
                               limits_.max_files, limits_.max_total_bytes, path));
    }
    if (bytes > limits_.max_file_bytes) {
      return Error(
          ErrorKind::TooLarge, "PCK-0009",
          fmt::format("'{}' in the archive is larger than {} bytes", path, limits_.max_file_bytes));
    }
    return {};
  }

  Result<void> follow(const std::string& path, const std::string& target) {
    std::string at = target;
    for (int steps = 0; steps < kMostLinks; ++steps) {
      auto link = links_.find(at);
      if (link == links_.end()) break;
      at = link->second;
    }
    auto file = files_.find(at);
    if (file == files_.end() || links_.contains(at)) {
      refuse(path, fmt::format("is a link to '{}', which is no file of the pack", target));
      return {};
    }
    total_bytes_ += file->second.size();
    --count_;  // it was counted as a link
    TRY(count(path, 0));
    resolved_.emplace(path, file->second);
    return {};
  }

  // Neither too deep nor below what is a file itself.
  void check_place(const std::string& path) {
    size_t depth = 0;
    for (auto slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
      ++depth;
      auto above = path.substr(0, slash);
      if (files_.contains(above) || links_.contains(above)) {
        return refuse(path, fmt::format("lies below '{}', which is no folder", above));
      }
    }
    if (depth > limits_.max_depth) {
      refuse(path, fmt::format("nested deeper than {} folders", limits_.max_depth));
    }
  }

  Result<ArchivedPack> without_top() {
    ArchivedPack pack;
    for (const auto& [path, bytes] : files_) pack.files.emplace(path, bytes);
    for (const auto& [path, bytes] : resolved_) pack.files.emplace(path, bytes);
    if (pack.files.contains("pack.yaml")) return pack;
    auto first = pack.files.empty() ? std::string() : pack.files.begin()->first;
    auto slash = first.find('/');
    std::string top = slash == first.npos ? std::string() : first.substr(0, slash + 1);
    auto is_in_top = [&](const auto& file) { return file.first.starts_with(top); };
    if (top.empty() || !pack.files.contains(top + "pack.yaml") ||
        !std::ranges::all_of(pack.files, is_in_top)) {
      return no_archive("there is no pack.yaml at its top, or in the one folder there");
    }
    PackFiles files;
    while (!pack.files.empty()) {
      auto file = pack.files.extract(pack.files.begin());
      file.key() = file.key().substr(top.size());
      files.insert(files.end(), std::move(file));
    }
    return ArchivedPack{std::move(files), top.substr(0, top.size() - 1)};
  }

  const FolderLimits& limits_;
  std::map<std::string, std::string_view, std::less<>> files_, resolved_;
  std::map<std::string, std::string> links_;
  std::vector<Problem> problems_;
  size_t total_bytes_ = 0;
  size_t count_ = 0;
};

void append_entry(std::string& tar, std::string_view path, char type, std::string_view bytes) {
  std::string header(kBlock, '\0');
  auto put = [&](size_t at, std::string_view text) { header.replace(at, text.size(), text); };
  put(0, path.substr(0, 100));
  put(100, "0000755");
  put(108, "0000000");
  put(116, "0000000");
  put(124, fmt::format("{:011o}", bytes.size()));
  put(136, "00000000000");
  header[156] = type;
  put(257, std::string_view("ustar\0"
                            "00",
                            8));
  put(148, fmt::format("{:06o}", sum_of(header)));
  header[155] = ' ';
  tar += header;
  tar += bytes;
  tar.append((kBlock - bytes.size() % kBlock) % kBlock, '\0');
}

// The length in front counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  size_t rest = key.size() + value.size() + 3;
  size_t length = rest + std::to_string(rest).size();
  if (std::to_string(length).size() + rest != length) ++length;
  return fmt::format("{} {}={}\n", length, key, value);
}

}  // namespace

Result<ArchivedPack> read_tar(std::string_view tar, const FolderLimits& limits) {
  return ArchiveReader(limits).read(tar);
}

std::string write_tar(const PackFiles& files, std::string_view folder) {
  std::string tar;
  for (const auto& [name, bytes] : files) {
    std::string path = folder.empty() ? name : fmt::format("{}/{}", folder, name);
    if (path.size() > 100) append_entry(tar, "pax", 'x', pax_record("path", path));
    append_entry(tar, path, '0', bytes);
  }
  tar.append(2 * kBlock, '\0');
  return tar;
}

}  // namespace millrace::packs
