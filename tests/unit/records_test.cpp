// SPDX-License-Identifier: Apache-2.0
// Records of other versions, and malformed records.
#include <gtest/gtest.h>

#include <limits>

#include "base/decode.h"
#include "lens/lens.h"
#include "sample.h"
#include "sink/needs.h"

namespace iolens {
namespace {

/// Overwrites the stack, so that dangling pointers to it don't point to valid data by chance.
[[gnu::noinline]] void clobber_stack() {
    std::array<char, 4096> bytes;
    std::memset(bytes.data(), 'x', bytes.size());
    asm volatile("" : : "r"(bytes.data()) : "memory");
}

std::unique_ptr<Lens> make_lens(std::string_view name) {
    for (auto& lens : make_lenses()) {
        if (lens->info().name == name) return std::move(lens);
    }
    return nullptr;
}

/// A record, 8-byte aligned, of the first `size` bytes of an event.
template <typename Event>
std::vector<u64> record_of(const Event& event, std::size_t size) {
    std::vector<u64> words(size / 8);
    std::memcpy(words.data(), &event, size);
    reinterpret_cast<iolens_header*>(words.data())->size = static_cast<u16>(size);
    return words;
}

/// A row with all columns of a lens, one text per cell; first the result of take().
std::vector<std::string> row_of(std::string_view name, const std::vector<u64>& record, ViewOptions view = {}) {
    const std::unique_ptr<Lens> lens = make_lens(name);
    view.replayed = true;
    view.format = json_format;
    for (const Column& column : lens->info().row_types.front().columns) view.columns.emplace_back(column.name);
    const std::vector<const Column*> columns = lens->prepare(view).columns;
    RowBuffer row;
    lens->select(columns);
    const DecodeResult taken = lens->take(*reinterpret_cast<const iolens_header*>(record.data()), row);
    clobber_stack();
    std::vector<std::string> cells{std::to_string(static_cast<int>(taken))};
    for (const Value& value : row.values) {
        cells.push_back(value.kind() == Value::Kind::number ? std::to_string(value.number())
                                                            : std::string(value.text()));
    }
    return cells;
}

template <typename Event>
void expect_older_versions_are_read(std::string_view lens, const Event& event, std::size_t min) {
    for (std::size_t size = min; size <= sizeof event; size += 8) {
        SCOPED_TRACE(size);
        Event zeroed{};
        std::memcpy(static_cast<void*>(&zeroed), &event, size);
        EXPECT_EQ(row_of(lens, record_of(event, size)), row_of(lens, record_of(zeroed, sizeof zeroed)));
    }
}

TEST(Records, AnOlderVersionsRecordIsReadAsItWroteIt) {
    iolens_block_event request = test::block_event(1'000, "0123456789abcde", IOLENS_OP_WRITE, 8, 4096);
    request.target.kind = IOLENS_TARGET_FILE;
    request.target.authors = 1;
    request.target.author = 7;
    std::ranges::fill(request.target.author_comm, u8{'a'});
    expect_older_versions_are_read("block", request, sizeof(iolens_header));

    iolens_call_event call = test::call_event(1'000, 0, IOLENS_DIR_READ, 3, 512);
    call.file = IOLENS_FILE_SOCKET;
    call.flags = IOLENS_CALL_HAS_PEER | IOLENS_CALL_HAS_LOCAL;
    call.family = 2;
    expect_older_versions_are_read("fd", call, sizeof(iolens_header));
    call.direction = IOLENS_DIR_NONE;
    expect_older_versions_are_read("fd", call, sizeof(iolens_header));

    iolens_vfs_event access{};
    access.h = {.ts = 2'000, .kind = IOLENS_KIND_VFS, .size = sizeof access, .cpu = 0};
    access.start = 1'000;
    access.op = IOLENS_VFS_WRITE;
    std::ranges::fill(access.comm, u8{'a'});
    expect_older_versions_are_read("file", access, sizeof(iolens_header));
}

TEST(Records, OnlyAShortOneIsCopied) {
    Decoder decoder;
    const iolens_disk_fact fact = test::disk_fact(8, 0, "sda");
    EXPECT_EQ(decoder.as<iolens_disk_fact>(fact.h, IOLENS_KIND_DISK), &fact);
    EXPECT_EQ(decoder.as<iolens_disk_fact>(fact.h, IOLENS_KIND_TASK), nullptr);
    const std::vector<u64> record = record_of(fact, sizeof fact - 8);
    const auto* copy =
        decoder.as<iolens_disk_fact>(reinterpret_cast<const iolens_header&>(record[0]), IOLENS_KIND_DISK);
    ASSERT_NE(copy, nullptr);
    EXPECT_EQ(copy->dev, fact.dev);
    EXPECT_EQ(text_of(copy->name), "sda");
    EXPECT_GE(reinterpret_cast<const std::byte*>(copy), reinterpret_cast<const std::byte*>(&decoder));
    EXPECT_LT(reinterpret_cast<const std::byte*>(copy), reinterpret_cast<const std::byte*>(&decoder + 1));
}

TEST(Records, OperationsOfALaterVersionAreUnknown) {
    iolens_vfs_event access{};
    access.h = {.ts = 2'000, .kind = IOLENS_KIND_VFS, .size = sizeof access, .cpu = 0};
    ViewOptions reads;
    reads.ops = {"read"};
    const std::string row = std::to_string(static_cast<int>(DecodeResult::row));
    const std::string unknown = std::to_string(static_cast<int>(DecodeResult::unknown));
    EXPECT_EQ(row_of("file", record_of(access, sizeof access), reads).at(0), row);
    for (const u8 op : {u8{IOLENS_VFS_OPS}, u8{32}, u8{255}}) {
        access.op = op;
        EXPECT_EQ(row_of("file", record_of(access, sizeof access), reads).at(0), unknown);
        EXPECT_EQ(row_of("file", record_of(access, sizeof access)).at(0), unknown);
    }
    access.op = IOLENS_VFS_READ;
    access.level = IOLENS_LEVELS;
    EXPECT_EQ(row_of("file", record_of(access, sizeof access)).at(0), unknown);
    // the block lens has a name for them
    iolens_block_event request = test::block_event(1'000, "dd", 255, 8, 4096);
    EXPECT_EQ(row_of("block", record_of(request, sizeof request)).at(0), row);
    EXPECT_EQ(row_of("block", record_of(request, sizeof request), reads).at(0),
              std::to_string(static_cast<int>(DecodeResult::nothing)));
}

TEST(Records, EveryNumberIsAnErrno) {
    constexpr s64 lowest = std::numeric_limits<s64>::min();
    EXPECT_EQ(negated(-5), 5U);
    EXPECT_EQ(negated(lowest), u64{1} << 63);
    EXPECT_EQ(signed_of(Value::signed_number(-5)), -5);
    EXPECT_EQ(signed_of(Value::signed_number(lowest)), lowest);
    EXPECT_EQ(row_of("fd", record_of(test::call_event(1'000, 0, IOLENS_DIR_READ, 3, lowest), sizeof(iolens_call_event)))
                  .at(0),
              std::to_string(static_cast<int>(DecodeResult::row)));
}

}  // namespace
}  // namespace iolens
