// SPDX-License-Identifier: Apache-2.0
#include "app/sealed_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "store/backup.h"
#include "store/read.h"

namespace millrace::app {

namespace {

struct Sealed {
  TenantId tenant;
  std::string scope, name;
  int64_t version = 0;
  std::string sealed;
  std::string what;  // for people

  bool opens_with(const auth::KeyRing& ring) const {
    return ring.open({tenant, scope, name, version}, sealed).ok();
  }
};

// The newest keys first: what is sealed anew is so by the ring that is used now.
Result<std::vector<Sealed>> sealed_rows(sql::Connection& reader, int64_t most) {
  std::vector<Sealed> rows;
  TRY(auto keys, store::sealed_keys(reader, most));
  for (auto& row : keys) {
    auto what = fmt::format("key {} of {}", row.key.name, row.key.scope);
    rows.push_back({row.key.tenant, std::move(row.key.scope), std::move(row.key.name), row.version,
                    std::move(row.value_json), std::move(what)});
  }
  TRY(auto webhooks, store::webhooks_of_all_tenants(reader));
  std::ranges::sort(webhooks, std::greater(), &kernel::WebhookRow::updated);
  int64_t left = most;
  for (auto& row : webhooks) {
    if (row.sealed_secrets.empty() || left-- <= 0) continue;
    auto what = fmt::format("the secret of webhook endpoint {}", row.name);
    rows.push_back({row.tenant, "webhook", std::move(row.name), 0, std::move(row.sealed_secrets),
                    std::move(what)});
  }
  return rows;
}

}  // namespace

Result<SealedRows> look_at_sealed_rows(sql::Connection& reader, const auth::KeyRing* ring) {
  SealedRows found;
  TRY(auto rows, sealed_rows(reader, INT64_MAX));
  found.all = rows.size();
  for (auto& row : rows) {
    bool opens = ring && row.opens_with(*ring);
    if (!opens) found.closed.push_back(std::move(row.what));
  }
  std::ranges::sort(found.closed);
  return found;
}

Result<SealedRows> try_ring(sql::Connection& reader, const auth::KeyRing& ring) {
  SealedRows found;
  TRY(auto rows, sealed_rows(reader, kMostTried));
  for (auto& row : rows) {
    ++found.all;
    if (row.opens_with(ring)) return found;
    found.closed.push_back(std::move(row.what));
  }
  return found;
}

Result<void> check_ring(sql::Connection& reader, const auth::KeyRing& ring,
                        const DataPaths& paths) {
  TRY(auto found, try_ring(reader, ring));
  if (found.all == 0 || found.closed.size() < found.all) return {};
  return Error(
      ErrorKind::Conflict, "APP-0043",
      fmt::format(
          "'{}' opens none of the {} encrypted keys and webhook secrets of the store that were "
          "tried ({}{}): put back the keys.json that sealed them, from your copy or the backup; "
          "without it, store.keys_are_lost=true starts, and they have to be set again",
          paths.keys, found.all, found.closed.front(), found.all > 1 ? ", ..." : ""));
}

}  // namespace millrace::app
