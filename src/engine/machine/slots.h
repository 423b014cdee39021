// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "kernel/permits.h"
#include "kernel/work.h"

namespace millrace::engine {

// The slots of the workers with an open session. A decision takes one at once, and gives it back
// when it is not written; one that becomes free counts once that is durable (K6). Belongs to one
// partition.
//
// Of several servers one may lend another a slot, for one run (kernel/permits.h): there it is one
// more, here one less, until the run begins, the slot comes back or its time is over. Its worker is
// given nothing that this does not know of: a run that comes later is refused. Times are monotonic.
class Slots {
 public:
  struct Borrowed {
    kernel::Permit permit;
    int64_t until_ms = 0;
  };
  struct Taken {
    WorkerId worker;
    std::optional<Borrowed> borrowed = {};  // it is another server's
  };
  struct Lent {
    WorkerId worker;
    int64_t until_ms = 0;
  };
  // Its opening is on its way to the store. Until `open` or `not_opened` it is given nothing, for
  // its session would not hear of it.
  void opening(WorkerId worker) { opening_.insert(worker); }
  void not_opened(WorkerId worker) { opening_.erase(worker); }
  // `runs`: what it has from before, each in a slot.
  void open(WorkerId worker, int slots, std::vector<std::string> labels,
            const std::vector<kernel::RunKey>& runs);
  void close(WorkerId worker);
  bool is_open(WorkerId worker) const { return free_.contains(worker); }
  bool is_opening(WorkerId worker) const { return opening_.contains(worker); }
  // Has such a worker an open session, whether it has free slots or not? `needs`: as
  // model/labels.h joins them.
  bool is_offered(std::string_view needs) const;
  bool offers(WorkerId worker, std::string_view needs) const;
  // Nothing more is granted to it, until it opens again.
  void drain(WorkerId worker) { drained_.insert(worker); }
  // From now on nothing is granted, whoever opens.
  void drain() { draining_ = true; }
  // Of those that offer what is needed the worker with the most free slots, else one that another
  // server has lent, or none.
  std::optional<Taken> take(std::string_view needs);
  void give_back(WorkerId worker, int count = 1);
  // Which run has one, from its order on. It lets go of it once: when its worker says that it has
  // ended, whatever its row tells by then, for that may be another server's.
  void hold(WorkerId worker, const kernel::RunKey& run);
  bool let_go(WorkerId worker, const kernel::RunKey& run);
  bool is_held(WorkerId worker, const kernel::RunKey& run) const;
  int free() const;
  int free(std::string_view needs) const;
  // How many of them a worker has that may be given something; below 0 when it has more runs than
  // it has slots by now.
  std::optional<int> free_of(WorkerId worker) const;

  // Lent by others. After its time its home takes it back.
  void borrow(Borrowed one) { borrowed_.push_back(std::move(one)); }
  bool has_borrowed(std::string_view needs) const;
  // Those that nobody needs, or that are over. `is_needed`: something waits that needs this.
  std::vector<kernel::Permit> drop_borrowed(
      const std::function<bool(std::string_view needs)>& is_needed, int64_t now_ms);

  // Lent to others. A worker that may be asked for it, or none: `may_lend` has the last word.
  std::optional<WorkerId> lender(std::string_view needs,
                                 const std::function<bool(WorkerId)>& may_lend) const;
  kernel::Permit lend(WorkerId worker, std::string_view needs, int64_t until_ms);
  bool is_lent(int64_t number) const { return lent_.contains(number); }
  void take_back(int64_t number);
  void take_back_over(int64_t now_ms);
  // The run that it was lent for begins, and has the slot. Nothing: it is not lent any more, or its
  // worker is given nothing.
  std::optional<Lent> begin_lent(int64_t number);
  void not_begun(int64_t number, Lent lent) { lent_.emplace(number, lent); }
  // Lent last, and none of its own runs has got one since.
  bool has_just_lent(WorkerId worker) const { return just_lent_.contains(worker); }
  void gives_own(WorkerId worker) { just_lent_.erase(worker); }
  // The next slot of this worker that becomes free is another server's: none of its own runs gets
  // it.
  void promise(WorkerId worker) { promised_.insert(worker); }
  bool is_promised(WorkerId worker) const { return promised_.contains(worker); }
  void promise_none() { promised_.clear(); }
  // When the next one is over, lent or borrowed; INT64_MAX: none.
  int64_t next_over_ms() const;

 private:
  int free_for_own(WorkerId worker, int free) const {
    return promised_.contains(worker) ? free - 1 : free;
  }
  int own_free(std::string_view needs) const;
  void forget_lent(WorkerId worker);
  bool is_given(WorkerId worker, std::string_view needs) const {
    return !opening_.contains(worker) && !drained_.contains(worker) && offers(worker, needs);
  }
  std::map<WorkerId, int> free_;
  std::map<WorkerId, std::set<kernel::RunKey>> runs_;
  std::map<WorkerId, std::vector<std::string>> labels_;
  std::set<WorkerId> opening_;
  std::set<WorkerId> drained_;
  bool draining_ = false;
  std::vector<Borrowed> borrowed_;
  std::map<int64_t, Lent> lent_;  // by number
  int64_t last_lent_ = 0;
  std::set<WorkerId> just_lent_;
  std::set<WorkerId> promised_;
};

}  // namespace millrace::engine
