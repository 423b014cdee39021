// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "base/result.h"
#include "expr/expr.h"

namespace millrace::expr {

inline constexpr std::string_view kSyntax = "EXP-0001";
inline constexpr std::string_view kEvaluation = "EXP-0002";
inline constexpr std::string_view kUndefined = "EXP-0003";
inline constexpr std::string_view kNeeded = "EXP-0004";
inline constexpr std::string_view kSteps = "EXP-0005";
inline constexpr std::string_view kDepth = "EXP-0006";
inline constexpr std::string_view kOutput = "EXP-0007";
inline constexpr std::string_view kMemory = "EXP-0008";
inline constexpr std::string_view kTooLarge = "EXP-0009";
inline constexpr std::string_view kUnsupported = "EXP-0010";

// Evaluation errors carry the name of the exception that the reference raises: `TypeError: ...`.
Error eval_error(std::string message);
Error type_error(std::string message);
Error value_error(std::string message);
Error unsupported(std::string message);

// What is left of a Budget during one evaluate or render call.
class Meter {
 public:
  explicit Meter(const Budget& budget, Allowance* allowance = nullptr)
      : budget_(budget),
        allowance_(allowance),
        allowed_(allowance ? std::min(budget.steps, allowance->left) : budget.steps),
        steps_(allowed_),
        memory_(budget.memory_bytes) {}
  ~Meter() {
    if (allowance_) allowance_->left -= allowed_ - steps_;
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  Result<void> step(uint64_t n = 1) {
    if (n > steps_) [[unlikely]]
      return steps_spent();
    steps_ -= n;
    return {};
  }
  // Counts `bytes` that are about to be allocated; nothing is given back.
  Result<void> take(size_t bytes) {
    if (bytes > memory_) [[unlikely]]
      return memory_spent();
    memory_ -= bytes;
    return {};
  }
  // Before `more` bytes are appended to a text that has `have`: a text never outgrows the output
  // budget, not even for a moment.
  Result<void> room(size_t have, size_t more) const {
    if (have > budget_.output_bytes || more > budget_.output_bytes - have) [[unlikely]]
      return output_spent();
    return {};
  }
  // Reading or comparing that many bytes of a text once.
  Result<void> scan(size_t bytes) { return step(bytes / kBytesPerStep); }
  Result<void> enter() {
    if (depth_ >= budget_.depth) [[unlikely]]
      return too_deep();
    ++depth_;
    return {};
  }
  void leave() { --depth_; }
  Error too_deep() const;
  Error output_spent() const;

  const Budget& budget() const { return budget_; }

  // The running template is YAQL: the lists of its input are tuples of Python, its maps hashable.
  bool frozen_input = false;

 private:
  static constexpr size_t kBytesPerStep = 64;
  Error steps_spent();
  Error memory_spent() const;
  const Budget& budget_;
  Allowance* allowance_;
  uint64_t allowed_;
  uint64_t steps_;
  size_t memory_;
  uint32_t depth_ = 0;
};

// Leaves a level at the end of the block.
class Level {
 public:
  explicit Level(Meter& meter) : meter_(meter) {}
  ~Level() { meter_.leave(); }
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;

 private:
  Meter& meter_;
};

}  // namespace millrace::expr
