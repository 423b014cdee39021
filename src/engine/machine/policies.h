// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "kernel/rows.h"
#include "model/pack.h"

namespace millrace::engine {

struct PolicyEntry {
  PolicySpec spec;
  kernel::PolicyRow row;  // without an id: as its pack's file says
  std::string pack;  // whose file has it, or has had it before it was changed; empty: no pack's
};

// The policies of a tenant: those of its packs, with what people have put in their place or made
// besides. An immutable snapshot.
class PolicyBook {
 public:
  using Rows = std::map<std::string, kernel::PolicyRow, std::less<>>;
  // `rows` by ref; one that cannot be read is told in the log and passed over.
  PolicyBook(const std::vector<std::shared_ptr<const Pack>>& packs, const Rows& rows);
  PolicyBook() = default;

  // Those that are in force for this action: its own, then those of its pack, each by ref.
  std::vector<const PolicyEntry*> of(std::string_view action) const;
  // The one of them whose retry counts: the first that has one. Or nullptr.
  const PolicyEntry* retry_of(std::string_view action) const;
  const PolicyEntry* find(std::string_view ref) const;
  const std::map<std::string, PolicyEntry, std::less<>>& all() const { return all_; }
  bool empty() const { return all_.empty(); }

 private:
  using ByName =
      std::unordered_map<std::string, std::vector<const PolicyEntry*>, StringHash, std::equal_to<>>;
  std::map<std::string, PolicyEntry, std::less<>> all_;
  ByName of_actions_;
  ByName of_packs_;

 public:
  // It points into itself.
  PolicyBook(const PolicyBook&) = delete;
  PolicyBook& operator=(const PolicyBook&) = delete;
};

// What others in force for the same action say against it, and which of them holds, for people.
std::vector<std::string> contradictions(const PolicyBook& book, const PolicySpec& spec);

}  // namespace millrace::engine
