// SPDX-License-Identifier: Apache-2.0
#include "services/worker/control.h"

#include <gtest/gtest.h>

#include "base/wire.h"

namespace millrace::worker {
namespace {

std::vector<Frame> decode_all(std::string_view bytes, size_t step) {
  std::vector<Frame> frames;
  FrameBuffer buffer;
  for (size_t at = 0; at < bytes.size(); at += step) {
    buffer.append(bytes.substr(at, step));
    for (;;) {
      auto next = buffer.next();
      EXPECT_TRUE(next.ok());
      if (!next.ok() || !*next) break;
      auto frame = decode(**next);
      EXPECT_TRUE(frame.ok()) << (frame.ok() ? "" : frame.error().describe());
      if (frame.ok()) frames.push_back(std::move(*frame));
    }
  }
  return frames;
}

Launch sample_launch() {
  Launch launch;
  launch.tenant = TenantId(3);
  launch.key = {ExecutionId(1LL << 62), 2, -5};
  launch.argv = {"/bin/sh", "", std::string("a\0b", 3)};
  launch.env = {"A=1"};
  launch.cwd = "/tmp";
  launch.delivery = Delivery::File;
  launch.parameters = std::string(100'000, 'p');
  launch.secrets = {"s"};
  launch.timeout_ms = 1;
  launch.grace_ms = 2;
  launch.output_cap = 3;
  launch.limits = {4, 5, 6, 7, 8, 9};
  static_cast<WarmTerms&>(launch.warm) = {10, 11, 12, 13, 14};
  launch.warm.reuse = Reuse::Fork;
  launch.warm.sdk = Sdk::Node;
  launch.warm.key = "5:whose";
  launch.warm.env = {"B=2"};
  return launch;
}

TEST(Control, EveryMessageSurvivesAnyCutOfTheStream) {
  std::string bytes;
  Launch launch = sample_launch();
  ASSERT_TRUE(encode(bytes, launch));
  encode(bytes, Kill{launch.key});
  encode(bytes, Ack{launch.key});
  encode(bytes, Goodbye{});
  encode(bytes, Hold{TenantId(6), launch.key});
  Hello hello{.boot_id = "boot", .pid = 9, .started_ns = 10};
  hello.runs = {{TenantId(1), launch.key, 77}};
  encode(bytes, hello);
  encode_chunk(bytes, launch.key, kernel::Stream::Stderr, 5, "chunk");
  kernel::Completion c;
  c.tenant = TenantId(4);
  c.key = launch.key;
  c.end = kernel::RunEnd::Signaled;
  c.exit_code = 139;
  c.message = "killed";
  c.out = {"bytes", "", 5, 0};
  c.err = {"", "aa/file", 1 << 20, 99};
  c.started_ms = 1;
  c.ended_ms = 2;
  encode(bytes, Exited{c});
  encode(bytes, Proof{"secret"});
  encode(bytes, Lease{1234567});

  for (size_t step : {bytes.size(), size_t{1000}, size_t{7}}) {
    auto frames = decode_all(bytes, step);
    ASSERT_EQ(frames.size(), 10U);
    auto& l = std::get<Launch>(frames[0]);
    EXPECT_EQ(l.key, launch.key);
    EXPECT_EQ(l.argv, launch.argv);
    EXPECT_EQ(l.parameters, launch.parameters);
    EXPECT_EQ(l.delivery, Delivery::File);
    EXPECT_EQ(l.output_cap, 3);
    EXPECT_EQ(l.limits, launch.limits);
    EXPECT_EQ(static_cast<const WarmTerms&>(l.warm), static_cast<const WarmTerms&>(launch.warm));
    EXPECT_EQ(l.warm.reuse, Reuse::Fork);
    EXPECT_EQ(l.warm.sdk, Sdk::Node);
    EXPECT_EQ(l.warm.key, launch.warm.key);
    EXPECT_EQ(l.warm.env, launch.warm.env);
    EXPECT_EQ(std::get<Kill>(frames[1]).key, launch.key);
    EXPECT_EQ(std::get<Ack>(frames[2]).key, launch.key);
    EXPECT_EQ(std::get<Hold>(frames[4]).tenant, TenantId(6));
    EXPECT_EQ(std::get<Hello>(frames[5]).runs.at(0).started_ms, 77);
    EXPECT_TRUE(std::get<Hello>(frames[5]).same_spawner(hello));
    EXPECT_EQ(std::get<Chunk>(frames[6]).bytes, "chunk");
    auto& e = std::get<Exited>(frames[7]).completion;
    EXPECT_EQ(e.end, kernel::RunEnd::Signaled);
    EXPECT_EQ(e.err.blob, "aa/file");
    EXPECT_EQ(e.err.dropped, 99);
    EXPECT_EQ(e.ended_ms, 2);
    EXPECT_EQ(std::get<Proof>(frames[8]).secret, "secret");
    EXPECT_EQ(std::get<Lease>(frames[9]).until_ms, 1234567);
  }
}

TEST(Control, RefusesEveryCutOffAndEveryLongerFrame) {
  std::string bytes;
  Launch launch = sample_launch();
  launch.parameters = "x";
  ASSERT_TRUE(encode(bytes, launch));
  std::string frame = bytes.substr(4);
  ASSERT_TRUE(decode(frame).ok());
  for (size_t size = 0; size < frame.size(); ++size) {
    EXPECT_FALSE(decode(std::string_view(frame).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(decode(frame + "x").ok());
  EXPECT_FALSE(decode("\x63").ok());
}

TEST(Control, DoesNotTrustCountsAndLengths) {
  // A Launch whose argv announces 2^32 - 1 elements must fail without allocating them.
  std::string frame(1, '\1');
  frame.append(8 + 20, '\0');
  frame += "\xff\xff\xff\xff";
  EXPECT_FALSE(decode(frame).ok());
  FrameBuffer buffer;
  buffer.append(std::string("\xff\xff\xff\x7f", 4));
  EXPECT_FALSE(buffer.next().ok());
}

TEST(Control, DoesNotSendAFrameThatIsTooLarge) {
  std::string bytes = "before";
  Launch launch = sample_launch();
  launch.parameters = std::string(kMaxFrame, 'x');
  EXPECT_FALSE(encode(bytes, launch));
  EXPECT_EQ(bytes, "before");
}

}  // namespace
}  // namespace millrace::worker
