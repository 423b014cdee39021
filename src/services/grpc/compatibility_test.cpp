// SPDX-License-Identifier: Apache-2.0
// What was once in api/proto stays readable: numbers, types and names of what the golden file holds
// may not change. UPDATE_GOLDEN=1 accepts what is new, UPDATE_GOLDEN=incompatible all of it.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>
#include <grpc/health/v1/health.pb.h>
#include <gtest/gtest.h>
#include <millrace/agent/v1/agent.pb.h>
#include <millrace/agent/v1/certificates.pb.h>
#include <millrace/internal/v1/command.pb.h>
#include <millrace/v1/error.pb.h>
#include <millrace/v1/system.pb.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace millrace::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::FileDescriptorSet;
using google::protobuf::ServiceDescriptor;
using Faults = std::vector<std::string>;

constexpr char kGolden[] = MILLRACE_SOURCE_DIR "/api/proto/golden.txtpb";

std::vector<const FileDescriptor*> our_files() {
  return {agent::v1::FromAgent::descriptor()->file(), agent::v1::RenewReply::descriptor()->file(),
          internal::v1::SubmitRequest::descriptor()->file(), v1::Error::descriptor()->file(),
          v1::InfoReply::descriptor()->file()};
}

std::string text_of(const std::vector<const FileDescriptor*>& files) {
  FileDescriptorSet set;
  for (const auto* file : files) file->CopyTo(set.add_file());
  std::string text;
  google::protobuf::TextFormat::PrintToString(set, &text);
  return text;
}

void compare(const FieldDescriptor& was, const Descriptor& now, Faults& faults) {
  const auto* field = now.FindFieldByNumber(was.number());
  if (!field) {
    bool kept = now.IsReservedNumber(was.number());
    if (!kept) faults.push_back(was.full_name() + " is gone, and its number is not reserved");
    return;
  }
  if (field->name() != was.name()) faults.push_back(was.full_name() + " has another name");
  if (field->type() != was.type()) faults.push_back(was.full_name() + " has another type");
  if (field->is_repeated() != was.is_repeated()) {
    faults.push_back(was.full_name() + " is repeated no more, or now");
  }
  bool same_oneof =
      (was.real_containing_oneof() == nullptr) == (field->real_containing_oneof() == nullptr);
  if (!same_oneof) faults.push_back(was.full_name() + " has moved into or out of a oneof");
}

void compare(const Descriptor& was, const FileDescriptor& now, Faults& faults) {
  const auto* message = now.FindMessageTypeByName(was.name());
  if (!message) return faults.push_back(was.full_name() + " is gone");
  for (int i = 0; i < was.field_count(); ++i) compare(*was.field(i), *message, faults);
}

void compare(const EnumDescriptor& was, const FileDescriptor& now, Faults& faults) {
  const auto* other = now.FindEnumTypeByName(was.name());
  if (!other) return faults.push_back(was.full_name() + " is gone");
  for (int i = 0; i < was.value_count(); ++i) {
    const auto* value = other->FindValueByNumber(was.value(i)->number());
    bool same = value && value->name() == was.value(i)->name();
    if (!same) faults.push_back(was.value(i)->full_name() + " is gone or has another number");
  }
}

void compare(const ServiceDescriptor& was, const FileDescriptor& now, Faults& faults) {
  const auto* service = now.FindServiceByName(was.name());
  if (!service) return faults.push_back(was.full_name() + " is gone");
  for (int i = 0; i < was.method_count(); ++i) {
    const auto& before = *was.method(i);
    const auto* method = service->FindMethodByName(before.name());
    bool same = method && method->client_streaming() == before.client_streaming() &&
                method->server_streaming() == before.server_streaming() &&
                method->input_type()->full_name() == before.input_type()->full_name() &&
                method->output_type()->full_name() == before.output_type()->full_name();
    if (!same) faults.push_back(before.full_name() + " is gone or of another form");
  }
}

Faults incompatible(const FileDescriptor& was, const FileDescriptor& now) {
  Faults faults;
  if (was.package() != now.package()) faults.push_back(was.name() + " has another package");
  for (int i = 0; i < was.message_type_count(); ++i) compare(*was.message_type(i), now, faults);
  for (int i = 0; i < was.enum_type_count(); ++i) compare(*was.enum_type(i), now, faults);
  for (int i = 0; i < was.service_count(); ++i) compare(*was.service(i), now, faults);
  return faults;
}

