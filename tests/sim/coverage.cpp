// SPDX-License-Identifier: Apache-2.0
#include "coverage.h"

#include <fmt/format.h>

#include <algorithm>

#include "plan.h"

namespace millrace::sim {

namespace {

using engine::Fate;
using engine::Trouble;

// Transition::name() of each kind.
constexpr std::string_view kMessages[] = {
    "advance_workflow",
    "answer_inquiry",
    "bury_message",
    "cancel_execution",
    "check_releases",
    "check_timers",
    "delete_rule",
    "delete_token",
    "dispatch_queue",
    "enforce_event",
    "finish_run",
    "fire_timer",
    "ingest_event",
    "load_packs",
    "look_at_limit",
    "lose_worker",
    "open_worker",
    "pause_execution",
    "prepare_run",
    "replay_event",
    "rerun_execution",
    "resolve_execution",
    "resume_execution",
    "start_execution",
    "sweep",
    "uninstall_pack",
    "write_key",
    "write_rule",
    "write_token",
    "write_webhook",
};

struct Met {
  Trouble trouble;
  Fate::What fate;
};
constexpr Met kFates[] = {
    {Trouble::Load, Fate::What::Later},   {Trouble::Load, Fate::What::Answer},
    {Trouble::Load, Fate::What::Bury},    {Trouble::Refused, Fate::What::Answer},
    {Trouble::Refused, Fate::What::Bury}, {Trouble::Stale, Fate::What::Again},
    {Trouble::Write, Fate::What::Bury},   {Trouble::Away, Fate::What::Answer},
    {Trouble::Away, Fate::What::Later},
};
using enum ExecutionStatus;
struct Edge {
  ExecutionStatus from;
  ExecutionStatus to;
};
// What an execution can become; rarer ones are told, but not asked for.
constexpr Edge kEdges[] = {
    {Requested, Running},     {Requested, NeedsDecision}, {Requested, Canceled},
    {Requested, Paused},      {Delayed, Paused},          {Paused, Requested},
    {Paused, Delayed},        {Delayed, Running},         {Scheduled, Requested},
    {Scheduled, Running},     {Scheduled, Canceling},     {Running, Requested},
    {Running, Scheduled},     {Running, Pausing},         {Running, Paused},
    {Running, Canceling},     {Running, NeedsDecision},   {Running, Succeeded},
    {Running, Failed},        {Running, Timeout},         {Running, Canceled},
    {Pending, Succeeded},     {Pending, Timeout},         {Pending, Canceled},
    {Pausing, Running},       {Pausing, Pausing},         {Pausing, Paused},
    {Pausing, Canceling},     {Pausing, Failed},          {Pausing, Canceled},
    {Paused, Running},        {Paused, Paused},           {Paused, Succeeded},
    {Paused, Failed},         {Paused, Canceled},         {Canceling, Canceling},
    {Canceling, Failed},      {Canceling, Canceled},      {NeedsDecision, Requested},
    {NeedsDecision, Running}, {NeedsDecision, Paused},    {NeedsDecision, Succeeded},
    {NeedsDecision, Failed},  {NeedsDecision, Canceled},  {NeedsDecision, Abandoned},
};

constexpr std::string_view kTroubles[] = {"load",  "refused", "undecided", "stale",
                                          "write", "away",    "deadly"};
static_assert(std::size(kTroubles) == std::tuple_size_v<decltype(Coverage::fates)>);
constexpr std::string_view kWhats[] = {"again", "later", "answer", "bury"};
constexpr std::string_view kEnds[] = {"committed", "duplicate", "stale", "refused", "unavailable"};

std::string edge_name(size_t from, size_t to) {
  return fmt::format("{} -> {}", to_string(static_cast<ExecutionStatus>(from)),
                     to_string(static_cast<ExecutionStatus>(to)));
}

}  // namespace

std::vector<std::string> report_coverage(const Coverage& coverage, bool in_full) {
  std::vector<std::string> missing;
  auto count = [&](std::string name, int64_t seen) {
    if (in_full) fmt::print("  {:<40} {}\n", name, seen);
    if (seen == 0) missing.push_back(std::move(name));
  };
  for (auto name : kMessages) {
    auto found = coverage.messages.find(name);
    count("message " + std::string(name), found == coverage.messages.end() ? 0 : found->second);
  }
  for (const auto& [trouble, fate] : kFates) {
    auto t = static_cast<size_t>(trouble);
    auto f = static_cast<size_t>(fate);
    count(fmt::format("fate {} -> {}", kTroubles[t], kWhats[f]), coverage.fates[t][f]);
  }
  for (size_t i = 0; i < std::size(kEnds); ++i) {
    count("commit " + std::string(kEnds[i]), coverage.ends[i]);
  }
  for (int i = 0; i < kOpKinds; ++i) {
    auto name = to_string(static_cast<OpKind>(i));
    auto found = coverage.ops.find(name);
    count("operation " + std::string(name), found == coverage.ops.end() ? 0 : found->second);
  }
  auto is_asked_for = [](size_t from, size_t to) {
    return std::ranges::any_of(kEdges, [&](const Edge& edge) {
      return static_cast<size_t>(edge.from) == from && static_cast<size_t>(edge.to) == to;
    });
  };
  for (size_t from = 0; from < coverage.edges.size(); ++from) {
    for (size_t to = 0; to < coverage.edges.size(); ++to) {
      int64_t seen = coverage.edges[from][to];
      if (seen > 0 || is_asked_for(from, to)) count("edge " + edge_name(from, to), seen);
    }
  }
  return missing;
}

}  // namespace millrace::sim
