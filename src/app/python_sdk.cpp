// SPDX-License-Identifier: Apache-2.0
#include "app/python_sdk.h"

#include <filesystem>

#include "app/embedded.h"
#include "app/write_release.h"
#include "packs/folder.h"

namespace millrace::app {

Result<std::string> stage_python_sdk(const std::string& data) {
  auto files = python_sdk();
  std::string digest = packs::digest_of(files);
  std::string folder = std::filesystem::absolute(data).string() + "/sdk/python/" + digest;
  auto there = packs::read_pack_folder(folder);
  bool is_whole = there.ok() && packs::digest_of(*there) == digest;
  if (!is_whole) {
    TRY(write_release(files, folder));
  }
  return folder;
}

}  // namespace millrace::app
