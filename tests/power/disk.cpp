// SPDX-License-Identifier: Apache-2.0
#include "disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/files.h"

namespace millrace::power {
namespace {

namespace fs = std::filesystem;
using Kind = DiskRecord::Kind;

constexpr size_t kSector = 512;

void put(std::string& bytes, size_t at, std::string_view what) {
  if (bytes.size() < at + what.size()) bytes.resize(at + what.size());
  std::memcpy(bytes.data() + at, what.data(), what.size());
}

void apply_to(std::string& bytes, const DiskRecord& record) {
  auto at = static_cast<size_t>(record.offset);
  if (record.kind == Kind::Truncate) {
    bytes.resize(at);
  } else {
    put(bytes, at, record.bytes);
  }
}

// One throw for all names of a group, wherever they are.
bool group_is_kept(uint64_t group, uint64_t seed) {
  std::minstd_rand dice(static_cast<uint32_t>(seed * 7919 + group * 104729 + 1));
  dice.discard(2);
  return dice() % 2 == 0;
}

}  // namespace

void Disk::sync(Node& node) {
  for (const auto& record : node.unsynced) {
    if (record.kind == Kind::Bind) {
      node.names[record.name] = record.node;
    } else if (record.kind == Kind::Unbind) {
      node.names.erase(record.name);
    } else {
      apply_to(node.bytes, record);
    }
  }
  unsynced_ -= node.unsynced.size();
  node.unsynced.clear();
}

void Disk::apply(const DiskRecord& record) {
  switch (record.kind) {
    case Kind::Mark: return;
    case Kind::Sync: return sync(nodes_[record.node]);
    case Kind::SyncAll:
      for (auto& [number, node] : nodes_) sync(node);
      return;
    case Kind::Bind: nodes_[record.node].is_folder = record.is_folder; [[fallthrough]];
    case Kind::Unbind: nodes_[record.folder].unsynced.push_back(record); break;
    case Kind::Write:
    case Kind::Truncate: nodes_[record.node].unsynced.push_back(record); break;
  }
  ++unsynced_;
}

void Disk::put_bytes(const Node& node, Unsynced unsynced, Dice& dice, std::string& bytes) {
  bytes = node.bytes;
  if (unsynced == Unsynced::Lost) return;
  const DiskRecord* last = node.unsynced.empty() ? nullptr : &node.unsynced.back();
  constexpr unsigned kOf = 16;
  unsigned kept = 1 + dice() % (kOf - 1);  // few or nearly all of the sectors
  for (const auto& record : node.unsynced) {
    bool is_whole = unsynced == Unsynced::Kept || (unsynced == Unsynced::Cut && &record != last);
    if (is_whole || unsynced == Unsynced::Subset || record.kind == Kind::Truncate) {
      if (is_whole || dice() % 2 == 0) apply_to(bytes, record);
      continue;
    }
    // Sectors as the disk has them: aligned to the file, not to the write.
    auto begin = static_cast<size_t>(record.offset);
    size_t end = begin + record.bytes.size();
    size_t cut = begin + dice() % (record.bytes.size() + 1);
    for (size_t at = begin; at < end;) {
      size_t next = std::min(end, (at / kSector + 1) * kSector);
      if (unsynced == Unsynced::Cut ? next <= cut : dice() % kOf < kept) {
        put(bytes, at, std::string_view(record.bytes).substr(at - begin, next - at));
      }
      at = next;
    }
  }
}

void Disk::add(const Node& folder, const std::string& path, Unsynced unsynced, uint64_t seed,
               Dice& dice, Image& to, std::set<std::string>& files) const {
  Names names = folder.names;
  for (const auto& record : folder.unsynced) {
    bool kept = unsynced == Unsynced::Kept ||
                (unsynced != Unsynced::Lost && group_is_kept(record.group, seed));
    if (!kept) continue;
    if (record.kind == Kind::Bind) {
      names[record.name] = record.node;
    } else {
      names.erase(record.name);
    }
  }
  for (const auto& [name, number] : names) {
    const Node& node = nodes_.at(number);
    if (node.is_folder) {
      add(node, path + name + "/", unsynced, seed, dice, to, files);
    } else {
      put_bytes(node, unsynced, dice, to[path + name]);
      files.insert(path + name);
    }
  }
}

void Disk::image(Unsynced unsynced, uint64_t seed, Image& to) const {
  Dice dice(static_cast<uint32_t>(seed + 1));
  std::set<std::string> files;
  add(nodes_.at(root_), "", unsynced, seed, dice, to, files);
  std::erase_if(to, [&](const auto& file) { return !files.contains(file.first); });
}

Screen::Screen() {
  std::string pattern = access("/dev/shm", W_OK) == 0 ? "/dev/shm/millrace-power-XXXXXX"
                                                      : "/tmp/millrace-power-XXXXXX";
  path_ = mkdtemp(pattern.data());
}

Screen::~Screen() { fs::remove_all(path_); }

void Screen::spoil() {
  for (const auto& entry : fs::directory_iterator(path_)) fs::remove_all(entry.path());
  shown_.clear();
}

// With the folders that are empty then.
void Screen::remove(const std::string& file) {
  fs::remove(path_ + "/" + file);
  for (auto folder = fs::path(file).parent_path(); !folder.empty(); folder = folder.parent_path()) {
    std::error_code not_empty;
    if (!fs::remove(fs::path(path_) / folder, not_empty)) return;
  }
}

void Screen::show(const Image& image) {
  constexpr size_t kStep = 4096;
  for (auto at = shown_.begin(); at != shown_.end();) {
    bool stays = image.contains(at->first);
    if (!stays) remove(at->first);
    at = stays ? std::next(at) : shown_.erase(at);
  }
  for (const auto& [path, bytes] : image) {
    auto [there, is_new] = shown_.try_emplace(path);
    if (!is_new && there->second == bytes) continue;
    std::string where = path_ + "/" + path;
    if (is_new) fs::create_directories(fs::path(where).parent_path());
    Fd file(::open(where.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_MSG(file, where);
    std::string& old = there->second;
    if (old.size() != bytes.size()) {
      ASSERT(::ftruncate(file.get(), static_cast<off_t>(bytes.size())) == 0);
      old.resize(bytes.size());
    }
    for (size_t at = 0; at < bytes.size(); at += kStep) {
      size_t size = std::min(kStep, bytes.size() - at);
      if (std::memcmp(old.data() + at, bytes.data() + at, size) == 0) continue;
      ASSERT(::pwrite(file.get(), bytes.data() + at, size, static_cast<off_t>(at)) ==
             static_cast<ssize_t>(size));
    }
    old = bytes;
  }
}

}  // namespace millrace::power
