// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/value.h"
#include "engine/machine/catalog.h"
#include "kernel/rows.h"
#include "model/pack.h"

// What a command of a chat means, and what is said of it. Pure, and slow enough for a thread of the
// pool: a command is held against every format.
namespace millrace::api {

// An alias that a command is of.
struct ChatMatch {
  std::shared_ptr<const Pack> pack;  // has `alias`
  const Alias* alias = nullptr;
  std::string display;
  std::string representation;
  std::vector<Value> parameters;  // of each execution; one, unless the form matches several times
};

// Errors: API-0140 when no enabled alias is of this form, API-0141 when several are, whose names
// stand in it; API-0142 for a command that is too long.
Result<ChatMatch> match_command(const engine::TenantCatalog& catalog, std::string_view command);
// The same for one alias and one of its representations; empty: whichever fits.
Result<ChatMatch> match_alias(const engine::TenantCatalog& catalog, std::string_view name,
                              std::string_view representation, std::string_view command);

// What the action is started with: lists out of texts, and the alias' immutable parameters over
// them. Errors: API-0143 when a command sets one of those.
Result<Value> chat_parameters(const engine::TenantCatalog& catalog, const Alias& alias,
                              Value parameters, const Value& context);

// By ref, or by name where that is only one's.
const Alias* find_alias(const engine::TenantCatalog& catalog, std::string_view ref);

// An execution under the names that StackStorm's templates use.
Value chat_execution(const kernel::ExecutionRow& row, const engine::TenantCatalog& catalog);

struct ChatMessage {
  bool enabled = true;
  bool append_url = true;
  std::string text;
  Value extra;  // null: none
};
// An alias of null: it is gone, and the message is the server's own.
ChatMessage acknowledgement(const Alias* alias, const Value& execution);
ChatMessage outcome(const Alias* alias, const Value& execution);

}  // namespace millrace::api
