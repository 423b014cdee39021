// SPDX-License-Identifier: Apache-2.0
#include "base/in_hand.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/files.h"

namespace millrace {

namespace {

constexpr uint64_t kMagic = 0x32444e48'4c4c494d;
constexpr size_t kMostInHand = 1100;  // a turn decides fewer
constexpr size_t kMostSuspects = 1100;

}  // namespace

struct InHand::Entry {
  char kind[24];  // ends with NUL
  int64_t id;
  int32_t ends;
  int32_t comes_again;

  bool is(const Item& item) const {
    return id == item.id && item.kind.substr(0, sizeof(kind) - 1) == kind;
  }
};

struct InHand::Page {
  uint64_t magic;
  char version[32];
  char boot[40];
  uint32_t items_now;
  uint32_t suspects_now;
  Entry items[kMostInHand];
  Entry suspects[kMostSuspects];
};

namespace {

Error cannot(std::string_view what, const std::string& path) {
  return {ErrorKind::Unavailable, "BAS-0008",
          fmt::format("cannot {} '{}': {}", what, path, std::strerror(errno))};
}

template <size_t N>
void put(char (&to)[N], std::string_view text) {
  std::memset(to, 0, N);
  text.copy(to, N - 1);
}

}  // namespace

Result<std::unique_ptr<InHand>> InHand::open(const std::string& path, std::string_view version,
                                             const std::string& boot) {
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return cannot("open", path);
  // Blocks of its own: a full disk must not end the process at a write into the map.
  if (int failed = ::posix_fallocate(file.get(), 0, sizeof(Page)); failed != 0) {
    errno = failed;
    return cannot("make room for", path);
  }
  void* map = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (map == MAP_FAILED) return cannot("map", path);
  auto in_hand = std::unique_ptr<InHand>(new InHand(static_cast<Page*>(map)));
  Page& page = *in_hand->page_;
  Page fresh{.magic = kMagic};
  put(fresh.version, version);
  put(fresh.boot, boot);
  bool is_ours = std::memcmp(fresh.version, page.version, sizeof(page.version)) == 0 &&
                 std::memcmp(fresh.boot, page.boot, sizeof(page.boot)) == 0;
  if (!is_whole(page) || !is_ours) page = fresh;
  in_hand->count_what_was_left();
  return in_hand;
}

InHand::~InHand() { ::munmap(page_, sizeof(Page)); }

void InHand::count_what_was_left() {
  for (const Entry& left : std::span(page_->items, page_->items_now)) {
    Item item{left.kind, left.id, left.comes_again != 0};
    Entry* known = item.comes_again ? suspect(item) : nullptr;
    if (item.comes_again && !known && page_->suspects_now < kMostSuspects) {
      known = &page_->suspects[page_->suspects_now];
      *known = left;
      known->ends = 0;
      ++page_->suspects_now;
    }
    if (known) ++known->ends;
    found_.push_back({left.kind, left.id, known ? known->ends : 0});
  }
  let_go();
}

bool InHand::is_whole(const Page& page) {
  auto ends = [](const Entry& entry) { return entry.kind[sizeof(entry.kind) - 1] == 0; };
  return page.magic == kMagic && page.items_now <= kMostInHand &&
         page.suspects_now <= kMostSuspects && std::ranges::all_of(page.items, ends) &&
         std::ranges::all_of(page.suspects, ends);
}

std::vector<InHand::Found> InHand::dead_of(const Page& page) {
  std::vector<Found> dead;
  for (const Entry& entry : std::span(page.suspects, page.suspects_now)) {
    if (entry.ends >= kMostEnds) dead.push_back({entry.kind, entry.id, entry.ends});
  }
  return dead;
}

std::vector<InHand::Found> InHand::dead() const { return dead_of(*page_); }

std::vector<InHand::Found> InHand::dead_in(const std::string& path) {
  auto bytes = read_file(path, sizeof(Page));
  if (!bytes.ok() || bytes->size() != sizeof(Page)) return {};  // may fail: no server has run yet
  auto page = std::make_unique<Page>();
  std::memcpy(page.get(), bytes->data(), sizeof(Page));
  return is_whole(*page) ? dead_of(*page) : std::vector<Found>();
}

// The number comes last: what it counts is whole whenever the process ends.
void InHand::take(std::span<const Item> items) {
  std::atomic_ref now(page_->items_now);
  now.store(0, std::memory_order_release);
  size_t count = std::min(items.size(), kMostInHand);
  for (size_t i = 0; i < count; ++i) put_at(i, items[i]);
  taken_ = count;
  now.store(static_cast<uint32_t>(count), std::memory_order_release);
}

void InHand::also(const Item& item) {
  if (taken_ == kMostInHand) return;
  std::atomic_ref now(page_->items_now);
  now.store(static_cast<uint32_t>(taken_), std::memory_order_release);
  put_at(taken_, item);
  now.store(static_cast<uint32_t>(taken_ + 1), std::memory_order_release);
}

void InHand::no_more() {
  std::atomic_ref(page_->items_now).store(static_cast<uint32_t>(taken_), std::memory_order_release);
}

void InHand::put_at(size_t place, const Item& item) {
  Entry& entry = page_->items[place];
  put(entry.kind, item.kind);
  entry.id = item.id;
  entry.ends = 0;
  entry.comes_again = item.comes_again ? 1 : 0;
}

InHand::Entry* InHand::suspect(const Item& item) const {
  if (page_->suspects_now == 0) return nullptr;
  std::span all(page_->suspects, page_->suspects_now);
  auto found = std::ranges::find_if(all, [&](const Entry& each) { return each.is(item); });
  return found == all.end() ? nullptr : &*found;
}

bool InHand::has_suspects() const { return page_->suspects_now > 0; }

int InHand::ends(const Item& item) const {
  const Entry* known = suspect(item);
  return known ? known->ends : 0;
}

void InHand::forget(Entry& entry) {
  entry = page_->suspects[page_->suspects_now - 1];
  --page_->suspects_now;
}

void InHand::handled(const Item& item) {
  if (Entry* known = suspect(item)) forget(*known);
}

void InHand::handled(int64_t id) {
  for (size_t i = page_->suspects_now; i-- > 0;) {
    if (page_->suspects[i].id == id) forget(page_->suspects[i]);
  }
}

}  // namespace millrace
