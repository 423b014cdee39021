// SPDX-License-Identifier: Apache-2.0
#include "kernel/work_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernel/limits.h"

namespace millrace::kernel {
namespace {

const std::string kBinary("\0\xff\xfe\n\x80 text", 10);

template <typename Message>
std::string bytes_of(const Message& message) {
  std::string frame;
  FrameWriter w(frame);
  put(w, message);
  EXPECT_TRUE(w.end());
  return frame.substr(sizeof(uint32_t));
}

WorkOrder order_from(std::string_view bytes, bool fits = true) {
  FrameReader r(bytes);
  WorkOrder order = get_order(r);
  EXPECT_EQ(r.complete(), fits);
  return order;
}

Completion completion_from(std::string_view bytes, bool fits = true) {
  FrameReader r(bytes);
  Completion completion = get_completion(r);
  EXPECT_EQ(r.complete(), fits);
  return completion;
}

// Everything set, and nothing as it is by default: a field that is not sent is missed.
WorkOrder whole_order() {
  WorkOrder order;
  order.tenant = TenantId(7);
  order.key = {ExecutionId(1LL << 62), 3, -9};
  order.action = "ci.build";
  order.pack = "ci";
  order.release = std::string(64, 'd');
  order.entry_point = "sub/build.py";
  order.runner = Runner::Shell;
  order.runner_type = "local-shell-cmd";
  order.sdk = Sdk::Node;
  order.reuse = Reuse::Process;
  order.identity = "ada";
  order.runtime = {"core.python",
                   {"python3", "-u", ""},
                   {{"A", "1"}, {"", kBinary, RuntimeVariable::How::Append, ";"}},
                   {"requirements.txt", {"make", "{env_dir}"}, {"fill"}, "{env_dir}/bin/python"}};
  order.delivery = ParameterDelivery::File;
  order.parameter_format = ParameterFormat::Dotenv;
  order.output_format = OutputFormat::Yaml;
  order.arguments = {"second", "first"};
  order.steering = {"cwd", "env"};
  order.parameters = Value::map({{"text", kBinary}, {"n", 1}, {"list", ValueList{1, 2.5}}});
  order.secrets = {"s3cret", kBinary};
  order.env = {{"MILLRACE_EXEC_ID", "1"}, {"EMPTY", ""}};
  order.permissions = {"keys:read"};
  order.timeout_ms = std::numeric_limits<int64_t>::max();
  return order;
}

Completion whole_completion() {
  Completion c;
  c.tenant = TenantId(7);
  c.key = {ExecutionId(5), std::numeric_limits<int32_t>::max(),
           std::numeric_limits<int64_t>::min()};
  c.end = RunEnd::Signaled;
  c.exit_code = -1;
  c.message = "killed by signal 9 (SIGKILL)";
  c.out = {kBinary, "", 10, 3, {{5, 0, 1}, {5, 7, 0}}};
  c.err = {"", "1/05/5.1.1.err", 1LL << 40, 1};
  c.output = Value::map({{"status_code", 200}, {"body", nullptr}});
  c.output_error = "line 3: syntax error";
  c.is_read = true;
  c.says_failed = true;
  c.started_ms = 1'800'000'000'000;
  c.ended_ms = c.started_ms + 1;
  return c;
}

TEST(WorkCodec, AnOrderComesBackAsItWas) {
  EXPECT_EQ(order_from(bytes_of(whole_order())), whole_order());
  EXPECT_EQ(order_from(bytes_of(WorkOrder{})), WorkOrder{});
}

TEST(WorkCodec, ACompletionComesBackAsItWas) {
  EXPECT_EQ(completion_from(bytes_of(whole_completion())), whole_completion());
  EXPECT_EQ(completion_from(bytes_of(Completion{})), Completion{});
}

TEST(WorkCodec, EveryValueOfEveryEnumComesBack) {
  for (auto runner : {Runner::Builtin, Runner::Http, Runner::Shell, Runner::Script,
                      Runner::Workflow, Runner::Unsupported}) {
    WorkOrder order;
    order.runner = runner;
    EXPECT_EQ(order_from(bytes_of(order)).runner, runner);
  }
  for (auto delivery : {ParameterDelivery::Stdin, ParameterDelivery::File}) {
    for (auto format : {ParameterFormat::Json, ParameterFormat::Dotenv, ParameterFormat::Yaml}) {
      WorkOrder order;
      order.delivery = delivery;
      order.parameter_format = format;
      EXPECT_EQ(order_from(bytes_of(order)), order);
    }
  }
  for (auto end : {RunEnd::Exited, RunEnd::Signaled, RunEnd::TimedOut, RunEnd::Canceled,
                   RunEnd::SpawnFailed, RunEnd::Lost}) {
    Completion completion;
    completion.end = end;
    EXPECT_EQ(completion_from(bytes_of(completion)).end, end);
  }
}

TEST(WorkCodec, NumbersKeepTheirKindAndEveryBit) {
  WorkOrder order;
  order.parameters = ValueList{Value(1),
                               Value(1.0),
                               Value(-0.0),
                               Value(std::numeric_limits<int64_t>::min()),
                               Value(9007199254740993),
                               Value(std::numeric_limits<double>::denorm_min()),
                               Value(std::numeric_limits<double>::infinity()),
                               Value(std::nan("")),
                               Value(true),
                               Value(nullptr)};
  Value back = order_from(bytes_of(order)).parameters;
  const auto& list = back.as_list();
  ASSERT_EQ(list.size(), 10U);
  EXPECT_TRUE(list[0].is_int());
  EXPECT_TRUE(list[1].is_float());
  EXPECT_TRUE(std::signbit(list[2].as_float()));
  EXPECT_EQ(list[3].as_int(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(list[4].as_int(), 9007199254740993);
  EXPECT_EQ(list[5].as_float(), std::numeric_limits<double>::denorm_min());
  EXPECT_TRUE(std::isinf(list[6].as_float()));
  EXPECT_TRUE(std::isnan(list[7].as_float()));
  EXPECT_TRUE(list[8].is_bool());
  EXPECT_TRUE(list[9].is_null());
}

TEST(WorkCodec, MapsKeepTheirOrderAndLargeValuesTheirBytes) {
  WorkOrder order;
  order.parameters = Value::map({{"z", std::string(8 << 20, '\xf0')}, {"a", Value::map()}});
  Value many = Value::list();
  for (int i = 0; i < 100'000; ++i) many.push_back(Value::map({{"i", i}}));
  order.parameters.set("many", many);
  Value back = order_from(bytes_of(order)).parameters;
  EXPECT_EQ(back, order.parameters);
  EXPECT_EQ(back.as_map().at_index(0).name(), "z");
  EXPECT_EQ(back.as_map().at_index(2).name(), "many");
}

TEST(WorkCodec, RefusesEveryCutAndEveryLongerMessage) {
  std::string order = bytes_of(whole_order()), completion = bytes_of(whole_completion());
  for (size_t n = 0; n < order.size(); ++n) order_from(std::string_view(order).substr(0, n), false);
  for (size_t n = 0; n < completion.size(); ++n) {
    completion_from(std::string_view(completion).substr(0, n), false);
  }
  order_from(order + '\0', false);
  completion_from(completion + '\0', false);
}

TEST(WorkCodec, RefusesEnumValuesThatNobodyHas) {
  Completion completion;
  std::string bytes = bytes_of(completion);
  bytes[8 + 20] = '\x06';  // `end` stands behind tenant and key
  completion_from(bytes, false);
  bytes[8 + 20] = '\x05';
  EXPECT_EQ(completion_from(bytes).end, RunEnd::Lost);
}

// A completion whose `output` is these bytes.
std::string completion_with(std::string_view value) {
  std::string bytes = bytes_of(Completion{});
  constexpr size_t kAfter = 4 + 1 + 1 + 8 + 8;  // no error, not read, not failed, two times
  constexpr size_t kNull = 1;
  return bytes.substr(0, bytes.size() - kAfter - kNull) + std::string(value) +
         std::string(kAfter, '\0');
}

TEST(WorkCodec, BoundsDepthAndNumberOfValues) {
  std::string list_of_one("\x05\x01\0\0\0", 5), deep;
  for (int i = 0; i < kDeepestValue.most; ++i) deep += list_of_one;
  completion_from(completion_with(deep + '\0'));
  for (int i = 0; i < 1'000'000; ++i) deep += list_of_one;
  completion_from(completion_with(deep + '\0'), false);

  auto nulls = [](uint32_t n) {
    std::string bytes("\x05");
    for (int i = 0; i < 4; ++i) bytes += static_cast<char>(n >> (8 * i));
    return bytes + std::string(n, '\0');
  };
  completion_from(completion_with(nulls(kMostValues.most - 1)));
  completion_from(completion_with(nulls(kMostValues.most)), false);
  // More elements are announced than there are bytes.
  completion_from(completion_with(std::string("\x05\xff\xff\xff\xff", 5)), false);
}

}  // namespace
}  // namespace millrace::kernel
