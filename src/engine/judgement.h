// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "engine/machine/catalog.h"
#include "engine/machine/keys.h"
#include "engine/verdict.h"
#include "expr/expr.h"
#include "rules/rule.h"

namespace millrace::engine {

// One event, read once, against which rules are held. Loads the keys that they read, round by
// round; encrypted ones, and what is sealed of configurations, stay closed. All rules share what an
// event's rules may do. For one thread.
class Judgement {
 public:
  static Result<Judgement> create(const Engine& engine, sql::Connection& reader,
                                  const kernel::EventRow& event);

  // `enforcement`: that the rule has made of the event; its id where none is there is 0.
  Result<RuleVerdict> of(const rules::CompiledRule& rule, EnforcementId enforcement = {});
  expr::Engine& expressions() { return *expressions_; }
  const TenantCatalog& catalog() const { return *catalog_; }

 private:
  Judgement(const Engine& engine, sql::Connection& reader, const kernel::EventRow& event);
  Result<RuleVerdict> try_once(const rules::CompiledRule& rule, EnforcementId enforcement,
                               bool may_load);

  sql::Connection* reader_;
  TenantId tenant_;
  EventId event_;
  std::shared_ptr<const TenantCatalog> catalog_;
  std::unique_ptr<expr::Engine> expressions_;
  std::unique_ptr<expr::Allowance> allowance_;
  rules::EventScope scope_;
  int64_t created_ = 0;
  int64_t now_ms_ = 0;
  std::map<kernel::KeyName, std::optional<kernel::KeyRow>> keys_;
};

}  // namespace millrace::engine
