// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engine/transitions/catalogue.h"

namespace millrace::engine {

// A pack leaves: its rules end (their revisions stay), the timers of its schedules go, its actions
// and triggers leave the catalogue. Executions that are pinned to its release go on with it.
// Answers when the new snapshot is in force.
class UninstallPack final : public Transition {
 public:
  // `force`: although rules of others or webhook endpoints use it.
  UninstallPack(Caller caller, std::string ref, bool force, Reply<Uninstalled> reply);
  std::string_view name() const override { return "uninstall_pack"; }
  void want(Wanted& wanted) const override;
  Result<void> decide(Context& ctx) override;
  void settle(Memory& memory) override {
    if (catalog_) memory.catalog_changed(catalog_);
    reply_(done_);
  }
  void fail(const Error& error) override { reply_(error); }

 private:
  Result<void> check_unused(const Catalog& catalog, const Pack& pack) const;

  Caller caller_;
  std::string ref_;
  bool force_;
  Reply<Uninstalled> reply_;
  Uninstalled done_;
  std::shared_ptr<const Catalog> catalog_;  // null: an earlier request is answered again
};

}  // namespace millrace::engine
