// SPDX-License-Identifier: Apache-2.0
#include "app/import_command.h"

#include <fmt/format.h>

#include <filesystem>

#include "cli/import_st2.h"
#include "cli/session.h"
#include "net/content_coding.h"
#include "net/http.h"
#include "packs/archive.h"
#include "packs/folder.h"

namespace millrace::app {
namespace {

Result<void> install_folder(cli::Session& session, const std::string& folder) {
  auto whole = std::filesystem::absolute(folder).lexically_normal();
  TRY(auto files, packs::read_pack_folder(whole.string()));
  TRY(auto archive, net::gzip(packs::write_tar(files, whole.filename().string())));
  auto query = fmt::format("?kind=folder&from={}", net::percent_encode(whole.string()));
  TRY(session.send({.path = "/api/v1/packs" + query,
                    .bytes = std::move(archive),
                    .content_type = "application/gzip"}));
  return {};
}

}  // namespace

cli::CommandTable import_commands() { return cli::import_commands(install_folder); }

}  // namespace millrace::app
