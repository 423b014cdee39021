// SPDX-License-Identifier: Apache-2.0
//
//   key        = execution:i64 attempt:u32 epoch:i64
//   output     = bytes:text blob:text size:i64 dropped:i64
//   pairs      = count:u32 (name:text value:text)*
//   value      = 0 | 1 bool:u8 | 2 i64 | 3 bits of a double:i64 | 4 text
//              | 5 count:u32 value* | 6 count:u32 (name:text value)*
//   variable   = name:text value:text how:u8 separator:text
//   recipe     = manifest:text create:list install:list interpreter:text
//   runtime    = ref:text interpreter:list count:u32 variable* recipe
//   order      = tenant:i64 key action:text pack:text release:text entry_point:text runner:u8
//                runner_type:text sdk:u8 reuse:u8 identity:text runtime delivery:u8
//                parameter_format:u8 output_format:u8 arguments:list steering:list parameters:value
//                secrets:list env:pairs permissions:list timeout_ms:i64
//   completion = tenant:i64 key end:u8 exit_code:u32 message:text out:output err:output
//                output:value output_error:text is_read:u8 started_ms:i64 ended_ms:i64
#include "kernel/work_codec.h"

#include <bit>

#include "kernel/limits.h"

namespace millrace::kernel {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

void put(FrameWriter& w, const Pairs& pairs) {
  w.u32(static_cast<uint32_t>(pairs.size()));
  for (const auto& [name, value] : pairs) w.text(name).text(value);
}

Pairs get_pairs(FrameReader& r) {
  Pairs pairs(r.count(2 * sizeof(uint32_t)));
  for (auto& [name, value] : pairs) {
    name = r.text();
    value = r.text();
  }
  return pairs;
}

void put(FrameWriter& w, const Value& value) {
  w.u8(static_cast<uint8_t>(value.kind()));
  switch (value.kind()) {
    case Value::Kind::Null: return;
    case Value::Kind::Bool: w.u8(value.as_bool() ? 1 : 0); return;
    case Value::Kind::Int: w.i64(value.as_int()); return;
    case Value::Kind::Float: w.i64(std::bit_cast<int64_t>(value.as_float())); return;
    case Value::Kind::String: w.text(value.as_string()); return;
    case Value::Kind::List:
      w.u32(static_cast<uint32_t>(value.size()));
      for (const auto& element : value.as_list()) put(w, element);
      return;
    case Value::Kind::Map:
      w.u32(static_cast<uint32_t>(value.size()));
      for (const auto& entry : value.as_map()) {
        w.text(entry.name());
        put(w, entry.value);
      }
      return;
  }
}

// Reads one tree, within bounds: a peer may not make this process deep or large.
class ValueReader {
 public:
  explicit ValueReader(FrameReader& r) : r_(r) {}

  Value read(int depth = 0) {
    auto kind = static_cast<Value::Kind>(r_.u8());
    if (depth > kDeepestValue.most || --left_ < 0) return broken();
    switch (kind) {
      case Value::Kind::Null: return {};
      case Value::Kind::Bool: return r_.u8() != 0;
      case Value::Kind::Int: return r_.i64();
      case Value::Kind::Float: return std::bit_cast<double>(r_.i64());
      case Value::Kind::String: return r_.text();
      case Value::Kind::List: return list(depth);
      case Value::Kind::Map: return map(depth);
    }
    return broken();
  }

 private:
  Value list(int depth) {
    Value value = Value::list();
    for (uint32_t n = r_.count(1); n > 0 && r_.fits(); --n) value.push_back(read(depth + 1));
    return value;
  }
  Value map(int depth) {
    Value value = Value::map();
    for (uint32_t n = r_.count(1 + sizeof(uint32_t)); n > 0 && r_.fits(); --n) {
      std::string_view name = r_.text();
      value.set(name, read(depth + 1));
    }
    return value;
  }
  Value broken() {
    r_.spoil();
    return {};
  }

  FrameReader& r_;
  int64_t left_ = kMostValues.most;
};

template <typename Enum>
void put_enum(FrameWriter& w, Enum value) {
  w.u8(static_cast<uint8_t>(value));
}

template <typename Enum>
Enum get_enum(FrameReader& r, Enum last) {
  uint8_t value = r.u8();
  if (value > static_cast<uint8_t>(last)) r.spoil();
  return r.fits() ? static_cast<Enum>(value) : Enum{};
}

void put(FrameWriter& w, const Runtime& runtime) {
  const auto& [ref, interpreter, env, environment] = runtime;
  w.text(ref).list(interpreter).u32(static_cast<uint32_t>(env.size()));
  for (const auto& [name, value, how, separator] : env) {
    put_enum(w.text(name).text(value), how);
    w.text(separator);
  }
  const auto& [manifest, create, install, own] = environment;
  w.text(manifest).list(create).list(install).text(own);
}

Runtime get_runtime(FrameReader& r) {
  Runtime runtime;
  runtime.ref = r.text();
  runtime.interpreter = r.list();
  runtime.env.resize(r.count(3 * sizeof(uint32_t) + 1));
  for (auto& variable : runtime.env) {
    variable.name = r.text();
    variable.value = r.text();
    variable.how = get_enum(r, RuntimeVariable::How::Append);
    variable.separator = r.text();
  }
  auto& recipe = runtime.environment;
  recipe.manifest = r.text();
  recipe.create = r.list();
  recipe.install = r.list();
  recipe.interpreter = r.text();
  return runtime;
}

}  // namespace

