// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>

#include <cstdint>

namespace millrace::worker {

// What an event of the spawner's epoll is about. A tag names a slot, of a run or of a guest before
// the door, and not who is in it: an event that comes late finds another one or none, and does no
// harm.
struct EpollTag {
  enum Kind : uint32_t { Signals, Listener, Guest, Connection, Stdout, Stderr, Result, Warm };
  Kind kind;
  int slot = 0;

  static EpollTag of(const epoll_event& event) {
    return {static_cast<Kind>(event.data.u64 >> 32), static_cast<int>(event.data.u64)};
  }
};

inline bool watch(int epoll, int fd, uint32_t events, EpollTag tag, int operation = EPOLL_CTL_ADD) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = uint64_t{tag.kind} << 32 | static_cast<uint32_t>(tag.slot);
  return epoll_ctl(epoll, operation, fd, &event) == 0;
}

}  // namespace millrace::worker
