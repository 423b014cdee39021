// SPDX-License-Identifier: Apache-2.0
#include "conductor/task_lookup.h"

namespace millrace::conductor {

Error must_load(const std::string& key) {
  return Error(ErrorKind::Unavailable, "EXP-0004",
               "the value of '" + key + "' must be loaded first")
      .with_problem(key, "not loaded");
}

std::optional<EntryIndex> Conductor::TaskLookup::find_run(std::string_view id,
                                                          std::optional<int64_t> route) const {
  const State& state = conductor_.state_;
  auto node = conductor_.graph().find(id);
  int64_t at = route.value_or(route_);
  if (!node || at < 0 || at >= static_cast<int64_t>(state.routes.size())) return std::nullopt;
  for (RouteId r = static_cast<RouteId>(at); r >= 0;) {
    if (auto index = state.last(*node, r)) return index;
    const Route& steps = state.routes[static_cast<size_t>(r)];
    do {
      --r;
    } while (r >= 0 && !continues(steps, state.routes[static_cast<size_t>(r)]));
  }
  return std::nullopt;
}

expr::Answer Conductor::TaskLookup::kv(std::string_view key, bool decrypt) const {
  const expr::Lookup* outside = conductor_.environment_.outside;
  auto answer = outside ? outside->kv(key, decrypt) : expr::Answer::absent();
  ++keys_read_;
  // StackStorm's templates find an empty text.
  return answer.is_absent() && conductor_.is_chain() ? expr::Answer::of(Value("")) : answer;
}

expr::Answer Conductor::TaskLookup::task(std::optional<std::string_view> id,
                                         std::optional<int64_t> route) const {
  const expr::Lookup* outside = conductor_.environment_.outside;
  if (!outside || (!id && !task_)) return expr::Answer::absent();
  std::string_view name = id ? *id : std::string_view(conductor_.node(*task_).name);
  auto index = find_run(name, route);
  return outside->task(name,
                       index ? conductor_.state_.entry(*index).route : route.value_or(route_));
}

expr::Answer Conductor::TaskLookup::task_status(std::string_view id,
                                                std::optional<int64_t> route) const {
  auto index = find_run(id, route);
  Status status = index ? conductor_.state_.entry(*index).status : Status::Null;
  return expr::Answer::of(Value(to_string(status)));
}

expr::Answer Conductor::TaskLookup::current_status() const {
  if (!task_) return expr::Answer::absent();
  return task_status(conductor_.node(*task_).name, route_);
}

expr::Answer Conductor::TaskLookup::result() const {
  return task_ ? expr::Answer::of(result_) : expr::Answer::absent();
}

expr::Answer Conductor::TaskLookup::item() const { return expr::Answer::of(item_); }

}  // namespace millrace::conductor
