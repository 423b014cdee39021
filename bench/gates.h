// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "figure.h"

namespace millrace::bench {

// What a figure may cost: bench/gates.txt, one a line, `FIGURE | MOST | LINE`. Of a line with a
// floor the ratio is judged, else the value.
struct Gate {
  std::string figure;
  double most = 0;
  std::string line;
};

// By how much a value may be above its gate: what two runs of one binary differ by.
inline constexpr double kGateSlack = 1.1;

// Gives up when a line of the file is not one.
std::vector<Gate> read_gates(const std::string& file);
// What is wrong; empty: all hold. `whole`: each line that a gate of the figure names must be there.
std::vector<std::string> broken_gates(const std::vector<Gate>& gates, std::string_view figure,
                                      const std::vector<Line>& measured, bool whole);

}  // namespace millrace::bench
