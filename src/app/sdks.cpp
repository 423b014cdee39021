// SPDX-License-Identifier: Apache-2.0
#include "app/sdks.h"

#include <fmt/format.h>

#include <filesystem>

#include "app/embedded.h"
#include "app/write_release.h"
#include "packs/folder.h"

namespace millrace::app {

Result<std::string> stage_sdk(const std::string& data, Sdk sdk) {
  bool is_python = sdk == Sdk::Python;
  auto files = is_python ? python_sdk() : node_sdk();
  std::string digest = packs::digest_of(files);
  auto folder = fmt::format("{}/sdk/{}/{}", std::filesystem::absolute(data).string(),
                            is_python ? "python" : "node", digest);
  auto there = packs::read_pack_folder(folder);
  bool is_whole = there.ok() && packs::digest_of(*there) == digest;
  if (!is_whole) {
    TRY(write_release(files, folder));
  }
  return folder;
}

}  // namespace millrace::app
