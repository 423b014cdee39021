// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/machine/catalog.h"

namespace millrace::sim {

// The releases of the simulated pack `ci`: number 0, 1, ... They differ in their digest and rules.
inline constexpr int kReleases = 3;
std::shared_ptr<const Pack> core_pack();
// `limited`: with policies.
std::shared_ptr<const Pack> release(int number, bool limited);
// Its catalogue without rules of the store; compiled once.
std::shared_ptr<const engine::Catalog> catalog_of(int number, bool limited);

// What policies of these releases allow at once, by the gauge that counts it.
int64_t most_at_once(std::string_view gauge);

// What a client may start, and with what.
struct Startable {
  std::string action;
  Value parameters;
  int weight = 1;
};
const std::vector<Startable>& startables();

}  // namespace millrace::sim
