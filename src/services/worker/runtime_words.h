// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/runtime.h"

namespace millrace::worker {

// What the words of a runtime may name by {env_dir}, {pack_dir}, {manifest_path}, {interpreter}.
struct RuntimeWords {
  std::string env_dir = {};  // empty: there is no environment
  std::string pack_dir = {};
  std::string manifest_path = {};
  std::string interpreter = {};

  std::string in(std::string_view text) const;
  std::vector<std::string> in(const std::vector<std::string>& texts) const;
};

// What a process of this runtime finds in the variable, when `before` stands there.
std::string value_of(const RuntimeVariable& variable, std::string_view before,
                     const RuntimeWords& words);

// It is there with an environment only.
bool needs_environment(const RuntimeVariable& variable);

}  // namespace millrace::worker
