// SPDX-License-Identifier: Apache-2.0
#include "store/read.h"
#include "store/tables.h"

namespace millrace::store {

using namespace kernel;

Result<std::vector<PolicyRow>> policies_of_all_tenants(sql::Connection& db) {
  static const auto text = select<PolicyRow>("/*every tenant: start*/ WHERE deleted = 0");
  return read_all<PolicyRow>(db, text);
}

Result<std::optional<PolicyRow>> find_policy(sql::Connection& db, TenantId tenant, PolicyId id) {
  static const auto text = select<PolicyRow>("WHERE +tenant = $1 AND id = $2");
  return read_one<PolicyRow>(db, text, tenant, id);
}

Result<std::optional<GaugeRow>> find_gauge(sql::Connection& db, TenantId tenant,
                                           const std::string& name) {
  static const auto text = select<GaugeRow>("WHERE tenant = $1 AND name = $2");
  return read_one<GaugeRow>(db, text, tenant, name);
}

Result<std::vector<GaugeRow>> gauges_between(sql::Connection& db, TenantId tenant,
                                             const std::string& from, const std::string& to,
                                             int limit) {
  static const auto text =
      select<GaugeRow>("WHERE tenant = $1 AND name >= $2 AND name < $3 ORDER BY name LIMIT $4");
  return read_all<GaugeRow>(db, text, tenant, from, to, limit);
}

Result<std::vector<PlaceRow>> first_places(sql::Connection& db, TenantId tenant,
                                           const std::string& gauge, PlaceState state, int limit) {
  static const auto text = select<PlaceRow>(
      "WHERE tenant = $1 AND gauge = $2 AND state = $3 ORDER BY place_rank, execution LIMIT $4");
  return read_all<PlaceRow>(db, text, tenant, gauge, state, limit);
}

Result<std::vector<GaugeRow>> waiting_gauges(sql::Connection& db, TenantId tenant,
                                             const std::string& after, int limit) {
  static const auto text = select<GaugeRow>(
      "/*every tenant: sweep*/ WHERE waiting > 0 AND (tenant, name) > ($1, $2) "
      "ORDER BY tenant, name LIMIT $3");
  return read_all<GaugeRow>(db, text, tenant, after, limit);
}

}  // namespace millrace::store
