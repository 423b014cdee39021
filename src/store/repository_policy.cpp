// SPDX-License-Identifier: Apache-2.0
// Policies, and what they count.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "store/repository.h"

namespace millrace::store {

using namespace kernel;

template <>
Result<void> write_rows<&Changes::policies>(sql::Connection& db, Rows<PolicyRow> rows) {
  static const auto text = insert<PolicyRow>(
      "ON CONFLICT (id) DO UPDATE SET " + excluded<PolicyRow>() +
      " WHERE policy.version = excluded.version - 1 AND policy.tenant = excluded.tenant");
  TRY(auto batch, db.batch(text));
  for (const auto* r : rows) add_row(*batch, *r);
  return expect_touched(*batch, rows, [](const PolicyRow& r) {
    return stale(
        fmt::format("policy '{}': version {} does not hold any more", r.ref, r.version - 1));
  });
}

// In the order of their names: two servers that write the same ones wait for each other, and
// neither for both. Of one gauge the order stays. A new one is inserted and nothing else is: what
// rests on one that was not written finds none.
template <>
Result<void> write_rows<&Changes::gauges>(sql::Connection& db, Rows<GaugeRow> rows) {
  static const auto insert_text = insert<GaugeRow>("ON CONFLICT (tenant, name) DO NOTHING");
  static const auto update_text =
      update<GaugeRow>("WHERE tenant = $1 AND name = $2 AND version = $3");
  TRY(auto inserts, db.batch(insert_text));
  TRY(auto updates, db.batch(update_text));
  std::vector<const GaugeRow*> fresh;
  std::vector<const GaugeRow*> known;
  for (const auto* r : rows) (r->was == 0 ? fresh : known).push_back(r);
  for (auto* some : {&fresh, &known}) {
    std::ranges::sort(*some, [](const GaugeRow* a, const GaugeRow* b) {
      return std::tie(a->tenant, a->name, a->version) < std::tie(b->tenant, b->name, b->version);
    });
  }
  for (const auto* r : fresh) add_row(*inserts, *r);
  for (const auto* r : known) add_update(*updates, *r, r->tenant, r->name, r->was);
  auto error_of = [](const GaugeRow& r) {
    return stale(fmt::format("limit '{}': version {} does not hold any more", r.name, r.was));
  };
  if (!fresh.empty()) TRY(expect_touched(*inserts, Rows<GaugeRow>(fresh), error_of));
  if (!known.empty()) TRY(expect_touched(*updates, Rows<GaugeRow>(known), error_of));
  return {};
}

// A batch names the places of an execution once (write.cpp).
template <>
Result<void> write_rows<&Changes::places>(sql::Connection& db, Rows<PlaceRow> rows) {
  static const auto text = insert<PlaceRow>(
      "ON CONFLICT (tenant, gauge, execution) DO UPDATE SET " + excluded<PlaceRow>());
  TRY(auto upserts, db.batch(text));
  TRY(auto deletes,
      db.batch("DELETE FROM place WHERE tenant = $1 AND gauge = $2 AND execution = $3"));
  bool keeps = false;
  bool deletes_any = false;
  for (const auto* r : rows) {
    if (r->gone) {
      deletes->add(r->tenant, r->gauge, r->execution);
    } else {
      add_row(*upserts, *r);
    }
    (r->gone ? deletes_any : keeps) = true;
  }
  if (keeps) TRY(upserts->put_off({}));
  if (deletes_any) TRY(deletes->put_off({}));
  return {};
}

}  // namespace millrace::store
