// SPDX-License-Identifier: Apache-2.0
#include "app/sealed_rows.h"

#include <fmt/format.h>

#include "store/backup.h"
#include "store/read.h"

namespace millrace::app {

Result<SealedRows> look_at_sealed_rows(sql::Connection& reader, const auth::KeyRing* ring) {
  SealedRows found;
  auto look = [&](const auth::SealedFor& owner, const std::string& sealed, std::string what) {
    ++found.all;
    bool opens = ring && ring->open(owner, sealed).ok();
    if (!opens) found.closed.push_back(std::move(what));
  };
  TRY(auto keys, store::sealed_keys(reader));
  for (const auto& row : keys) {
    look({row.key.tenant, row.key.scope, row.key.name, row.version}, row.value_json,
         fmt::format("key {} of {}", row.key.name, row.key.scope));
  }
  TRY(auto webhooks, store::webhooks_of_all_tenants(reader));
  for (const auto& row : webhooks) {
    if (row.sealed_secrets.empty()) continue;
    look({row.tenant, "webhook", row.name, 0}, row.sealed_secrets,
         fmt::format("the secret of webhook endpoint {}", row.name));
  }
  return found;
}

Result<void> check_ring(sql::Connection& reader, const auth::KeyRing& ring,
                        const DataPaths& paths) {
  TRY(auto found, look_at_sealed_rows(reader, &ring));
  if (found.all == 0 || found.closed.size() < found.all) return {};
  return Error(
      ErrorKind::Conflict, "APP-0043",
      fmt::format(
          "'{}' opens none of the {} encrypted keys and webhook secrets of the store ({}{}): "
          "put back the keys.json that sealed them, from your copy or the backup; without "
          "it, store.keys_are_lost=true starts, and they have to be set again",
          paths.keys, found.all, found.closed.front(), found.all > 1 ? ", ..." : ""));
}

}  // namespace millrace::app
