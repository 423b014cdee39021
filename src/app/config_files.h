// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "base/value.h"
#include "model/pack.h"

namespace millrace::app {

// The files of this machine that say what packs are configured with: FOLDER/PACK.yaml, as
// StackStorm has them in /opt/stackstorm/configs. One that cannot be read leaves what it said
// before. Blocks; one thread at a time.
class ConfigFiles {
 public:
  // Empty: there are none.
  explicit ConfigFiles(std::string folder) : folder_(std::move(folder)) {}

  // Puts what the pack's file says over its own configuration. What is wrong with the file is among
  // the faults of the pack.
  void configure(Pack& pack);

  const std::string& folder() const { return folder_; }

 private:
  std::string folder_;
  std::map<std::string, Value, std::less<>> last_;  // by pack
};

}  // namespace millrace::app
