// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "adapters/store_postgres/rows.h"

namespace millrace::store_postgres {

// Row level security: a second wall behind `tenant = $n` in every statement (K10). Each table with
// a tenant has the policy that only rows of the tenants in the setting `millrace.tenants` are seen
// and written, and before a statement is run that is set to the tenants that are bound to it. A
// statement that binds none, and does not say that it is about every tenant, sees nothing.

// Whose rows a statement is about, by its text.
struct Tenancy {
  enum class Of : uint8_t {
    Nobody,   // its tables have no tenants
    Bound,    // of those that `parameter` names
    Every,    // it says so: /*every tenant: WORD*/
    Unbound,  // it does not say
  };
  Of of = Of::Unbound;
  int parameter = 0;  // from 1
};
Tenancy tenancy_of(std::string_view text);

// The value of the setting; none: it does not matter.
std::optional<std::string> tenants_of(const Tenancy& tenancy, const Rows& rows);

// Makes the policies of all tables of the schema that have tenants, or takes them away.
std::string row_security_script(bool on);

}  // namespace millrace::store_postgres
