// SPDX-License-Identifier: Apache-2.0
#include "expr/item.h"

#include <algorithm>
#include <bit>

#include "expr/python.h"

namespace millrace::expr {

const Object kRawMarker{ObjectKind::Raw, true};
const Object kShallowRawMarker{ObjectKind::Raw, true};
const Object kSafeMarker{ObjectKind::Safe, true};

Item Item::raw(Value value) {
  Item item(std::move(value));
  if (item.value_.is_list() || item.value_.is_map()) item.object_ = Ref<const Object>(&kRawMarker);
  return item;
}

Item Item::shallow_raw(Value value) {
  Item item(std::move(value));
  item.object_ = Ref<const Object>(&kShallowRawMarker);
  return item;
}

Item Item::safe(std::string_view text) {
  Item item(text);
  item.object_ = Ref<const Object>(&kSafeMarker);
  return item;
}

std::string to_string(Int128 value) {
  if (value == 0) return "0";
  bool negative = value < 0;
  std::string digits;
  for (; value != 0; value /= 10) {
    auto digit = static_cast<int>(value % 10);
    digits += static_cast<char>('0' + (digit < 0 ? -digit : digit));
  }
  if (negative) digits += '-';
  std::reverse(digits.begin(), digits.end());
  return digits;
}

Item make_int(Int128 value) {
  if (value >= INT64_MIN && value <= INT64_MAX) return static_cast<int64_t>(value);
  return Item(make<Wide>(value));
}

Result<size_t> ItemTable::find(Meter& meter, const Item& key) const {
  TRY(uint64_t h, python::hash(meter, key));
  if (index_.empty()) {
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (hashes_[i] != h) continue;
      TRY(bool same, python::equal(meter, keys_[i], key));
      if (same) return i;
    }
    return kNone;
  }
  size_t mask = index_.size() - 1;
  for (size_t slot = h & mask; index_[slot] != 0; slot = (slot + 1) & mask) {
    size_t i = index_[slot] - 1;
    if (hashes_[i] != h) continue;
    TRY(bool same, python::equal(meter, keys_[i], key));
    if (same) return i;
  }
  return kNone;
}

Result<std::pair<size_t, bool>> ItemTable::insert(Meter& meter, const Item& key) {
  TRY(size_t found, find(meter, key));
  if (found != kNone) return std::pair(found, false);
  TRY(meter.take(sizeof(Item) * 4));  // key, value, hash and places in the index
  TRY(uint64_t h, python::hash(meter, key));
  keys_.push_back(key);
  hashes_.push_back(h);
  if (keys_.size() >= kIndexFrom) {
    if (keys_.size() * 2 > index_.size()) {
      rebuild(std::bit_ceil(keys_.size() * 4));
    } else {
      place(keys_.size() - 1);
    }
  }
  return std::pair(keys_.size() - 1, true);
}

void ItemTable::place(size_t position) {
  size_t mask = index_.size() - 1;
  size_t slot = hashes_[position] & mask;
  while (index_[slot] != 0) slot = (slot + 1) & mask;
  index_[slot] = static_cast<uint32_t>(position + 1);
}

void ItemTable::rebuild(size_t buckets) {
  index_.assign(buckets, 0);
  for (size_t i = 0; i < keys_.size(); ++i) place(i);
}

void ItemTable::erase_at(size_t position) {
  keys_.erase(keys_.begin() + static_cast<ptrdiff_t>(position));
  hashes_.erase(hashes_.begin() + static_cast<ptrdiff_t>(position));
  if (!index_.empty()) rebuild(index_.size());
}

void ItemTable::clear() {
  keys_.clear();
  hashes_.clear();
  index_.clear();
}

Result<const Item*> Dict::find(Meter& meter, const Item& key) const {
  TRY(size_t at, table.find(meter, key));
  return at == ItemTable::kNone ? nullptr : &values[at];
}

Result<void> Dict::set(Meter& meter, const Item& key, Item value) {
  TRY(nest(meter, *this, std::max(depth_of(key), depth_of(value))));
  TRY(auto at, table.insert(meter, key));
  if (at.second) {
    values.push_back(std::move(value));
  } else {
    values[at.first] = std::move(value);
  }
  return {};
}

Result<bool> Dict::erase(Meter& meter, const Item& key) {
  TRY(size_t at, table.find(meter, key));
  if (at == ItemTable::kNone) return false;
  TRY(meter.step(values.size() / 4));  // those behind it move, the index is made again
  table.erase_at(at);
  values.erase(values.begin() + static_cast<ptrdiff_t>(at));
  return true;
}

uint16_t depth_of(const std::vector<Item>& items) {
  uint16_t depth = 0;
  for (const auto& item : items) depth = std::max(depth, depth_of(item));
  return depth;
}

Result<void> nest(Meter& meter, Object& object, uint16_t below) {
  if (below >= meter.budget().depth) return meter.too_deep();
  object.depth = std::max<uint16_t>(object.depth, below + 1);
  return {};
}

Result<Item> make_seq(Meter& meter, Flavor flavor, std::vector<Item> items) {
  TRY(meter.take(sizeof(Seq) + items.size() * sizeof(Item)));
  uint16_t below = depth_of(items);
  auto seq = make<Seq>(flavor, std::move(items));
  TRY(nest(meter, *seq, below));
  return Item(seq);
}

Result<Item> make_pair_item(Meter& meter, Flavor flavor, Item first, Item second) {
  std::vector<Item> items;
  items.reserve(2);
  items.push_back(std::move(first));
  items.push_back(std::move(second));
  return make_seq(meter, flavor, std::move(items));
}

}  // namespace millrace::expr
