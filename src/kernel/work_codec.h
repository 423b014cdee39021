// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/wire.h"
#include "kernel/work.h"

namespace millrace::kernel {

// Orders and completions as the fields of a frame (base/wire.h). The grammar stands above the
// code. Every kind of value, every byte of a text and every number comes back as it was.
FrameWriter& put(FrameWriter& w, const RunKey& key);
FrameWriter& put(FrameWriter& w, const StreamOutput& output);
FrameWriter& put(FrameWriter& w, const WorkOrder& order);
FrameWriter& put(FrameWriter& w, const Completion& completion);

// What does not fit the grammar (a longer text than there are bytes, an enum value that nobody
// has, values nested deeper than kDeepestValue or more than kMostValues) makes the reader
// incomplete.
RunKey get_key(FrameReader& r);
StreamOutput get_output(FrameReader& r);
WorkOrder get_order(FrameReader& r);
Completion get_completion(FrameReader& r);

}  // namespace millrace::kernel
