// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "async/pool.h"
#include "async/task.h"
#include "net/http_client.h"
#include "packs/index.h"

namespace millrace::app {

// The indexes of packs that a server is told of (packs.indexes): files, and http(s) URLs, which are
// fetched when somebody asks, and kept for a minute. Loop thread.
class PackIndexes {
 public:
  // `pool` reads the files, and outlives it.
  PackIndexes(std::vector<std::string> places, async::Pool& pool)
      : places_(std::move(places)), pool_(pool) {}

  // What the indexes have of it, by ref; of two with one ref that of the first index. Errors:
  // Conflict, PCK-0023: there are no indexes; Invalid or Unavailable, PCK-0024: one cannot be read.
  Task<Result<std::vector<packs::IndexedPack>>> search(std::string words);
  // Errors: those, and NotFound, PCK-0023, with the nearest name.
  Task<Result<packs::IndexedPack>> find(std::string ref);

 private:
  using Packs = std::vector<packs::IndexedPack>;
  struct Kept {
    Packs packs;
    int64_t until_ms = 0;
  };
  Task<Result<Packs>> read(const std::string& place);
  Task<Result<std::string>> fetch(const std::string& place);

  std::vector<std::string> places_;
  async::Pool& pool_;
  net::HttpClient client_{{.max_response_bytes = 16 << 20, .max_redirects = 3}};
  std::map<std::string, Kept> kept_;
};

}  // namespace millrace::app