FrameWriter& put(FrameWriter& w, const RunKey& key) {
  return w.i64(key.execution.value).u32(static_cast<uint32_t>(key.attempt)).i64(key.epoch);
}

RunKey get_key(FrameReader& r) {
  RunKey key;
  key.execution = ExecutionId(r.i64());
  key.attempt = static_cast<int32_t>(r.u32());
  key.epoch = r.i64();
  return key;
}

FrameWriter& put(FrameWriter& w, const StreamOutput& output) {
  const auto& [bytes, blob, size, dropped, hidden] = output;
  w.text(bytes).text(blob).i64(size).i64(dropped).u32(static_cast<uint32_t>(hidden.size()));
  for (const auto& [mask, begins, secret] : hidden) w.i64(mask).i64(begins).u32(secret);
  return w;
}

StreamOutput get_output(FrameReader& r) {
  StreamOutput output;
  output.bytes = r.text();
  output.blob = r.text();
  output.size = r.i64();
  output.dropped = r.i64();
  output.hidden.resize(r.count(8 + 8 + 4));
  for (Hidden& hidden : output.hidden) {
    hidden.mask = r.i64();
    hidden.begins = r.i64();
    hidden.secret = r.u32();
  }
  return output;
}

// The names are bound one by one so that a new field does not compile until it is sent.
FrameWriter& put(FrameWriter& w, const WorkOrder& order) {
  const auto& [tenant, key, action, pack, release, entry_point, runner, runner_type, sdk, reuse,
               identity, runtime, delivery, parameter_format, output_format, arguments, steering,
               parameters, config, secrets, env, permissions, timeout_ms] = order;
  put(w.i64(tenant.value), key);
  w.text(action).text(pack).text(release).text(entry_point);
  put_enum(w, runner);
  put_enum(w.text(runner_type), sdk);
  put_enum(w, reuse);
  w.text(identity);
  put(w, runtime);
  put_enum(w, delivery);
  put_enum(w, parameter_format);
  put_enum(w, output_format);
  put(w.list(arguments).list(steering), parameters);
  put(w, config);
  put(w.list(secrets), env);
  return w.list(permissions).i64(timeout_ms);
}

WorkOrder get_order(FrameReader& r) {
  WorkOrder order;
  order.tenant = TenantId(r.i64());
  order.key = get_key(r);
  order.action = r.text();
  order.pack = r.text();
  order.release = r.text();
  order.entry_point = r.text();
  order.runner = get_enum(r, Runner::Unsupported);
  order.runner_type = r.text();
  order.sdk = get_enum(r, Sdk::Ssh);
  order.reuse = get_enum(r, Reuse::Process);
  order.identity = r.text();
  order.runtime = get_runtime(r);
  order.delivery = get_enum(r, ParameterDelivery::File);
  order.parameter_format = get_enum(r, ParameterFormat::Yaml);
  order.output_format = get_enum(r, OutputFormat::Jsonl);
  order.arguments = r.list();
  order.steering = r.list();
  order.parameters = ValueReader(r).read();
  order.config = ValueReader(r).read();
  order.secrets = r.list();
  order.env = get_pairs(r);
  order.permissions = r.list();
  order.timeout_ms = r.i64();
  return order;
}

FrameWriter& put(FrameWriter& w, const Completion& completion) {
  const auto& [tenant, key, end, exit_code, message, out, err, told, output, output_error, is_read,
               says_failed, started_ms, ended_ms] = completion;
  put(w.i64(tenant.value), key);
  put_enum(w, end);
  w.u32(static_cast<uint32_t>(exit_code)).text(message);
  put(put(put(w, out), err), told);
  put(w, output);
  w.text(output_error).u8(is_read ? 1 : 0).u8(says_failed ? 1 : 0);
  return w.i64(started_ms).i64(ended_ms);
}

Completion get_completion(FrameReader& r) {
  Completion c;
  c.tenant = TenantId(r.i64());
  c.key = get_key(r);
  c.end = get_enum(r, RunEnd::Lost);
  c.exit_code = static_cast<int>(r.u32());
  c.message = r.text();
  c.out = get_output(r);
  c.err = get_output(r);
  c.result = get_output(r);
  c.output = ValueReader(r).read();
  c.output_error = r.text();
  c.is_read = r.u8() != 0;
  c.says_failed = r.u8() != 0;
  c.started_ms = r.i64();
  c.ended_ms = r.i64();
  return c;
}

}  // namespace millrace::kernel
