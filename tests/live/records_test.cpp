// SPDX-License-Identifier: Apache-2.0
// Contents of recordings: only what was requested, and no other kernel data.
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <set>

#include "iolens/event/block.h"
#include "iolens/event/call.h"
#include "iolens/event/file.h"
#include "iolens/event/operation.h"
#include "machine.h"
#include "source/recording.h"

namespace iolens::test {
namespace {

/// All records of a recording, as arrays of u64.
class Records final : public Receiver {
public:
    explicit Records(const std::string& path) {
        RecordingSource source(path);
        while (!source.ended()) source.read(*this);
    }
    bool record(std::span<const std::byte> bytes) override {
        std::vector<u64>& words = all.emplace_back(bytes.size() / sizeof(u64));
        std::memcpy(words.data(), bytes.data(), bytes.size());
        return true;
    }
    std::vector<std::vector<u64>> all;
};

const iolens_header& head_of(const std::vector<u64>& record) {
    return *reinterpret_cast<const iolens_header*>(record.data());
}

template <typename Event>
std::vector<const Event*> of_kind(const Records& records, iolens_kind kind) {
    std::vector<const Event*> found;
    for (const auto& record : records.all) {
        if (head_of(record).kind == kind) found.push_back(reinterpret_cast<const Event*>(record.data()));
    }
    return found;
}

/// True for addresses in the upper half of the address space, except small negative numbers.
bool is_kernel_address(u64 word) { return word >> 47 == 0x1ffff && word < ~u64{0} - (1 << 24); }

/// Inverts file_mix(): returns the input of its first step.
u64 before_mix(u64 mixed, u64 more) {
    constexpr u64 factor = 0x9E3779B97F4A7C15;
    u64 inverse = factor;
    for (int i = 0; i < 6; ++i) inverse *= 2 - factor * inverse;
    return ((mixed ^ mixed >> 29 ^ mixed >> 58) * inverse) ^ more;
}

class Recorded : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }

    /// Records a run of iolens with these arguments.
    Records records(const std::string& words) {
        const std::string path = scratch_.path("recording");
        const Result r = shell("iolens " + words.substr(0, words.find(' ')) + " -o /dev/null --record " + path +
                               words.substr(words.find(' ')));
        EXPECT_EQ(r.status, 0) << words << r.err;
        return Records(path);
    }

    const Scratch scratch_;
};

/// Fields that look like kernel addresses: "kind 3, word 12", or "kind 3, hash" for the input of an open_id.
std::set<std::string> addresses_in(const Records& records) {
    std::set<std::string> places;
    for (const auto& record : records.all) {
        const u32 kind = head_of(record).kind;
        if (kind == IOLENS_KIND_FILE || kind == IOLENS_KIND_ARGUMENTS) continue;
        for (std::size_t i = sizeof(iolens_header) / sizeof(u64); i < record.size(); ++i) {
            if (is_kernel_address(record[i])) places.insert(fmt::format("kind {}, word {}", kind, i));
        }
    }
    for (const iolens_call_event* call : of_kind<iolens_call_event>(records, IOLENS_KIND_CALL)) {
        if (call->open_id != 0 && is_kernel_address(before_mix(call->open_id, call->ino))) {
            places.insert(fmt::format("kind {}, hash", int{IOLENS_KIND_CALL}));
        }
    }
    return places;
}

TEST_F(Recorded, NoKernelAddressLeavesTheMachine) {
    const std::string file = scratch_.path("file");
    const std::string work = " -- sh -c 'dd if=/dev/zero of=" + file +
                             " bs=64k count=16 conv=fsync 2>&1; sleep 0.05; cat " + file + " >/dev/null'";
    for (const std::string& words : {"fd --why --min-ms 0.001" + work, "fd -v" + work, "fd --domains ALL" + work,
                                     "block -D 1" + std::string(), "file -D 1 " + scratch_.path()}) {
        const std::set<std::string> places = addresses_in(records(words));
        if (places.empty()) continue;
        // One hash in 131,072 looks like an address; in the next run it has another key. An address would be at the
        // same place again.
        const std::set<std::string> again = addresses_in(records(words));
        for (const std::string& place : places) EXPECT_FALSE(again.contains(place)) << words << ": " << place;
    }
}

