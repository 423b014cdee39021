// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

// What an action asks of the worker that runs it (`runs_on: [gpu, os=linux]`), and what a worker
// offers. A label is a text that both know, and nothing more is read from it. Runtimes that a
// machine may lack are labels as well: `runtime=python`.
namespace millrace {

inline constexpr size_t kMostLabels = 16;
inline constexpr size_t kLongestLabel = 64;
inline constexpr std::string_view kRuntimeLabel = "runtime=";

// Letters, digits and `. _ - / = :`. Invalid: EXE-0029.
Result<void> check_label(std::string_view label);

// Labels as one text, sorted, each once, with `,` between: one key for all that asks for the same.
std::string join_labels(std::vector<std::string> labels);
std::vector<std::string> split_labels(std::string_view joined);

// Those of `needs` that `offered` has not.
std::vector<std::string> missing_labels(std::string_view needs,
                                        std::span<const std::string> offered);
bool offers(std::span<const std::string> offered, std::string_view needs);

}  // namespace millrace
