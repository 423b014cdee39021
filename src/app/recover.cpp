// SPDX-License-Identifier: Apache-2.0
#include "app/recover.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>

#include "app/local_commands.h"
#include "app/open_store.h"
#include "app/server.h"
#include "auth/token.h"
#include "base/files.h"
#include "base/time.h"
#include "cli/stdout.h"
#include "engine/engine.h"
#include "engine/transitions/commands.h"
#include "store/backup.h"
#include "store/migrate.h"

namespace millrace::app {
namespace {

// Files that root leaves in somebody else's folder would keep the server from its own store.
Result<void> check_owner(const std::string& data) {
  struct stat folder{};
  if (::stat(data.c_str(), &folder) == 0 && folder.st_uid == ::geteuid()) return {};
  return Error(
      ErrorKind::Forbidden, "APP-0031",
      fmt::format("data folder '{}' belongs to user {}, not to you (user {}): its owner can "
                  "recover access",
                  data, folder.st_uid, ::geteuid()));
}

}  // namespace

Result<void> ensure_admin_token(engine::Engine& engine, auth::TokenCache& tokens,
                                const std::string& file) {
  if (tokens.size() > 0) return {};
  Secret token = auth::make_token(auth::system_random());
  TRY(replace_file(file, std::string(token.reveal()) + "\n", 0600));
  std::promise<Result<kernel::TokenRow>> written;
  engine.submit(engine::command::write_token(
      {.tenant = kDefaultTenant, .identity = "millrace"},
      {.hash = auth::token_hash(token.reveal()), .identity = "admin", .permissions = "*"},
      [&](Result<kernel::TokenRow> row) { written.set_value(std::move(row)); }));
  TRY(auto row, written.get_future().get());
  tokens.put({row.id, row.tenant, row.hash, row.identity, row.permissions, row.expires});
  return {};
}

Result<void> make_admin_token(sql::Connection& writer, const std::string& data) {
  Secret token = auth::make_token(auth::system_random());
  TRY(store::add_token(writer, {.tenant = kDefaultTenant,
                                .hash = auth::token_hash(token.reveal()),
                                .identity = "admin",
                                .permissions = "*",
                                .created = unix_ms()}));
  return replace_file(DataPaths(data).admin_token, std::string(token.reveal()) + "\n", 0600);
}

Result<int> recover_access(const UpOptions& options) {
  const std::string& data = options.data;
  TRY(auto config, read_config(options));
  TRY(check_store_is_there(config.store, data));
  TRY(check_owner(data));
  auto lock = lock_folder(data);
  if (!lock.ok()) {
    return std::move(lock).error().with_context(
        "auth recover: stop the server first, it would not know a token that is made beside it");
  }
  TRY(auto store, open_store(config.store, data));
  TRY(auto writer, store->open_writer());
  TRY(store::migrate(*writer));
  TRY(make_admin_token(*writer, data));
  cli::put(
      "A new token with all permissions is in {}.\nTokens from before stay valid: once the "
      "server runs, `millrace auth token list` shows them and `auth token revoke` ends "
      "them.\n",
      DataPaths(data).admin_token);
  return 0;
}

}  // namespace millrace::app
