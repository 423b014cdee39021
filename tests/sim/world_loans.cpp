// SPDX-License-Identifier: Apache-2.0
// Servers that lend each other slots of their workers (kernel/permits.h), and what is lost of that.
#include <algorithm>

#include "engine/transitions/messages.h"
#include "world.h"

namespace millrace::sim {

using namespace kernel;

World::Place* World::place_of_life(int64_t life) {
  auto at = std::ranges::find_if(
      places_, [&](const auto& place) { return place.server && place.server->life == life; });
  return at == places_.end() ? nullptr : &*at;
}

std::unique_ptr<engine::Borrower> World::borrower_of(Server& server) {
  if (!lends_) return nullptr;
  using engine::Borrower;
  auto ask = [this](const ServerRow& of, const PermitAsk& asked, Borrower::Got got) {
    words_.push_back({[this, life = of.epoch, asked, got] { bring_ask(life, asked, got); },
                      [got] { got(Error(ErrorKind::Unavailable, "SIM-0002", "it is lost")); }});
  };
  auto give_back = [this](const ServerRow& of, int64_t number) {
    words_.push_back({[this, life = of.epoch, number] {
                        auto* home = place_of_life(life);
                        if (home) home->server->partition->take_back(number);
                      },
                      [] {}});
  };
  return std::make_unique<Borrower>(Borrower::Outside{
      .self = server.life,
      .servers = [this, life = server.life] { return views_of(life); },
      .mono_ms = [this] { return mono_ms_; },
      .ask = std::move(ask),
      .give_back = std::move(give_back),
      .lent = [&server](std::vector<Permit> permits) { server.lent.push_back(std::move(permits)); },
      .look = [] {}});
}

std::vector<engine::ServerView> World::views_of(int64_t life) const {
  std::vector<engine::ServerView> views;
  for (const auto& at : places_) {
    if (!at.server || !at.server->partition) continue;
    engine::ServerView view{.row = {.node = static_cast<int>(at.number), .epoch = at.server->life},
                            .shards = at.shards,
                            .is_self = at.server->life == life};
    view.row.internal = "there";
    views.push_back(std::move(view));
  }
  return views;
}

void World::bring_ask(int64_t life, const PermitAsk& ask, const engine::Borrower::Got& got) {
  auto* home = place_of_life(life);
  auto lost = [got] { got(Error(ErrorKind::Unavailable, "SIM-0002", "it is lost")); };
  if (!home || !lends_) return lost();
  auto answer = [this, life, got, lost](Result<std::vector<Permit>> permits) {
    if (permits.ok()) std::ranges::for_each(*permits, [&](auto& permit) { permit.home = life; });
    words_.push_back({[got, permits = std::move(permits)] { got(permits); }, lost});
  };
  home->server->partition->lend(ask, answer, now());
}

bool World::pass_word() {
  if (words_.empty()) return false;
  auto word = std::move(words_.front());
  words_.pop_front();
  word.arrives();
  return true;
}

// What one has said to another is lost, or comes before what was said first.
void World::shuffle_words(Dice dice) {
  if (words_.empty()) return;
  size_t which = dice.below(words_.size());
  std::swap(words_[which], words_.front());
  if (!dice.one_in(3)) return void(pass_word());
  auto lost = std::move(words_.front());
  words_.pop_front();
  lost.is_lost();
}

// From now on nobody lends: who still waits for an answer has one by then, and what was lent has
// come back.
void World::end_loans() {
  if (!std::exchange(lends_, false)) return;
  for (int64_t gone = 0; gone <= 4 * engine::Lender::kLentMs; gone += 2'500) {
    time_passes(2'500);
    for (int i = 0; i < 6; ++i) {
      while (pass_word()) {
      }
      cycle_all();
      for (auto& at : places_) read_news(at);
    }
  }
}

}  // namespace millrace::sim
