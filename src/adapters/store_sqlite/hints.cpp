// SPDX-License-Identifier: Apache-2.0
#include "adapters/store_sqlite/hints.h"

namespace millrace::store_sqlite {

class Hints::Place final : public sql::Listening {
 public:
  Place(std::shared_ptr<Hints> hints, std::list<sql::Listener>::iterator at)
      : hints_(std::move(hints)), at_(at) {}
  ~Place() override {
    std::lock_guard lock(hints_->mutex_);
    hints_->listeners_.erase(at_);
  }

 private:
  std::shared_ptr<Hints> hints_;
  std::list<sql::Listener>::iterator at_;
};

std::unique_ptr<sql::Listening> Hints::add(sql::Listener listener) {
  std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(listener));
  auto at = std::prev(listeners_.end());
  if (at->missed) at->missed();
  return std::make_unique<Place>(shared_from_this(), at);
}

void Hints::tell(const std::vector<Told>& told) {
  std::lock_guard lock(mutex_);
  for (const auto& listener : listeners_) {
    for (const auto& [topic, payload] : told) listener.heard({topic, payload});
  }
}

}  // namespace millrace::store_sqlite
