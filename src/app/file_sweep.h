// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "app/uploads.h"
#include "async/pool.h"
#include "async/task.h"
#include "kernel/blobs.h"
#include "store/sql.h"

namespace millrace::app {

// Removes files of executions that retention has removed, and what the store's log still holds of
// rows that were deleted: soon after the start, for a server may not be up for an hour, once more
// when the rows that were due then are gone, and from then on once an hour.
class FileSweep {
 public:
  struct Given {
    async::Pool& pool;
    sql::Store& store;
    kernel::Blobs& blobs;
    std::string lock;     // a folder: a backup copies the blobs while it is locked
    int64_t kept_ms = 0;  // executions
    // Where servers share a room: what takes blobs there that should be in it, the room, and
    // whether it is this server that sweeps it now. Null where they do not.
    Uploads* uploads = nullptr;
    kernel::Blobs* room = nullptr;
    std::function<bool()> sweeps_room = {};
  };
  explicit FileSweep(Given given) : given_(std::move(given)) {}
  // Until it is cancelled; lives as long as this.
  Task<void> run();

 private:
  Task<void> run_once();
  Result<void> sweep_shared();
  Given given_;
};

}  // namespace millrace::app
