// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/machine/context.h"
#include "engine/machine/transition.h"

namespace millrace::engine {

struct Caller;

// Owns the rules that people write, those of a pack included that they have edited.
inline constexpr std::string_view kNoPack = "";
// Owns a pack's rule that somebody has deleted: no file brings it back.
inline constexpr std::string_view kDeleter = "(deleted by an operator)";

// All writes of the catalogue take turns: each makes a snapshot from the one before it. They answer
// when the new snapshot is in force, not only durable: who has created a rule may send its event at
// once. A repeated request with an Idempotency-Key is answered with the rule or the endpoint as it
// is now; one that is gone has an id only.
inline Turn catalogue_turn() { return Turn::exclusive(0); }

// The tenant's next catalogue: in force with the commit, unless another server has made one since.
// A new version has an entry in the feed, by which others learn of it: after those were added.
void put_in_force(Context& ctx, TenantId tenant, const std::shared_ptr<const Catalog>& next);
// `updated` of a release that is written now: above those that are known of, `newest` among them,
// also when they were written by a server whose clock is ahead.
int64_t next_release(Context& ctx, int64_t newest);
// The highest of all of them and of those that this decision writes.
int64_t newest_release(const Context& ctx, int64_t newest);

// A rule as JSON, the form in which its revisions are stored and the API shows it.
Value rule_to_value(const RuleSpec& spec);
Result<RuleSpec> rule_from_value(const Value& value);

// What a rule may not be written with: whatever check_rule finds. Invalid, RUL-0105.
Result<void> check_spec(const RuleSpec& spec, const TenantCatalog& catalog, expr::Engine& engine);

struct Written {
  std::string owner;   // its pack, or kNoPack
  std::string author;  // RuleRow::author
  std::string override_json = {};
};
// The author of what a release brings.
std::string author_of(const Pack& pack);
// What the file of the pack says that owns this rule; null: it has none, or it is not loaded.
const RuleSpec* rule_of_file(const TenantCatalog& catalog, const kernel::RuleRow& row);
// The next revision of a rule, compiled, as a row and in the feed.
Result<std::shared_ptr<const RuleEntry>> add_revision(Context& ctx, TenantId tenant,
                                                      const RuleSpec& spec, Written by,
                                                      const RuleEntry* old);
// The same as the answer to somebody's request: a schedule must be ahead, unless it is the one from
// before; in force with the commit. `dry_run`: what it would be, and nothing is written.
Result<kernel::RuleRow> write_revision(Context& ctx, const Caller& caller, const RuleSpec& spec,
                                       Written by, const RuleEntry* old, bool dry_run);
// The last revision of a rule that goes, as a row and in the feed.
std::shared_ptr<const RuleEntry> add_deletion(Context& ctx, const RuleEntry& old, std::string owner,
                                              std::string author);

// What a repeated request is answered with: the rule that it made, as it is now.
kernel::RuleRow row_now(const RuleEntry* entry, RuleId id, std::string_view ref);
Error no_rule(const TenantCatalog& catalog, std::string_view ref);
// Stale when somebody else has written it.
Result<void> check_revision(const RuleEntry& entry, std::optional<int64_t> wanted);

}  // namespace millrace::engine
