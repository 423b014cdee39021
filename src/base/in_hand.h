// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace millrace {

// What is being done, noted in a mapped file: it outlives a process that dies of it, and costs no
// sync. Whoever opens the file next counts what it finds there. A thing that was in hand at an end
// of the process is a suspect: it is handled alone; in hand at two of them, it is not handled any
// more.
//
// Of a machine that lost its power the file may be anything, and after each start of the machine it
// is begun anew: no process died of a message then. A suspect is forgotten once it was handled, and
// with another version of the program.
//
// One thread at a time, but for `dead`.
class InHand {
 public:
  static constexpr int kMostEnds = 2;

  struct Item {
    std::string_view kind;  // what is beyond 23 bytes is cut
    int64_t id = 0;
    bool comes_again = true;  // false: it is only told, never counted
  };
  struct Found {
    std::string kind;
    int64_t id = 0;
    int ends = 0;  // of processes with it in hand; 0: it does not come again
  };

  // Creates the file, 0600, if need be. Errors: BAS-0008.
  static Result<std::unique_ptr<InHand>> open(const std::string& path, std::string_view version,
                                              const std::string& boot = boot_id());
  ~InHand();
  InHand(const InHand&) = delete;

  // What is not handled any more, in a file that a server may be using; empty: there is no file.
  static std::vector<Found> dead_in(const std::string& path);

  // What was in hand when the last process ended; empty: it ended well, or idle.
  const std::vector<Found>& found() const { return found_; }
  // What was in hand at kMostEnds ends or more.
  std::vector<Found> dead() const;

  // Instead of what was in hand before.
  void take(std::span<const Item> items);
  void take(const Item& item) { take(std::span(&item, 1)); }
  // Besides what was taken, and instead of what was besides it before.
  void also(const Item& item);
  void no_more();  // what was besides it
  void let_go() { take(std::span<const Item>()); }

  // How many processes have ended with it in hand.
  int ends(const Item& item) const;
  bool is_dead(const Item& item) const { return ends(item) >= kMostEnds; }
  bool has_suspects() const;
  // It has been handled, or buried: no suspect any more.
  void handled(const Item& item);
  // All with this id, whatever they are.
  void handled(int64_t id);

 private:
  struct Entry;
  struct Page;
  explicit InHand(Page* page) : page_(page) {}
  static bool is_whole(const Page& page);
  static std::vector<Found> dead_of(const Page& page);
  void count_what_was_left();
  Entry* suspect(const Item& item) const;

  void put_at(size_t place, const Item& item);
  void forget(Entry& entry);

  Page* page_;
  size_t taken_ = 0;
  std::vector<Found> found_;
};

// What is noted while it lives is let go at its end, whichever way that is reached. `in_hand` may
// be nullptr: then nothing is noted.
class Holding {
 public:
  Holding(InHand* in_hand, std::span<const InHand::Item> items) : in_hand_(in_hand) {
    if (in_hand_) in_hand_->take(items);
  }
  Holding(InHand* in_hand, const InHand::Item& item) : Holding(in_hand, std::span(&item, 1)) {}
  ~Holding() {
    if (in_hand_) in_hand_->let_go();
  }
  Holding(const Holding&) = delete;

 private:
  InHand* in_hand_;
};

}  // namespace millrace
