// SPDX-License-Identifier: Apache-2.0
#include "resolve/mappings.h"

#include <gtest/gtest.h>

#include "sample.h"

namespace iolens {
namespace {

// x86-64's numbers, which events carry on every architecture
constexpr u16 call_read = 0;
constexpr u16 call_mmap = 9;
constexpr u16 call_munmap = 11;
constexpr u16 call_msync = 26;
constexpr u16 call_execve = 59;

constexpr u64 page = 4096;

/// A call of process 7 on [address, address + length).
iolens_call_event range_call(u16 call, u64 address, u64 length, s64 result = 0) {
    iolens_call_event event = test::call_event(1, call, IOLENS_DIR_NONE, -1, result);
    event.tgid = 7;
    event.name_id = 0;
    event.ino = 0;
    event.dev = 0;
    event.generation = 0;
    event.file = IOLENS_FILE_NONE;
    event.offset = 0;
    event.flags = IOLENS_CALL_HAS_ADDRESS | IOLENS_CALL_HAS_REQUESTED;
    event.address = address;
    event.requested = length;
    return event;
}

/// mmap of a file. Its inode number is also its name id.
iolens_call_event map_file(u64 address, u64 length, u64 ino, u64 offset = 0) {
    iolens_call_event event = range_call(call_mmap, address, length);
    event.fd = 3;
    event.name_id = ino;
    event.ino = ino;
    event.dev = 8U << 20 | 1;
    event.generation = 5;
    event.file = IOLENS_FILE_REGULAR;
    event.offset = offset;
    return event;
}

/// The inode number of the file that is found for a call; 0 if there is none.
u64 file_of(Mappings& mappings, iolens_call_event event) {
    mappings.take(event);
    return event.ino;
}

u64 synced_file(Mappings& mappings, u64 address) { return file_of(mappings, range_call(call_msync, address, page)); }

void map(Mappings& mappings, iolens_call_event event) { mappings.take(event); }

TEST(Mappings, MsyncGetsTheMappedFileAndItsOffset) {
    Mappings mappings;
    map(mappings, map_file(0x10000, 4 * page, 42, 2 * page));
    iolens_call_event event = range_call(call_msync, 0x10000 + page, page);
    mappings.take(event);
    EXPECT_EQ(event.name_id, 42U);
    EXPECT_EQ(event.ino, 42U);
    EXPECT_EQ(event.dev, 8U << 20 | 1);
    EXPECT_EQ(event.generation, 5U);
    EXPECT_EQ(event.file, IOLENS_FILE_REGULAR);
    EXPECT_EQ(event.offset, 3 * page);
    EXPECT_NE(event.flags & IOLENS_CALL_HAS_OFFSET, 0);
}

TEST(Mappings, AddressesOutsideHaveNoFile) {
    Mappings mappings;
    EXPECT_EQ(synced_file(mappings, 0x10000), 0U);
    map(mappings, map_file(0x10000, 2 * page, 42));
    EXPECT_EQ(synced_file(mappings, 0x10000 - 1), 0U);
    EXPECT_EQ(synced_file(mappings, 0x10000), 42U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 2 * page - 1), 42U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 2 * page), 0U);

    iolens_call_event outside = range_call(call_msync, 0x10000 + 2 * page, page);
    mappings.take(outside);
    EXPECT_EQ(outside.flags & IOLENS_CALL_HAS_OFFSET, 0);
    EXPECT_EQ(outside.file, IOLENS_FILE_NONE);
}

TEST(Mappings, MunmapGetsTheFileAndRemovesTheMapping) {
    Mappings mappings;
    map(mappings, map_file(0x10000, page, 42));
    EXPECT_EQ(file_of(mappings, range_call(call_munmap, 0x10000, page)), 42U);
    EXPECT_EQ(file_of(mappings, range_call(call_munmap, 0x10000, page)), 0U);
}

TEST(Mappings, MunmapOfAPartLeavesTheRest) {
    Mappings mappings;
    map(mappings, map_file(0x10000, 5 * page, 42, 8 * page));
    EXPECT_EQ(file_of(mappings, range_call(call_munmap, 0x10000 + 2 * page, page)), 42U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + page), 42U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 2 * page), 0U);
    iolens_call_event behind = range_call(call_msync, 0x10000 + 4 * page, page);
    mappings.take(behind);
    EXPECT_EQ(behind.ino, 42U);
    EXPECT_EQ(behind.offset, 12 * page);
}

