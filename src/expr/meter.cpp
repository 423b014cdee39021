// SPDX-License-Identifier: Apache-2.0
#include "expr/meter.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::expr {

Error eval_error(std::string message) {
  return Error(ErrorKind::Invalid, kEvaluation, std::move(message));
}
Error type_error(std::string message) { return eval_error("TypeError: " + std::move(message)); }
Error value_error(std::string message) { return eval_error("ValueError: " + std::move(message)); }
Error unsupported(std::string message) {
  return Error(ErrorKind::Unsupported, kUnsupported, std::move(message));
}

Error Meter::steps_spent() {
  steps_ = 0;  // what comes after it fails too
  if (allowed_ < budget_.steps) {
    return Error(ErrorKind::TooLarge, kSteps,
                 fmt::format("the evaluations of one decision took more than {} steps together",
                             allowance_->of));
  }
  return Error(ErrorKind::TooLarge, kSteps,
               fmt::format("the evaluation took more than {} steps", budget_.steps));
}

Error Meter::memory_spent() const {
  return Error(
      ErrorKind::TooLarge, kMemory,
      fmt::format("the evaluation needs more than {} bytes of memory", budget_.memory_bytes));
}

Error Meter::too_deep() const {
  return Error(ErrorKind::TooLarge, kDepth,
               fmt::format("the evaluation nests deeper than {} levels", budget_.depth));
}

Error Meter::output_spent() const {
  return Error(ErrorKind::TooLarge, kOutput,
               fmt::format("the result is larger than {} bytes", budget_.output_bytes));
}

std::string_view needed_key(const Error& error) {
  if (error.code() != kNeeded || error.problems().empty()) return {};
  return error.problems().front().path;
}

const std::vector<Problem>& needed_keys(const Error& error) {
  static const std::vector<Problem> none;
  return error.code() == kNeeded ? error.problems() : none;
}

void add_needs(std::optional<Error>& needs, const Error& more) {
  if (needed_key(more).empty()) return;
  if (!needs) {
    needs = more;
    return;
  }
  for (const Problem& need : more.problems()) {
    const auto& known = needs->problems();
    bool is_new = std::ranges::find(known, need.path, &Problem::path) == known.end();
    if (is_new) needs = std::move(*needs).with_problem(need.path, need.message);
  }
}

}  // namespace millrace::expr
