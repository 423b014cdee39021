// SPDX-License-Identifier: Apache-2.0
#include "app/releases.h"

#include <fmt/format.h>

#include "agent/release_archive.h"
#include "app/write_release.h"
#include "base/log.h"

namespace millrace::app {
namespace {

std::string ref_in_room(std::string_view pack, std::string_view digest) {
  return fmt::format("releases/{}/{}", pack, digest);
}

}  // namespace

Releases::Releases(Given given)
    : given_(std::move(given)),
      archives_(given_.data),
      environments_(given_.data),
      brought_(given_.peers ? std::make_unique<PeerReleases>(given_.data, *given_.peers)
                            : nullptr) {}

PackStore::Bring Releases::bring() {
  if (!can_bring()) return {};
  return [this](const auto& pack, const auto& digest) { return bring_now(pack, digest); };
}

// One at a time: many orders may want the same.
Result<void> Releases::from_room(const std::string& pack, const std::string& digest) {
  std::lock_guard lock(room_mutex_);
  // may fail: that is why it is wanted
  if (read_release(given_.data, pack, digest).ok()) return {};
  TRY(auto archive, given_.room->read(ref_in_room(pack, digest), 0, agent::kLargestArchive));
  TRY(auto files, agent::read_archive(archive));
  TRY(install_release(given_.data, pack, digest, files));
  log_info("release.brought", {{"pack", pack}, {"digest", digest}, {"from", "s3"}});
  return {};
}

Result<void> Releases::bring_now(const std::string& pack, const std::string& digest) {
  if (given_.room) {
    auto brought = from_room(pack, digest);
    if (brought.ok() || !brought_) return brought;
    log_warn("release.not_in_room", brought.error());
  }
  return brought_->bring(pack, digest);
}

void Releases::want(const std::string& pack, const std::string& digest, PeerReleases::Ready ready) {
  if (!given_.room) return brought_->want(pack, digest, std::move(ready));
  given_.run([this, pack, digest, ready = std::move(ready)] {
    auto brought = from_room(pack, digest);
    if (brought.ok() || !brought_) return ready(brought);
    brought_->want(pack, digest, ready);
  });
}

Result<void> Releases::put_into_room(const std::string& pack, const std::string& digest) {
  std::string ref = ref_in_room(pack, digest);
  auto there = given_.room->size(ref);
  if (there.ok()) return {};
  if (there.error().kind() != ErrorKind::NotFound) return std::move(there).error();
  TRY(auto files, read_release(given_.data, pack, digest));
  TRY(auto writer, given_.room->create(ref));
  auto archive = agent::write_archive(files);
  if (writer->append(archive) < archive.size()) return writer->fault();
  return writer->commit();
}

void Releases::publish(const Packs& packs) {
  if (!given_.room) return;
  for (const auto& pack : packs) {
    if (pack->source_gone) continue;
    given_.run([this, ref = pack->ref, digest = pack->digest] {
      auto put = put_into_room(ref, digest);
      if (!put.ok()) log_warn("release.not_published", put.error());
    });
  }
}

void Releases::read(const agent::WantRelease& want,
                    std::function<void(Result<agent::ReleasePiece>)> answer) {
  auto piece = archives_.read(want);
  bool is_missing = !piece.ok() && piece.error().kind() == ErrorKind::NotFound;
  if (!is_missing || !can_bring()) return answer(std::move(piece));
  this->want(want.pack, want.digest,
             [this, want, answer = std::move(answer)](const Result<void>& brought) {
               if (!brought.ok()) return answer(brought.error());
               answer(archives_.read(want));
             });
}

// What another server has loaded, and granted, before this one has heard of it; or what is not as
// it was staged any more.
std::optional<worker::Preparation> Releases::prepare(StagedReleases& staged,
                                                     const kernel::WorkOrder& order) {
  if (order.runner != Runner::Script) return std::nullopt;
  auto file = staged.file(order.pack, order.release, "actions/" + order.entry_point);
  if (file.ok()) return std::nullopt;
  if (file.error().kind() != ErrorKind::NotFound) log_warn("release.changed", file.error());
  return worker::Preparation{
      fmt::format("release {} of pack '{}'", order.release.substr(0, 12), order.pack),
      [this, pack = order.pack, digest = order.release](auto ready) {
        want(pack, digest, std::move(ready));
      }};
}

void Releases::serve(worker::WorkerConfig& worker) {
  auto staged = std::make_shared<StagedReleases>(given_.data);
  worker.release_file = [staged](const auto& pack, const auto& digest, const auto& file) {
    return staged->file(pack, digest, file);
  };
  if (can_bring()) {
    worker.prepare = [this, staged](const auto& order) { return prepare(*staged, order); };
  }
  environments_.serve(worker);
}

void Releases::stop() {
  if (brought_) brought_->stop();
}

}  // namespace millrace::app
