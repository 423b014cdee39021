// SPDX-License-Identifier: Apache-2.0
#include "app/releases.h"

#include <fmt/format.h>

namespace millrace::app {

Releases::Releases(std::string data, Peers* peers)
    : archives_(data),
      staged_(data),
      brought_(peers ? std::make_unique<PeerReleases>(data, *peers) : nullptr) {}

PackStore::Bring Releases::bring() {
  if (!brought_) return {};
  return [this](const auto& pack, const auto& digest) { return brought_->bring(pack, digest); };
}

void Releases::read(const agent::WantRelease& want,
                    std::function<void(Result<agent::ReleasePiece>)> answer) {
  auto piece = archives_.read(want);
  bool is_missing = !piece.ok() && piece.error().kind() == ErrorKind::NotFound;
  if (!is_missing || !brought_) return answer(std::move(piece));
  brought_->want(want.pack, want.digest,
                 [this, want, answer = std::move(answer)](const Result<void>& brought) {
                   if (!brought.ok()) return answer(brought.error());
                   answer(archives_.read(want));
                 });
}

// What another server has loaded, and granted, before this one has heard of it.
std::optional<worker::Preparation> Releases::prepare(const kernel::WorkOrder& order) {
  if (order.runner != Runner::Script) return std::nullopt;
  auto staged = staged_.file(order.pack, order.release, "actions/" + order.entry_point);
  if (staged.ok() || staged.error().kind() != ErrorKind::NotFound) return std::nullopt;
  return worker::Preparation{
      fmt::format("release {} of pack '{}'", order.release.substr(0, 12), order.pack),
      [this, pack = order.pack, digest = order.release](auto ready) {
        brought_->want(pack, digest, std::move(ready));
      }};
}

void Releases::serve(worker::WorkerConfig& worker) {
  worker.release_file = [this](const auto& pack, const auto& digest, const auto& file) {
    return staged_.file(pack, digest, file);
  };
  if (brought_) worker.prepare = [this](const auto& order) { return prepare(order); };
}

void Releases::stop() {
  if (brought_) brought_->stop();
}

}  // namespace millrace::app
