// SPDX-License-Identifier: Apache-2.0
//
// Grammar of the control connection, a unix stream socket, on top of base/wire.h:
//
//   key, completion: kernel/work_codec.cpp
//   stream  = u8 (0 stdout, 1 stderr)
//   run     = tenant:i64 key started_ms:i64
//   limits  = processes:i64 memory_bytes:i64 open_files:i64 file_bytes:i64 cpu_s:i64 core_bytes:i64
//
//   warm    = reuse:u8 sdk:u8 key:text env:list processes:i64 calls:i64 age_ms:i64 idle_ms:i64
//             memory_bytes:i64
//
//   worker to spawner
//     1 Launch  = tenant:i64 key argv:list env:list cwd:text delivery:u8 parameters:text
//                 secrets:list timeout_ms:i64 grace_ms:i64 output_cap:i64 limits warm
//     2 Kill    = key
//     3 Ack     = key
//     4 Goodbye =
//     5 Hold    = tenant:i64 key
//     6 Proof   = secret:text
//     7 Lease   = until_ms:i64
//   spawner to worker
//     16 Hello  = version:u32 boot_id:text pid:i64 started_ns:i64 count:u32 run*
//     17 Chunk  = key stream offset:i64 bytes:text
//     18 Exited = completion
//
// Every frame begins with its type, u8. There is no answer to Launch: the socket keeps the order,
// so a run is in the Hello of a later connection, or the spawner never read its Launch.
#include "services/worker/control.h"

#include <fmt/format.h>

#include "base/wire.h"
#include "kernel/work_codec.h"

