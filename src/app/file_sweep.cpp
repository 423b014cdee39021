// SPDX-License-Identifier: Apache-2.0
#include "app/file_sweep.h"

#include "app/blob_sweep.h"
#include "async/deadline.h"
#include "base/files.h"
#include "base/log.h"
#include "base/time.h"

namespace millrace::app {
namespace {

constexpr async::Duration kFirst{5'000};
constexpr async::Duration kSecond{60'000};
constexpr async::Duration kEach{3'600'000};

}  // namespace

Task<void> FileSweep::run() {
  for (int turn = 0;; ++turn) {
    co_await async::sleep_for(turn == 0 ? kFirst : turn == 1 ? kSecond : kEach);
    co_await run_once();
  }
}

Task<void> FileSweep::run_once() {
  int64_t before = unix_ms() - given_.kept_ms;
  auto swept = co_await given_.pool.run([this, before]() -> Result<int64_t> {
    auto alone = lock_folder(given_.lock);
    if (!alone.ok()) return int64_t{0};  // a backup copies them: in an hour then
    TRY(auto reader, given_.store.open_reader());
    return sweep_blobs(*reader, given_.blobs, before);
  });
  if (!swept.ok()) log_warn("blobs.not_swept", {{"error", swept.error().message()}});
  if (given_.room) {
    auto shared = co_await given_.pool.run([this] { return sweep_shared(); });
    if (!shared.ok()) log_warn("blobs.not_swept", {{"error", shared.error().message()}});
  }
  auto emptied = co_await given_.pool.run([this] { return given_.store.empty_log(); });
  if (!emptied.ok()) log_warn("store.log_not_emptied", {{"error", emptied.error().message()}});
}

// What could not go up when it was made goes now.
Result<void> FileSweep::sweep_shared() {
  TRY(auto reader, given_.store.open_reader());
  TRY(auto rest, blobs_of_ended(*reader, given_.blobs));
  for (const auto& ref : rest) TRY(given_.uploads->move(ref));
  if (!given_.sweeps_room()) return {};
  TRY(sweep_blobs(*reader, *given_.room, unix_ms() - given_.kept_ms));
  return {};
}

}  // namespace millrace::app