TEST(Mappings, MunmapRemovesAllMappingsOfItsRange) {
    Mappings mappings;
    map(mappings, map_file(0x10000, page, 42));
    map(mappings, map_file(0x10000 + page, page, 43));
    map(mappings, map_file(0x10000 + 3 * page, 2 * page, 44));
    // starts before the first mapping and ends inside the last one
    EXPECT_EQ(file_of(mappings, range_call(call_munmap, 0x10000 - page, 5 * page)), 0U);
    for (u64 n = 0; n < 4; ++n) EXPECT_EQ(synced_file(mappings, 0x10000 + n * page), 0U) << n;
    EXPECT_EQ(synced_file(mappings, 0x10000 + 4 * page), 44U);
}

TEST(Mappings, AMappingReplacesWhatWasThere) {
    Mappings mappings;
    // like the dynamic linker: first the whole library, then segments over it
    map(mappings, map_file(0x10000, 8 * page, 42));
    map(mappings, map_file(0x10000 + 2 * page, page, 43));
    EXPECT_EQ(synced_file(mappings, 0x10000 + page), 42U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 2 * page), 43U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 3 * page), 42U);
    map(mappings, map_file(0x10000, 8 * page, 44));
    EXPECT_EQ(synced_file(mappings, 0x10000 + 2 * page), 44U);
    // anonymous memory
    map(mappings, range_call(call_mmap, 0x10000 + 3 * page, page));
    EXPECT_EQ(synced_file(mappings, 0x10000 + 3 * page), 0U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 4 * page), 44U);
}

TEST(Mappings, CoverWholePages) {
    Mappings mappings;
    map(mappings, map_file(0x10000, page + 1, 42));
    EXPECT_EQ(synced_file(mappings, 0x10000 + 2 * page - 1), 42U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 2 * page), 0U);
    EXPECT_EQ(file_of(mappings, range_call(call_munmap, 0x10000, 1)), 42U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + 1), 0U);
    EXPECT_EQ(synced_file(mappings, 0x10000 + page), 42U);
}

TEST(Mappings, RangesOfDamagedRecordsAreHarmless) {
    Mappings mappings;
    map(mappings, map_file(0x10000, page, 42));
    map(mappings, map_file(0x20000, ~u64{0}, 43));
    map(mappings, map_file(~u64{0}, ~u64{0}, 44));
    map(mappings, map_file(0x30000, 0, 45));
    EXPECT_EQ(file_of(mappings, range_call(call_munmap, 0x10000, ~u64{0})), 42U);
    for (const u64 address : {u64{0x20000}, u64{0x30000}, ~u64{0}}) EXPECT_EQ(synced_file(mappings, address), 0U);
}

TEST(Mappings, FailedCallsChangeNothing) {
    Mappings mappings;
    iolens_call_event failed = map_file(0x10000, page, 42);
    failed.result = -12;
    map(mappings, failed);
    EXPECT_EQ(synced_file(mappings, 0x10000), 0U);

    map(mappings, map_file(0x10000, page, 42));
    EXPECT_EQ(file_of(mappings, range_call(call_munmap, 0x10000, page, -22)), 0U);
    EXPECT_EQ(file_of(mappings, range_call(call_execve, 0, 0, -2)), 0U);
    EXPECT_EQ(synced_file(mappings, 0x10000), 42U);
}

TEST(Mappings, OtherCallsAreLeftAlone) {
    Mappings mappings;
    map(mappings, map_file(0x10000, page, 42));
    EXPECT_EQ(file_of(mappings, range_call(call_read, 0x10000, page)), 0U);
    EXPECT_EQ(file_of(mappings, range_call(0xffff, 0x10000, page)), 0U);
}

TEST(Mappings, ArePerProcess) {
    Mappings mappings;
    iolens_call_event other = map_file(0x10000, page, 43);
    other.tgid = 8;
    map(mappings, other);
    EXPECT_EQ(synced_file(mappings, 0x10000), 0U);
    map(mappings, map_file(0x10000, page, 42));

    map(mappings, range_call(call_execve, 0, 0));
    EXPECT_EQ(synced_file(mappings, 0x10000), 0U);
    other = range_call(call_msync, 0x10000, page);
    other.tgid = 8;
    EXPECT_EQ(file_of(mappings, other), 43U);
    mappings.forget(8);
    EXPECT_EQ(file_of(mappings, other), 0U);
}

TEST(Mappings, ManyProcessesDoNotUseUnboundedMemory) {
    Mappings mappings;
    iolens_call_event event = map_file(0x10000, page, 42);
    constexpr u32 processes = (1 << 16) + 2;
    for (event.tgid = 1; event.tgid <= processes; ++event.tgid) map(mappings, event);
    iolens_call_event sync = range_call(call_msync, 0x10000, page);
    sync.tgid = 1;
    EXPECT_EQ(file_of(mappings, sync), 0U);
    sync.tgid = processes;
    EXPECT_EQ(file_of(mappings, sync), 42U);
}

}  // namespace
}  // namespace iolens
