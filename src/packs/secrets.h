// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "model/pack.h"

namespace millrace::packs {

// The values of an action's secret parameters, and of its pack's configuration, in one call, to
// compare data with: a text with texts, a number with numbers, whole. Data is never searched for
// parts of them: what masks a text for people would change the digits of a number here.
class SecretScalars {
 public:
  // `secret_config`: as parameters.h has it.
  SecretScalars(const Action& action, const Value& parameters, const Value& secret_config = {});

  bool empty() const { return texts_.empty() && numbers_.empty(); }
  // The data with "********" in the place of each value that is one of them.
  Value hidden_in(const Value& data) const;
  // Secret parameters, in words, whose values are too short to be masked anywhere: fewer than 4
  // bytes. Empty: none.
  const std::string& unmasked() const { return unmasked_; }

 private:
  void gather(const std::string& parameter, const Value& value);
  bool is_one(const Value& scalar) const;

  std::set<std::string, std::less<>> texts_;
  std::set<std::string, std::less<>> numbers_;  // as JSON writes them
  std::string unmasked_;
};

// `parameters` with "********" in place of each that the action declares secret, whatever its
// value. Without the action nobody can tell: then every value is hidden.
Value mask_secrets(const Value& parameters, const Action* action);

// False: no secret parameter is given in these parameters, written as JSON. A quick look, so that
// they need not be parsed.
bool may_hold_secrets(const Action& action, std::string_view parameters_json);

// What a secret parameter's schema allows that is too short to be masked, in words; empty: nothing
// that it names.
std::string short_secret(const Parameter& parameter);

}  // namespace millrace::packs
