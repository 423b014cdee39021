// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "conductor/conductor.h"

namespace millrace::conductor {

// EXP-0004, in the form of expr's own: see expr::needed_key.
Error must_load(const std::string& key);

// What expressions see of the run besides the context: the current task, its result and item, the
// statuses of other tasks, and what the caller looks up. Borrows; lives for one evaluation.
class Conductor::TaskLookup final : public expr::Lookup {
 public:
  // Without a current task: for input, vars and output.
  TaskLookup(const Conductor& conductor) : conductor_(conductor) {}
  TaskLookup(const Conductor& conductor, NodeId task, RouteId route)
      : conductor_(conductor), task_(task), route_(route) {}

  TaskLookup& with_result(const Value& result) {
    result_ = result;
    return *this;
  }
  TaskLookup& with_item(const Value& item) {
    item_ = item;
    return *this;
  }

  NodeId task_node() const { return *task_; }
  RouteId route() const { return route_; }
  // How many keys were asked for.
  size_t keys_read() const { return keys_read_; }

  expr::Answer kv(std::string_view key, bool decrypt) const override;
  expr::Answer task(std::optional<std::string_view> id,
                    std::optional<int64_t> route) const override;
  expr::Answer task_status(std::string_view id, std::optional<int64_t> route) const override;
  expr::Answer current_status() const override;
  expr::Answer result() const override;
  expr::Answer item() const override;

 private:
  // The last run of a task on a route, or on the nearest earlier route that the route continues.
  std::optional<EntryIndex> find_run(std::string_view id, std::optional<int64_t> route) const;

  const Conductor& conductor_;
  std::optional<NodeId> task_;
  RouteId route_ = 0;
  Value result_;
  Value item_;
  mutable size_t keys_read_ = 0;
};

}  // namespace millrace::conductor