std::string read_golden() {
  std::ifstream file(kGolden);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Protos, StayCompatible) {
  auto accept = std::string(std::getenv("UPDATE_GOLDEN") ? std::getenv("UPDATE_GOLDEN") : "");
  auto golden = read_golden();
  FileDescriptorSet set;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(golden, &set));
  DescriptorPool before;
  Faults faults;
  for (const auto& proto : set.file()) {
    const auto* was = before.BuildFile(proto);
    ASSERT_NE(was, nullptr) << proto.name();
    const auto* now = DescriptorPool::generated_pool()->FindFileByName(proto.name());
    if (!now) {
      faults.push_back(proto.name() + " is gone");
      continue;
    }
    for (auto& fault : incompatible(*was, *now)) faults.push_back(std::move(fault));
  }
  if (accept != "incompatible") {
    for (const auto& fault : faults) ADD_FAILURE() << fault;
    if (!faults.empty()) return;
  }
  if (!accept.empty()) {
    std::ofstream(kGolden) << text_of(our_files());
    return;
  }
  EXPECT_EQ(golden, text_of(our_files())) << "what is new is accepted with UPDATE_GOLDEN=1";
}

struct Change {
  const char* what;
  void (*make)(FileDescriptorProto&);
  const char* fault;  // "": it may be made
};

TEST(Protos, AnIncompatibleChangeIsFound) {
  const Change kChanges[] = {
      {"a new field",
       [](auto& file) {
         auto& field = *file.mutable_message_type(0)->add_field();
         field.set_name("fresh");
         field.set_number(100);
         field.set_type(google::protobuf::FieldDescriptorProto::TYPE_INT64);
         field.set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
       },
       ""},
      {"a field that is gone",
       [](auto& file) { file.mutable_message_type(0)->mutable_field()->RemoveLast(); },
       "millrace.v1.Error.request_id is gone, and its number is not reserved"},
      {"one whose number is kept",
       [](auto& file) {
         auto& message = *file.mutable_message_type(0);
         message.mutable_field()->RemoveLast();
         auto& range = *message.add_reserved_range();
         range.set_start(6);
         range.set_end(7);
       },
       ""},
      {"another type",
       [](auto& file) {
         file.mutable_message_type(0)->mutable_field(0)->set_type(
             google::protobuf::FieldDescriptorProto::TYPE_BYTES);
       },
       "millrace.v1.Error.code has another type"},
      {"another name",
       [](auto& file) { file.mutable_message_type(0)->mutable_field(0)->set_name("cod"); },
       "millrace.v1.Error.code has another name"},
      {"a message that is gone",
       [](auto& file) {
         file.mutable_message_type(0)->mutable_field()->DeleteSubrange(3, 1);
         auto& range = *file.mutable_message_type(0)->add_reserved_range();
         range.set_start(4);
         range.set_end(5);
         file.mutable_message_type()->RemoveLast();
       },
       "millrace.v1.Problem is gone"}};
  const auto& file = *v1::Error::descriptor()->file();
  for (const auto& [what, make, fault] : kChanges) {
    FileDescriptorProto changed;
    file.CopyTo(&changed);
    make(changed);
    DescriptorPool pool;
    const auto* now = pool.BuildFile(changed);
    ASSERT_NE(now, nullptr) << what;
    auto faults = incompatible(file, *now);
    EXPECT_EQ(faults, *fault ? Faults{fault} : Faults{}) << what;
  }
}

TEST(Protos, AMethodOfAnotherFormIsFound) {
  const auto& file = *v1::InfoReply::descriptor()->file();
  FileDescriptorProto changed;
  file.CopyTo(&changed);
  changed.mutable_service(0)->mutable_method(0)->set_server_streaming(true);
  DescriptorPool pool;
  EXPECT_EQ(incompatible(file, *pool.BuildFile(changed)),
            Faults{"millrace.v1.SystemService.Info is gone or of another form"});
}

}  // namespace
}  // namespace millrace::rpc
