// SPDX-License-Identifier: Apache-2.0
#include "expr/meter.h"

#include <fmt/format.h>

namespace millrace::expr {

Error eval_error(std::string message) {
  return Error(ErrorKind::Invalid, kEvaluation, std::move(message));
}
Error type_error(std::string message) { return eval_error("TypeError: " + std::move(message)); }
Error value_error(std::string message) { return eval_error("ValueError: " + std::move(message)); }
Error unsupported(std::string message) {
  return Error(ErrorKind::Unsupported, kUnsupported, std::move(message));
}

Error Meter::steps_spent() const {
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

}  // namespace millrace::expr
