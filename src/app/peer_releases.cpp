// SPDX-License-Identifier: Apache-2.0
#include "app/peer_releases.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "agent/release_fetch.h"
#include "app/write_release.h"
#include "base/log.h"

namespace millrace::app {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kWholeLimit{60'000};
constexpr std::chrono::milliseconds kPieceLimit{10'000};

Error stopping() {
  return Error(ErrorKind::Unavailable, "API-0010", "the server stops, and brings no release");
}

}  // namespace

// Who waits for what is on its way.
struct PeerReleases::Coming {
  std::mutex mutex;
  std::map<std::string, std::vector<Ready>> waiting;  // by digest
  bool stopped = false;

  void end(const std::string& digest, const Result<void>& how) {
    std::unique_lock lock(mutex);
    auto ended = waiting.extract(digest);
    lock.unlock();
    if (!ended) return;
    for (auto& ready : ended.mapped()) ready(how);
  }
};

// One release on its way: from one server after the other, until one has given all that was
// missing. Lives as long as a call of it is under way.
class PeerReleases::Fetch : public std::enable_shared_from_this<Fetch> {
 public:
  Fetch(const std::string& data, std::string pack, std::string digest,
        std::vector<Peers::Other> servers, std::shared_ptr<Coming> coming)
      : pack_(std::move(pack)),
        digest_(std::move(digest)),
        servers_(std::move(servers)),
        coming_(std::move(coming)),
        fetch_(data + "/fetch",
               {.ask =
                    [this](const agent::WantRelease& want) {
                      ask(want);
                      return true;
                    },
                .install =
                    [data](const auto& ref, const auto& its_digest, const auto& files) {
                      return install_release(data, ref, its_digest, files);
                    }}) {}

  void start() {
    if (at_ == servers_.size()) return coming_->end(digest_, nobody_has_it());
    came_ = 0;
    fetch_.want(pack_, digest_,
                [self = shared_from_this()](const Result<void>& how) { self->ended(how); });
  }

 private:
  std::string short_digest() const { return digest_.substr(0, 12); }

  void ask(const agent::WantRelease& want) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now());
    if (left.count() <= 0) {
      return fetch_.came(failed(fmt::format("not within {} s", kWholeLimit.count() / 1000)));
    }
    auto got = [self = shared_from_this()](Result<agent::ReleasePiece> piece) {
      if (!piece.ok()) return self->fetch_.came(self->failed(piece.error().message()));
      ++self->came_;
      self->fetch_.came(*piece);
    };
    std::unique_lock lock(coming_->mutex);  // who stops takes away what is asked with
    if (!coming_->stopped) {
      return servers_[at_].remote->read_release(want, std::min(left, kPieceLimit), std::move(got));
    }
    lock.unlock();
    fetch_.came(failed(stopping().message()));
  }

  agent::ReleasePiece failed(std::string why) const {
    return {.pack = pack_, .digest = digest_, .error = std::move(why)};
  }

  // A connection that broke on the way is made again for as long as it brings something.
  void ended(const Result<void>& how) {
    if (how.ok()) {
      log_info("release.brought",
               {{"pack", pack_}, {"digest", digest_}, {"from", servers_[at_].name}});
      return coming_->end(digest_, how);
    }
    whys_ += fmt::format("{}{}: {}", whys_.empty() ? "" : "; ", servers_[at_].name,
                         how.error().message());
    bool broke = how.error().kind() == ErrorKind::Unavailable && came_ > 0 && Clock::now() < end_;
    if (!broke) ++at_;
    start();
  }

  Error nobody_has_it() const {
    return Error(
        ErrorKind::NotFound, "APP-0042",
        fmt::format("release {} of pack '{}' is not on this machine, and no other server gives "
                    "it ({})",
                    short_digest(), pack_, whys_.empty() ? "there is none" : whys_));
  }

  const std::string pack_;
  const std::string digest_;
  const std::vector<Peers::Other> servers_;
  const std::shared_ptr<Coming> coming_;
  const Clock::time_point end_ = Clock::now() + kWholeLimit;
  agent::ReleaseFetch fetch_;
  size_t at_ = 0;     // the server that is asked
  int came_ = 0;      // pieces, since it was asked first
  std::string whys_;  // of those that did not give it
};

PeerReleases::PeerReleases(std::string data, Peers& peers)
    : data_(std::move(data)), peers_(peers), coming_(std::make_shared<Coming>()) {}

void PeerReleases::want(const std::string& pack, const std::string& digest, Ready ready) {
  {
    std::unique_lock lock(coming_->mutex);
    if (coming_->stopped) {
      lock.unlock();
      return ready(stopping());
    }
    auto [at, is_new] = coming_->waiting.try_emplace(digest);
    at->second.push_back(std::move(ready));
    if (!is_new) return;
  }
  std::error_code ec;  // what cannot be made is told when something is written there
  std::filesystem::create_directories(data_ + "/fetch", ec);
  std::make_shared<Fetch>(data_, pack, digest, peers_.others(), coming_)->start();
}

void PeerReleases::stop() {
  std::unique_lock lock(coming_->mutex);
  coming_->stopped = true;
  auto all = std::exchange(coming_->waiting, {});
  lock.unlock();
  for (auto& [digest, waiting] : all) {
    for (auto& ready : waiting) ready(stopping());
  }
}

Result<void> PeerReleases::bring(const std::string& pack, const std::string& digest) {
  auto done = std::make_shared<std::promise<Result<void>>>();
  auto future = done->get_future();
  want(pack, digest, [done](Result<void> how) { done->set_value(std::move(how)); });
  return future.get();
}

}  // namespace millrace::app
