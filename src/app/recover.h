// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "app/local_commands.h"
#include "base/result.h"
#include "store/sql.h"

namespace millrace::auth {
class TokenCache;
}

namespace millrace::engine {
class Engine;
}

namespace millrace::app {

// The first start makes an admin token and leaves it in a file where the same user's command line
// finds it. Once there are tokens nothing is done.
Result<void> ensure_admin_token(engine::Engine& engine, auth::TokenCache& tokens,
                                const std::string& file);

// A token with all permissions: its row, and then the token in `admin.token` of the data folder,
// for its owner only. Whoever holds the store's lock may call it.
Result<void> make_admin_token(sql::Connection& writer, const std::string& data);

// `millrace auth recover`: a way in for whoever owns the data folder, when all tokens are lost. No
// server may run on it meanwhile: it would not know the token. Prints what it did; 0. Errors:
// APP-0010 (no store), APP-0031 (not the owner), BAS-0009 (a server runs).
Result<int> recover_access(const UpOptions& options);

}  // namespace millrace::app
