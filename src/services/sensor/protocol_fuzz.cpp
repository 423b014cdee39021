// SPDX-License-Identifier: Apache-2.0
#include "services/sensor/protocol.h"

#include <algorithm>

#include "base/fuzzing.h"
#include "base/json.h"
#include "services/sensor/log_ring.h"

namespace millrace::sensor {
namespace {

// What a sensor writes, in pieces of any length: the lines are the same, whatever the pieces are.
FUZZ(sensor_lines) {
  size_t piece = 1 + input.size() % 7;
  std::string_view rest = input;
  LineBuffer pieces, whole;
  whole.append(rest);
  while (!rest.empty()) {
    pieces.append(rest.substr(0, piece));
    rest.remove_prefix(std::min(piece, rest.size()));
    while (auto line = pieces.next()) {
      std::string copy(*line);
      auto same = whole.next();
      ASSERT(same && *same == copy);
      auto said = read_line(copy);
      if (!said.ok()) {
        ASSERT(said.error().code() == "SEN-0001");
        continue;
      }
      const auto* event = std::get_if<Dispatch>(&*said);
      if (!event) continue;
      fuzz::plant(event->seq > 2);
      ASSERT(!event->trigger.empty());
      ASSERT(parse_json(nack_line(event->seq, event->trigger)).ok());
    }
  }
  LogRing log;
  log.hide({"secret"});
  log.add(Stream::Stdout, input, 1);
  log.finish(1);
  for (const auto& line : log.last(100)) {
    ASSERT(line.text.size() <= LogRing::kLongestLine + 64);
  }
}

}  // namespace
}  // namespace millrace::sensor
