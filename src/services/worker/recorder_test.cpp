// SPDX-License-Identifier: Apache-2.0
#include "services/worker/recorder.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "adapters/blob_fs/blob_fs.h"
#include "services/worker/spawner_fixture.h"

namespace millrace::worker {
namespace {

class RecorderTest : public testing::Test {
 protected:
  StreamRecorder make(int64_t cap, std::vector<std::string> secrets = {}) {
    return {std::make_shared<const SecretSet>(std::move(secrets)), *blobs_, kRef, cap};
  }
  std::string file() { return read_small_file(dir_.path() + '/' + kRef); }

  const std::string kRef =
      kernel::output_ref(TenantId(1), {ExecutionId(1), 1, 1}, kernel::Stream::Stdout);
  TempDir dir_;
  std::unique_ptr<kernel::Blobs> blobs_ = std::move(*blob_fs::open(dir_.path()));
};

TEST_F(RecorderTest, KeepsAFullMemoryAndSpillsTheByteAfter) {
  auto in_memory = make(1 << 20);
  in_memory.append(std::string(kMemoryPerStream, 'x'));
  auto kept = in_memory.finish();
  EXPECT_EQ(kept.bytes.size(), kMemoryPerStream);
  EXPECT_EQ(kept.blob, "");

  auto spilled = make(1 << 20);
  spilled.append(std::string(kMemoryPerStream, 'x'));
  EXPECT_EQ(spilled.append("y"), "y");
  auto stored = spilled.finish();
  EXPECT_EQ(stored.bytes, "");
  EXPECT_EQ(stored.blob, kRef);
  EXPECT_EQ(file(), std::string(kMemoryPerStream, 'x') + "y");
}

TEST_F(RecorderTest, CapsOnceWithANoteAndCountsTheRest) {
  auto recorder = make(10);
  std::string live(recorder.append("0123456"));
  live += recorder.append("789abc");
  live += recorder.append("def");
  auto output = recorder.finish();
  EXPECT_EQ(output.bytes,
            "0123456789\n[millrace: output capped at 10 bytes, the rest was dropped]\n");
  EXPECT_EQ(live, output.bytes);
  EXPECT_EQ(output.size, static_cast<int64_t>(output.bytes.size()));
  EXPECT_EQ(output.dropped, 6);
}

TEST_F(RecorderTest, StreamOfExactlyTheCapHasNoNote) {
  auto recorder = make(10);
  recorder.append("0123456789");
  auto output = recorder.finish();
  EXPECT_EQ(output.bytes, "0123456789");
  EXPECT_EQ(output.dropped, 0);
}

TEST_F(RecorderTest, OffsetsFollowTheMaskedStream) {
  auto recorder = make(1000, {"secret"});
  EXPECT_EQ(recorder.append("a secret, a sec"), "a ********, a ");
  EXPECT_EQ(recorder.size(), 14);
  EXPECT_EQ(recorder.append("ond"), "second");
  EXPECT_EQ(recorder.size(), 20);
}

TEST_F(RecorderTest, TailGivesTheLastBytesOfMemoryAndFile) {
  auto recorder = make(1 << 20);
  recorder.append("abc");
  EXPECT_EQ(recorder.tail(2), "bc");
  EXPECT_EQ(recorder.tail(9), "abc");
  recorder.append(std::string(100'000, 'x'));
  recorder.append("end");
  EXPECT_EQ(recorder.tail(5), "xxend");
}

TEST_F(RecorderTest, AFullDiskCutsTheStreamAndSaysSo) {
  // A file size limit stands for the disk: write fails with EFBIG.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small{100'000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  auto recorder = make(1 << 20);
  for (int i = 0; i < 20; ++i) recorder.append(std::string(10'000, 'x'));
  auto output = recorder.finish();
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(output.size, 100'000);
  EXPECT_EQ(output.dropped, 100'000);
  EXPECT_EQ(file().size(), 100'000U);
}

TEST_F(RecorderTest, DoesNotFollowALinkOutOfTheFolder) {
  ASSERT_EQ(symlink("/tmp", (dir_.path() + "/output").c_str()), 0);
  auto recorder = make(1 << 20);
  recorder.append(std::string(100'000, 'x'));
  auto output = recorder.finish();
  EXPECT_EQ(output.blob, "");
  EXPECT_EQ(output.dropped, 100'000);
  EXPECT_NE(output.bytes.find("could not be stored"), std::string::npos);
}

}  // namespace
}  // namespace millrace::worker
