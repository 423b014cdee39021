// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "disk_log.h"

namespace millrace::power {

// Files by their path below the root.
using Image = std::map<std::string, std::string>;

// A disk as its log has left it: of what was synced all is there, of the rest nobody knows. A
// file's sync keeps its bytes and its size, but not its name: that is what the sync of the folder
// is for (POSIX; ext4 is kinder). Names that change at one blow come or stay away together.
class Disk {
 public:
  explicit Disk(uint64_t root) : root_(root) { nodes_[root].is_folder = true; }
  void apply(const DiskRecord& record);

  enum class Unsynced : uint8_t {
    Lost,    // all of it
    Kept,    // all of it
    Subset,  // each write, truncation and name by chance
    Torn,    // as Subset, but of a write each 512 bytes by themselves
    Cut,     // all but the end of each file's last write, from somewhere between 512 bytes on
  };
  // What is there when the power comes back. `seed` decides what comes by chance. Written over the
  // image before, whose memory it takes.
  void image(Unsynced unsynced, uint64_t seed, Image& to) const;
  // How many writes, truncations and names are not synced.
  size_t unsynced() const { return unsynced_; }

 private:
  using Names = std::map<std::string, uint64_t>;
  struct Node {
    bool is_folder = false;
    std::string bytes;
    Names names;
    std::vector<DiskRecord> unsynced;
  };
  using Dice = std::minstd_rand;

  void sync(Node& node);
  static void put_bytes(const Node& node, Unsynced unsynced, Dice& dice, std::string& to);
  void add(const Node& folder, const std::string& path, Unsynced unsynced, uint64_t seed,
           Dice& dice, Image& to, std::set<std::string>& files) const;

  uint64_t root_;
  std::map<uint64_t, Node> nodes_;
  size_t unsynced_ = 0;
};

// A folder in memory that shows one image after the other: what two have in common stays.
class Screen {
 public:
  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  const std::string& path() const { return path_; }
  void show(const Image& image);
  // The files were written: the next image is shown from the beginning.
  void spoil();

 private:
  void remove(const std::string& file);

  std::string path_;
  Image shown_;
};

}  // namespace millrace::power