namespace millrace::worker {
namespace {

enum class Type : uint8_t {
  Launch = 1,
  Kill = 2,
  Ack = 3,
  Goodbye = 4,
  Hold = 5,
  Proof = 6,
  Lease = 7,
  Hello = 16,
  Chunk = 17,
  Exited = 18,
};

FrameWriter begin(std::string& out, Type type) {
  FrameWriter w(out);
  w.u8(static_cast<uint8_t>(type));
  return w;
}

void end_small(FrameWriter& w) {
  bool fits = w.end();
  ASSERT_MSG(fits, "a control frame of bounded size is above kMaxFrame");
}

Launch get_launch(FrameReader& r) {
  Launch launch;
  launch.tenant = TenantId(r.i64());
  launch.key = kernel::get_key(r);
  launch.argv = r.list();
  launch.env = r.list();
  launch.cwd = r.text();
  launch.delivery = r.u8() == 1 ? Delivery::File : Delivery::Stdin;
  launch.parameters = r.text();
  launch.says_result = r.u8() == 1;
  launch.secrets = r.list();
  launch.timeout_ms = r.i64();
  launch.grace_ms = r.i64();
  launch.output_cap = r.i64();
  RunLimits& limits = launch.limits;
  for (int64_t* each : {&limits.processes, &limits.memory_bytes, &limits.open_files,
                        &limits.file_bytes, &limits.cpu_s, &limits.core_bytes}) {
    *each = r.i64();
  }
  WarmCall& warm = launch.warm;
  uint8_t reuse = r.u8(), sdk = r.u8();
  if (reuse > static_cast<uint8_t>(Reuse::Process) || sdk > static_cast<uint8_t>(Sdk::Node)) {
    r.spoil();
  } else {
    warm.reuse = static_cast<Reuse>(reuse);
    warm.sdk = static_cast<Sdk>(sdk);
  }
  warm.key = r.text();
  warm.env = r.list();
  for (int64_t* each :
       {&warm.processes, &warm.calls, &warm.age_ms, &warm.idle_ms, &warm.memory_bytes}) {
    *each = r.i64();
  }
  return launch;
}

Hello get_hello(FrameReader& r) {
  constexpr size_t kRunBytes = 8 + 8 + 4 + 8 + 8;
  Hello hello;
  hello.version = r.u32();
  hello.boot_id = r.text();
  hello.pid = r.i64();
  hello.started_ns = r.i64();
  hello.runs.resize(r.count(kRunBytes));
  for (auto& run : hello.runs) {
    run.tenant = TenantId(r.i64());
    run.key = kernel::get_key(r);
    run.started_ms = r.i64();
  }
  return hello;
}

Chunk get_chunk(FrameReader& r) {
  Chunk chunk;
  chunk.key = kernel::get_key(r);
  chunk.stream = r.u8() == 1 ? kernel::Stream::Stderr : kernel::Stream::Stdout;
  chunk.offset = r.i64();
  chunk.bytes = r.text();
  return chunk;
}

}  // namespace

std::string Hello::instance() const { return fmt::format("{}/{}/{}", boot_id, pid, started_ns); }

void encode(std::string& out, const Proof& proof) {
  FrameWriter w = begin(out, Type::Proof);
  end_small(w.text(proof.secret));
}

bool encode(std::string& out, const Launch& launch) {
  const RunLimits& limits = launch.limits;
  FrameWriter w = begin(out, Type::Launch);
  put(w.i64(launch.tenant.value), launch.key)
      .list(launch.argv)
      .list(launch.env)
      .text(launch.cwd)
      .u8(static_cast<uint8_t>(launch.delivery))
      .text(launch.parameters)
      .u8(launch.says_result ? 1 : 0)
      .list(launch.secrets)
      .i64(launch.timeout_ms)
      .i64(launch.grace_ms)
      .i64(launch.output_cap)
      .i64(limits.processes)
      .i64(limits.memory_bytes)
      .i64(limits.open_files)
      .i64(limits.file_bytes)
      .i64(limits.cpu_s)
      .i64(limits.core_bytes);
  const WarmCall& warm = launch.warm;
  w.u8(static_cast<uint8_t>(warm.reuse)).u8(static_cast<uint8_t>(warm.sdk)).text(warm.key);
  w.list(warm.env).i64(warm.processes).i64(warm.calls).i64(warm.age_ms).i64(warm.idle_ms);
  w.i64(warm.memory_bytes);
  return w.end();
}

void encode(std::string& out, const Kill& kill) {
  FrameWriter w = begin(out, Type::Kill);
  end_small(put(w, kill.key));
}

void encode(std::string& out, const Hold& hold) {
  FrameWriter w = begin(out, Type::Hold);
  end_small(put(w.i64(hold.tenant.value), hold.key));
}

void encode(std::string& out, const Lease& lease) {
  FrameWriter w = begin(out, Type::Lease);
  end_small(w.i64(lease.until_ms));
}

void encode(std::string& out, const Ack& ack) {
  FrameWriter w = begin(out, Type::Ack);
  end_small(put(w, ack.key));
}

void encode(std::string& out, const Goodbye&) {
  FrameWriter w = begin(out, Type::Goodbye);
  end_small(w);
}

void encode(std::string& out, const Hello& hello) {
  FrameWriter w = begin(out, Type::Hello);
  w.u32(hello.version).text(hello.boot_id).i64(hello.pid).i64(hello.started_ns);
  w.u32(static_cast<uint32_t>(hello.runs.size()));
  for (const auto& run : hello.runs) put(w.i64(run.tenant.value), run.key).i64(run.started_ms);
  end_small(w);
}

void encode_chunk(std::string& out, const kernel::RunKey& key, kernel::Stream stream,
                  int64_t offset, std::string_view bytes) {
  FrameWriter w = begin(out, Type::Chunk);
  end_small(put(w, key).u8(static_cast<uint8_t>(stream)).i64(offset).text(bytes));
}

void encode(std::string& out, const Exited& exited) {
  FrameWriter w = begin(out, Type::Exited);
  end_small(put(w, exited.completion));
}

Result<Frame> decode(std::string_view frame) {
  FrameReader r(frame);
  auto type = static_cast<Type>(r.u8());
  auto checked = [&](auto message) -> Result<Frame> {
    if (r.complete()) return Frame(std::move(message));
    return Error(ErrorKind::Invalid, "WRK-0001",
                 fmt::format("spawner protocol: a frame of type {} and {} bytes does not fit the "
                             "grammar",
                             static_cast<int>(type), frame.size()));
  };
  switch (type) {
    case Type::Proof: return checked(Proof{std::string(r.text())});
    case Type::Launch: return checked(get_launch(r));
    case Type::Kill: return checked(Kill{kernel::get_key(r)});
    case Type::Ack: return checked(Ack{kernel::get_key(r)});
    case Type::Hold: {
      TenantId tenant(r.i64());
      return checked(Hold{tenant, kernel::get_key(r)});
    }
    case Type::Lease: return checked(Lease{r.i64()});
    case Type::Goodbye: return checked(Goodbye{});
    case Type::Hello: return checked(get_hello(r));
    case Type::Chunk: return checked(get_chunk(r));
    case Type::Exited: return checked(Exited{kernel::get_completion(r)});
  }
  return Error(ErrorKind::Invalid, "WRK-0001",
               fmt::format("spawner protocol: unknown frame type {}", static_cast<int>(type)));
}

}  // namespace millrace::worker
