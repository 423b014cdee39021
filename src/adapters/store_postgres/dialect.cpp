// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_postgres/dialect.h"

#include <fmt/format.h>

#include <utility>

namespace millrace::store_postgres {

std::string to_dialect(std::string_view script) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"BIGINT_KEY", "BIGINT"},           {" BYTES ", " BYTEA "},
      {" TEXT ", " TEXT COLLATE \"C\" "}, {"BEGIN IMMEDIATE", "BEGIN"},
      {"BEGIN EXCLUSIVE", kBeginAlone},
  };
  std::string out(script);
  for (auto [from, to] : kWords) {
    for (size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size()) {
      out.replace(at, from.size(), to);
    }
  }
  return out;
}

Verb verb_of(std::string_view text) {
  if (text.starts_with("BEGIN")) return Verb::Begin;
  if (text == "COMMIT") return Verb::Commit;
  if (text == "ROLLBACK") return Verb::Rollback;
  return Verb::Other;
}

// https://www.postgresql.org/docs/15/errcodes-appendix.html
std::string_view code_of(std::string_view sqlstate) {
  struct Known {
    std::string_view begins;
    std::string_view code;
  };
  constexpr Known kKnown[] = {
      {"53100", sql::kFull},     // disk full
      {"42501", sql::kAway},     // a right was taken
      {"53300", sql::kAway},     // too many connections
      {"57014", sql::kBusy},     // a statement was cut off
      {"XX001", sql::kDamaged},  // data corrupted
      {"XX002", sql::kDamaged},  // index corrupted
      {"08", sql::kAway},        // connection exception
      {"22", sql::kConstraint},  // data exception: NUL in a text
      {"23", sql::kConstraint},  // integrity constraint violation
      {"25", sql::kAway},        // invalid transaction state: a server that only reads
      {"28", sql::kAway},        // invalid authorization: the password was changed
      {"3D", sql::kAway},        // no such database
      {"40", sql::kBusy},        // transaction rollback: deadlock
      {"53", sql::kBusy},        // insufficient resources
      {"54", sql::kConstraint},  // program limit exceeded: a row is too large
      {"55", sql::kBusy},        // object not in prerequisite state: a lock was not got in time
      {"57", sql::kAway},        // operator intervention: going down, coming up
      {"58", sql::kBusy},        // system error: the server looks after its own disk
  };
  for (const auto& known : kKnown) {
    if (sqlstate.starts_with(known.begins)) return known.code;
  }
  return sqlstate.empty() ? sql::kAway : sql::kStatement;
}

Error error_of(std::string_view code, std::string_view doing, std::string_view said) {
  bool internal = code == sql::kConstraint || code == sql::kDamaged || code == sql::kStatement;
  while (said.ends_with('\n')) said.remove_suffix(1);
  return Error(internal ? ErrorKind::Internal : ErrorKind::Unavailable, std::string(code),
               fmt::format("postgres: {}: {}", doing.substr(0, 80), said));
}

}  // namespace millrace::store_postgres
