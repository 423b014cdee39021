// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "cli/st2_source.h"

// What becomes of each thing of a StackStorm installation. Pure.
namespace millrace::cli {

enum class Fate : uint8_t {
  Moves,    // it is written to this server
  IsThere,  // it is here already, and left as it is
  Comes,    // with its pack
  Stays,    // it is not carried
};
std::string_view to_string(Fate fate);

struct St2Item {
  std::string kind;  // "pack", "config", "key", "rule", "alias", "policy", "api key"
  std::string name;
  Fate fate = Fate::Stays;
  std::string why;  // or what is to be done by hand

  // Of what moves: how it is written.
  Value body;
  std::string path;    // PUT there; of a rule POST
  std::string folder;  // of a pack whose files are here
};

// What this server has.
struct St2Known {
  std::set<std::string> packs;
  std::set<std::string> keys;  // "SCOPE NAME"
  std::set<std::string> rules;
};

// In the order in which they are written: packs, configurations, keys, rules; then what stays.
std::vector<St2Item> plan_import(const Stackstorm& from, const St2Known& known, int64_t now_ms);

}  // namespace millrace::cli