TEST_F(Recorded, NothingStandsBehindATextsEnd) {
    NEEDS(std::filesystem::exists(helper()), "the program to look at was not built");
    // use the whole ring before
    const Records all = records(
        "fd --libc --domains ALL --ring-size 1 -- sh -c 'i=0; while [ $i -lt 5000 ]; do : </etc/hostname; "
        "i=$((i + 1)); done; " +
        helper() + " libc " + scratch_.path() + "; true'");
    std::size_t texts = 0;
    for (const iolens_operation_event* e : of_kind<iolens_operation_event>(all, IOLENS_KIND_OPERATION)) {
        const std::string_view record(reinterpret_cast<const char*>(e), e->h.size);
        const std::size_t end = sizeof *e + e->length1 + e->length2;
        ASSERT_LE(end, record.size());
        texts += e->layer == IOLENS_LAYER_LIBC && e->length1 != 0 ? 1 : 0;
        EXPECT_EQ(record.find_first_not_of('\0', end), std::string_view::npos) << int{e->op} << " " << end;
    }
    EXPECT_GT(texts, 3U);
    for (const iolens_file_fact* fact : of_kind<iolens_file_fact>(all, IOLENS_KIND_FILE)) {
        const std::string_view record(reinterpret_cast<const char*>(fact), fact->h.size);
        EXPECT_EQ(record.find_first_not_of('\0', sizeof *fact + fact->length), std::string_view::npos);
    }
}

/// Two processes dirty one file; the second one has a shorter comm, and an io_uring worker reads the file.
TEST_F(Recorded, AnAuthorsNameHasNoRestOfAnothers) {
    const LoopDisk disk(64 << 20);
    const std::string mount = scratch_.path("mount");
    NEEDS(
        shell("mkdir " + mount + " && mkfs.ext4 -q " + disk.path() + " && mount " + disk.path() + " " + mount).status ==
            0,
        "can't make an ext4");
    const std::string path = scratch_.path("recording");
    NEEDS(have("fio"), "fio is not installed");
    shell("cp /bin/dd " + scratch_.path("a-very-long-nam"));
    Tracer tracer({"block", "-A", "-d", disk.name(), "-o", "/dev/null", "--record", path});
    shell(scratch_.path("a-very-long-nam") + " if=/dev/zero of=" + mount + "/file bs=4k count=4 conv=fsync");
    shell("fio --name=x --filename=" + mount +
          "/file --size=16k --bs=4k --rw=write --ioengine=io_uring --force_async=1 " + "--overwrite=1 --end_fsync=1");
    EXPECT_EQ(tracer.stop().status, 0);
    shell("umount " + mount);
    const Records all(path);
    std::size_t authors = 0;
    for (const iolens_block_event* e : of_kind<iolens_block_event>(all, IOLENS_KIND_BLOCK)) {
        if (e->h.size < sizeof *e || e->target.authors == 0) continue;
        ++authors;
        const std::string_view name(reinterpret_cast<const char*>(static_cast<const u8*>(e->target.author_comm)),
                                    IOLENS_COMM_LEN);
        EXPECT_EQ(name.find_first_not_of('\0', name.find('\0')), std::string_view::npos) << name;
    }
    EXPECT_GT(authors, 1U);
}

/// Each command in the loop inherits the pipe as its standard input.
TEST_F(Recorded, ALoopOverRowsMakesNoRows) {
    const std::string rows = scratch_.path("rows");
    const std::string command = scratch_.path("row-command");
    spit(scratch_.path("loop"), "while read row; do " + command + " if=/dev/zero of=/dev/null count=1 2>/dev/null; " +
                                    "echo \"$row\" >>" + rows + "; done");
    // the header is a row, too: iolens is attached
    const Result r = shell("cp $(command -v dd) " + command + "; iolens fd --comm row-command -D 3 --format csv | sh " +
                           scratch_.path("loop") + " & until [ -s " + rows + " ]; do sleep 0.05; done; " + command +
                           " if=/dev/zero of=/dev/null count=1 2>/dev/null; wait");
    // rows of the command outside the loop, and none of those inside
    const std::size_t count = split(slurp(rows), '\n').size();
    EXPECT_GE(count, 2U) << r.err;
    EXPECT_LE(count, 40U) << slurp(rows).substr(0, 3000);
}

}  // namespace
}  // namespace iolens::test
