// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netinet/in.h>

#include <string>
#include <thread>
#include <vector>

namespace millrace::bench {

// Clients without a right, from 127.0.0.2, that hold what they can and cost what they can: half
// heads, bodies that drip, bodies for a webhook that is not there, answers that nobody reads, and
// such as only connect. Whom the server has closed comes again.
class Hostile {
 public:
  Hostile(uint16_t port, int clients);
  ~Hostile();
  Hostile(const Hostile&) = delete;

 private:
  struct Kind {
    std::string first;
    std::string again;
  };
  struct Client {
    int fd = -1;
    const Kind* kind = nullptr;
    bool begun = false;
  };
  void press(const std::stop_token& stop);
  bool push(Client& client) const;
  void connect(Client& client) const;

  uint16_t port_;
  std::vector<Kind> kinds_;
  std::vector<Client> clients_;
  std::jthread thread_;
};

}  // namespace millrace::bench
