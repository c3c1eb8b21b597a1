// SPDX-License-Identifier: Apache-2.0
// Replays recordings that anyone may have written, with every lens and in every format. The first byte of the input
// selects the lens, in the order of `lenses`, and bit 7 a wall clock that overflows; the second byte selects the view.
// The rest is a sequence of records; they are put into a recording whose sizes and checksums are right, because random
// changes would not get past those. If the first byte selects no lens, the rest is the file itself: a damaged
// recording.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/run.h"
#include "base/failure.h"
#include "base/recording_format.h"
#include "base/signals.h"
#include "quiet.h"
#include "source/recording.h"

namespace {

using namespace iolens;

constexpr std::array<std::string_view, 3> lenses{"block", "fd", "file"};

/// A way to look at a recording.
struct FuzzedView {
    std::string_view lens;
    Format format;
    std::map<std::string_view, std::string_view> flags{};  // of the lens
    std::string_view type{};                               // rows with all columns of this type; "": the default ones
    std::string_view summary = "true";
    bool verbose = false;
};

const std::vector<FuzzedView>& views() {
    static const std::vector<FuzzedView> all{
        {.lens = "block", .format = table_format, .flags = {{"-Q", ""}, {"-P", ""}, {"-A", ""}}, .verbose = true},
        {.lens = "block", .format = table_format, .flags = {{"--group-by", "file"}}, .type = "block"},
        {.lens = "block", .format = csv_format, .flags = {{"--group-by", "author"}}, .type = "block"},
        {.lens = "block", .format = json_format, .flags = {{"--group-by", "comm"}}, .type = "block"},
        {.lens = "block", .format = json_format, .flags = {{"--group-by", "cgroup"}}},
        {.lens = "block", .format = csv_format, .flags = {{"--group-by", "disk"}, {"--no-file", ""}}},
        {.lens = "fd", .format = csv_format},
        {.lens = "fd", .format = csv_format, .summary = "open", .verbose = true},
        {.lens = "fd", .format = csv_format, .type = "fd"},
        {.lens = "fd", .format = table_format, .type = "fd", .summary = "open"},
        {.lens = "fd", .format = table_format, .flags = {{"--why", ""}}, .verbose = true},
        {.lens = "fd", .format = json_format, .flags = {{"--why", ""}}, .type = "fd", .verbose = true},
        {.lens = "fd", .format = format_named("metrics"), .flags = {{"--domains", "ALL,HTTP"}}},
        {.lens = "fd", .format = format_named("metrics-table"), .flags = {{"--domains", "ALL,HTTP"}}},
        {.lens = "fd", .format = table_format, .flags = {{"--domains", "ALL,HTTP"}}, .type = "operation"},
        {.lens = "fd", .format = json_format, .flags = {{"--domains", "ALL,HTTP"}}, .type = "operation"},
        {.lens = "file", .format = table_format, .verbose = true},
        {.lens = "file", .format = table_format, .flags = {{"--absolute", ""}}, .type = "file"},
        {.lens = "file", .format = csv_format, .type = "file"},
        {.lens = "file", .format = json_format, .flags = {{"--level", "vfs"}}, .type = "file"},
        {.lens = "file", .format = format_named("iotracer")},
    };
    return all;
}

/// Sets the flags of a view.
class Setter final : public Flags {
public:
    explicit Setter(const FuzzedView& view) : view_(view) {}
    void toggle(const char* names, bool& target, const char* /*help*/) override {
        target = find(names) != nullptr || target;
    }
    void toggle_word(const char* /*names*/, std::string& /*target*/, const char* /*word*/,
                     const char* /*help*/) override {}
    void text(const char* names, std::string& target, const char* /*word*/, const char* /*help*/) override {
        if (const auto* value = find(names)) target = *value;
    }
    void list(const char* names, std::vector<std::string>& target, const char* /*word*/,
              const char* /*help*/) override {
        const auto* value = find(names);
        if (value == nullptr) return;
        for (std::size_t at = 0; at <= value->size();) {
            const std::size_t end = std::min(value->find(',', at), value->size());
            target.emplace_back(value->substr(at, end - at));
            at = end + 1;
        }
    }
    void numbers(const char* /*names*/, std::vector<u64>& /*target*/, u64 /*min*/, u64 /*max*/, const char* /*word*/,
                 const char* /*help*/) override {}
    void number(const char* /*names*/, std::optional<u64>& /*target*/, u64 /*min*/, u64 /*max*/, const char* /*word*/,
                const char* /*help*/) override {}
    void time(const char* /*names*/, std::optional<u64>& /*target*/, u64 /*bare_ns*/, u64 /*min*/, u64 /*max*/,
              const char* /*word*/, const char* /*help*/) override {}
    void size(const char* /*names*/, std::optional<u64>& /*target*/, u64 /*bare*/, u64 /*min*/, u64 /*max*/,
              const char* /*word*/, const char* /*help*/) override {}

private:
    /// The value of the flag that has one of these names ("-Q,--queue"); null if the view does not set it.
    const std::string_view* find(std::string_view names) {
        while (!names.empty()) {
            const std::size_t end = std::min(names.find(','), names.size());
            if (const auto at = view_.flags.find(names.substr(0, end)); at != view_.flags.end()) return &at->second;
            names.remove_prefix(std::min(end + 1, names.size()));
        }
        return nullptr;
    }
    const FuzzedView& view_;
};

void replay(const FuzzedView& view, const std::string& path) {
    ViewOptions options;
    options.format = view.format;
    options.output = "/dev/zero";  // for /dev/null no rows would be made
    options.summary_by = view.summary;
    options.verbose = view.verbose;
    try {
        RecordingSource recording(path);
        const std::unique_ptr<Lens> lens = lens_of(recording);
        Setter setter(view);
        lens->add_options(setter, nullptr);
        for (const RowType& type : lens->info().row_types) {
            if (type.name != view.type) continue;
            for (const Column& column : type.columns) options.columns.emplace_back(column.name);
        }
        run_replay(*lens, options, recording);
    } catch (const Failure& failure) {
        if (failure.status() != Exit::failed) std::abort();  // the view is wrong, not the recording
    }
}

/// The recording of a lens that has these records. Their kinds and contents are kept, their sizes made possible.
std::string recording_of(std::string_view lens, u64 wall_offset_ns, std::string_view records) {
    RecordingHeader header;
    header.wall_offset_ns = wall_offset_ns;
    lens.copy(header.lens.data(), header.lens.size() - 1);
    header.crc = static_cast<u32>(::crc32(0, reinterpret_cast<const Bytef*>(&header), offsetof(RecordingHeader, crc)));
    std::string frame;
    while (records.size() >= sizeof(iolens_header)) {
        iolens_header head;
        std::memcpy(&head, records.data(), sizeof head);
        const std::size_t size = std::clamp<std::size_t>(head.size, sizeof head, records.size()) / 8 * 8;
        head.size = static_cast<u16>(size);
        frame.append(reinterpret_cast<const char*>(&head), sizeof head);
        frame += records.substr(sizeof head, size - sizeof head);
        records.remove_prefix(size);
    }
    std::string file(reinterpret_cast<const char*>(&header), sizeof header);
    const auto append_frame = [&file](const std::string& bytes) {
        const RecordingFrame head{.size = static_cast<u32>(bytes.size()),
                                  .crc = static_cast<u32>(::crc32(0, reinterpret_cast<const Bytef*>(bytes.data()),
                                                                  static_cast<uInt>(bytes.size())))};
        file.append(reinterpret_cast<const char*>(&head), sizeof head);
        file += bytes;
    };
    if (!frame.empty()) append_frame(frame);
    append_frame({});  // the end
    return file;
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(unsigned char* data, std::size_t size, std::size_t max_size);

/// Changes one record and leaves the others what they are: its contents, its size, or how often it is there. The
/// fuzzer's own changes, which are made as often, move all that follows.
extern "C" std::size_t LLVMFuzzerCustomMutator(unsigned char* data, std::size_t size, std::size_t max_size,
                                               unsigned seed) {
    std::minstd_rand random(seed);
    std::vector<std::pair<std::size_t, std::size_t>> records;  // place and size
    for (std::size_t at = 2; at + sizeof(iolens_header) <= size;) {
        iolens_header head;
        std::memcpy(&head, data + at, sizeof head);
        const std::size_t length = std::clamp<std::size_t>(head.size, sizeof head, size - at) / 8 * 8;
        records.emplace_back(at, length);
        at += length;
    }
    if (records.empty() || data[0] % 0x80U >= lenses.size() || random() % 2 == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    if (random() % 8 == 0) {
        data[1] = static_cast<unsigned char>(random() % views().size());
        return size;
    }
    const auto [at, length] = records[random() % records.size()];
    unsigned char* const record = data + at;
    switch (random() % 4) {
        case 0:  // an older version's: shorter
            if (length < sizeof(iolens_header) + 8) break;
            std::memmove(record + length - 8, record + length, size - at - length);
            record[offsetof(iolens_header, size)] = static_cast<unsigned char>(length - 8);
            record[offsetof(iolens_header, size) + 1] = static_cast<unsigned char>((length - 8) >> 8);
            return size - 8;
        case 1:  // once more
            if (size + length > max_size) break;
            std::memmove(record + length, record, size - at);
            return size + length;
        default: break;
    }
    if (length > sizeof(iolens_header)) {
        LLVMFuzzerMutate(record + sizeof(iolens_header), length - sizeof(iolens_header),
                         length - sizeof(iolens_header));
    } else {
        LLVMFuzzerMutate(record, offsetof(iolens_header, size), offsetof(iolens_header, size));
    }
    return size;
}

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
    ::setenv("TZ", "UTC", 1);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 2) return 0;
    const std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
    constexpr u64 wall = 1'767'322'045'678'000'000;
    const std::size_t selected = data[0] & 0x7fU;
    const std::string file = selected < lenses.size()
                                 ? recording_of(lenses.at(selected), (data[0] & 0x80U) != 0 ? ~u64{0} : wall, rest)
                                 : std::string(rest);
    static const int fd = ::memfd_create("recording", MFD_CLOEXEC);
    if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, file.data(), file.size(), 0) != static_cast<ssize_t>(file.size())) {
        std::abort();
    }
    static const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const Quiet quiet;  // summaries go to standard error
    std::string lens;
    try {
        lens = RecordingSource(path).lens();
    } catch (const Failure&) {
        return 0;
    }
    std::vector<const FuzzedView*> of_lens;
    for (const FuzzedView& view : views()) {
        if (view.lens == lens) of_lens.push_back(&view);
    }
    if (!of_lens.empty()) replay(*of_lens[data[1] % of_lens.size()], path);
    if (end_asked()) std::exit(0);  // run_replay() has taken Ctrl-C from the fuzzer
    return 0;
}
