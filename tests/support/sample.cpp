// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

#include <algorithm>
#include <cstring>

#include "iolens/event/operation.h"
#include "sink/recorder.h"

namespace iolens::test {
namespace {

template <typename Event>
void put(Recorder& recorder, const Event& event) {
    recorder.record(std::as_bytes(std::span(&event, 1)));
}

}  // namespace

iolens_disk_fact disk_fact(u32 major, u32 minor, const std::string& name) {
    iolens_disk_fact fact{};
    fact.h = {.ts = 1, .kind = IOLENS_KIND_DISK, .size = sizeof fact, .cpu = 0};
    fact.dev = major << 20 | minor;
    std::copy_n(name.data(), std::min<std::size_t>(name.size(), sizeof fact.name), static_cast<u8*>(fact.name));
    return fact;
}

iolens_block_event block_event(u64 ts, const std::string& comm, u8 op, u64 sector, u32 bytes) {
    iolens_block_event e{};
    e.h = {.ts = ts, .kind = IOLENS_KIND_BLOCK, .size = sizeof e, .cpu = 1};
    e.queue_ns = 12'345;
    e.device_ns = 1'234'567;
    e.sector = sector;
    e.cgroup_id = 42;
    e.dev = 8U << 20;
    e.bytes = bytes;
    e.tgid = 1234;
    e.tid = 1235;
    e.op = op;
    e.bios = 1;
    std::copy_n(comm.data(), std::min<std::size_t>(comm.size(), sizeof e.comm), static_cast<u8*>(e.comm));
    return e;
}

void write_sample(const std::string& path) {
    // 2026-01-02 03:04:05.678 UTC at the first event
    constexpr u64 first = 1'000'000'000'000;
    constexpr u64 wall = 1'767'323'045'678'000'000;
    Recorder r(path);
    r.begin("block", "6.1.0-test", wall - first);
    put(r, disk_fact(8, 0, "sda"));
    put(r, disk_fact(259, 3, "nvme0n1"));
    u64 ts = first;
    u64 sector = 2048;
    for (u8 op = 0; op < IOLENS_OP_COUNT; ++op) {
        iolens_block_event e = block_event(ts, "fio", op, sector, 4096);
        if (op == IOLENS_OP_FLUSH || op == IOLENS_OP_PASSTHROUGH) {
            e.flags = IOLENS_BLOCK_NO_SECTOR;
            e.sector = 0;
            e.bytes = 0;
        }
        put(r, e);
        ts += 1'000'250;
        sector += 8;
    }
    iolens_block_event e = block_event(ts, "postgres", IOLENS_OP_WRITE, 7'814'037'160, 1 << 20);
    e.dev = 259U << 20 | 3;
    e.flags = IOLENS_BLOCK_PREFLUSH | IOLENS_BLOCK_FUA | IOLENS_BLOCK_RAHEAD | IOLENS_BLOCK_SYNC | IOLENS_BLOCK_META;
    e.requeues = 3;
    e.bios = 17;
    e.device_ns = 98'765'432'109;
    put(r, e);
    e = block_event(ts + 10, "dd", IOLENS_OP_READ, 16, 4096);
    e.error = 5;
    put(r, e);
    e = block_event(ts + 20, "", IOLENS_OP_READ, 24, 512);
    e.flags = IOLENS_BLOCK_NO_CREATOR;
    put(r, e);
    e = block_event(ts + 30, "dd", IOLENS_OP_WRITE, 32, 512);
    e.flags = IOLENS_BLOCK_NO_ISSUE;
    e.error = 28;
    put(r, e);
    // with an unknown end, and still in flight
    e = block_event(ts + 32, "dd", IOLENS_OP_WRITE, 36, 512);
    e.flags = IOLENS_BLOCK_NO_END;
    put(r, e);
    e.flags = IOLENS_BLOCK_PENDING | IOLENS_BLOCK_NO_ISSUE;
    put(r, e);
    // hostile names
    put(r, block_event(ts + 40, "a\nb\x1b[31m,\"x", IOLENS_OP_READ, 40, 512));
    put(r, block_event(ts + 50, "\xff\xfe n\xc3\xbc\xe2\x80\xae", IOLENS_OP_READ, 41, 512));
    e = block_event(ts + 60, "nameless disk", IOLENS_OP_READ, 48, 512);
    e.dev = 4095U << 20 | 7;
    put(r, e);
    // targets: each kind and source; names that are known, dropped, hostile; authors
    r.record(file_fact(7, IOLENS_FILE_REGULAR, 0, {"data", "db"}));
    r.record(file_fact(8, IOLENS_FILE_REGULAR, IOLENS_FILE_DELETED, {"a\x1b[31m\nb", "tmp"}));
    for (u8 kind = 0; kind < IOLENS_TARGET_KINDS; ++kind) {
        e = block_event(ts + 61, "worker", IOLENS_OP_WRITE, 64, 512);
        e.target.kind = kind;
        e.target.id.dev = 259U << 20 | 3;
        if (kind == IOLENS_TARGET_FILE) {
            e.target.id.ino = 12;
            e.target.id.generation = 34;
            e.target.name_id = 7;
            e.target.source = IOLENS_TARGET_SOURCE_PAGE;
            e.target.authors = 1;
            e.target.author = 99;
            std::copy_n("postgres", 8, static_cast<u8*>(e.target.author_comm));
            put(r, e);
            e.target.name_id = 0;  // emitted before
            e.target.authors = 2;
            e.target.more = 1;
            put(r, e);
            e.target.name_id = 8;
            e.target.id.ino = 13;
            std::copy_n("\x1b[31mx\0", 8, static_cast<u8*>(e.target.author_comm));
            e.target.source = IOLENS_TARGET_SOURCE_URING;
            put(r, e);
            e.target = {};
            e.target.name_id = 9;
            e.target.id.ino = 14;
            e.target.id.dev = 8U << 20 | 1;
            e.target.kind = kind;
            e.target.source = IOLENS_TARGET_SOURCE_FS;
        }
        put(r, e);
    }
    // merged: extra targets with names, on two CPUs; those of a lost request; more than there is storage for
    e = block_event(ts + 62, "worker", IOLENS_OP_WRITE, 64, 64 << 10);
    e.target.kind = IOLENS_TARGET_FILE;
    e.target.id = {.ino = 12, .dev = 259U << 20 | 3, .generation = 34};
    e.target.name_id = 7;
    e.target.authors = 1;
    std::copy_n("postgres", 8, static_cast<u8*>(e.target.author_comm));
    e.target.more = 2;
    iolens_extra_targets extras{};
    extras.offset = offsetof(iolens_extra_targets, targets);
    extras.element_size = sizeof(iolens_extra_target);
    extras.h = {.ts = e.h.ts, .kind = IOLENS_KIND_EXTRA_TARGETS, .size = 0, .cpu = 7};
    extras.targets[0] = {.target = e.target, .bytes = 8 << 10};
    extras.targets[0].target.id.ino = 13;
    extras.targets[0].target.name_id = 8;
    extras.targets[1].target.kind = IOLENS_TARGET_METADATA;
    extras.targets[1].bytes = 4 << 10;
    extras.h.size = offsetof(iolens_extra_targets, targets) + 2 * sizeof(iolens_extra_target);
    const auto sent = [&] { r.record(std::as_bytes(std::span(&extras, 1)).first(extras.h.size)); };
    sent();
    extras.h.cpu = e.h.cpu;
    extras.targets[0].bytes = 12 << 10;
    sent();
    put(r, e);
    put(r, e);
    e.h.ts += 1;
    e.target.more = 70;
    extras.h.ts = e.h.ts;
    extras.h.size = sizeof extras;
    extras.others = 6 << 10;
    for (u64 i = 0; i < IOLENS_EXTRA_TARGETS; ++i) {
        extras.targets[i].target = e.target;
        extras.targets[i].target.id.ino = 100 + i;
        extras.targets[i].target.name_id = 0;
        extras.targets[i].target.authors = 0;
        extras.targets[i].bytes = 512;
    }
    sent();
    put(r, e);
    // of an unknown kind, and an event of an older version that ended after `bytes`
    iolens_header unknown{.ts = ts + 70, .kind = 999, .size = sizeof unknown, .cpu = 0};
    put(r, unknown);
    e = block_event(ts + 80, "old", IOLENS_OP_WRITE, 56, 512);
    e.h.size = offsetof(iolens_block_event, tgid);
    r.record(std::as_bytes(std::span(&e, 1)).first(e.h.size));
    iolens_loss loss{};
    loss.h = {.ts = ts + 90, .kind = IOLENS_KIND_LOSS, .size = sizeof loss, .cpu = 0};
    loss.n = {.seen = 40,
              .delivered = 23,
              .filtered = 10,
              .ring_full = 4,
              .orphan = 3,
              .state_full = 2,
              .no_end = 0,
              .no_creator = 1,
              .fact_lost = 0,
              .in_flight = 1,
              .requests_full = 0,
              .libc_full = 0,
              .frames_full = 0,
              .not_decoded = 0,
              .own = 0,
              .not_followed = 0,
              .ambiguous = 0,
              .unmatched = 0};
    put(r, loss);
    r.finish();
}

iolens_task_fact task_fact(u32 tid, const std::string& comm) {
    iolens_task_fact fact{};
    fact.h = {.ts = 1, .kind = IOLENS_KIND_TASK, .size = sizeof fact, .cpu = 0};
    fact.cgroup_id = 4242;
    fact.tgid = 1000;
    fact.tid = tid;
    fact.uid = 33;
    std::copy_n(comm.data(), std::min<std::size_t>(comm.size(), sizeof fact.comm), static_cast<u8*>(fact.comm));
    return fact;
}

iolens_call_event call_event(u64 start, u16 call, u8 direction, s32 fd, s64 result) {
    iolens_call_event e{};
    e.h = {.ts = start + 12'345, .kind = IOLENS_KIND_CALL, .size = sizeof e, .cpu = 1};
    e.start = start;
    e.tgid = 1000;
    e.tid = 1001;
    e.call = call;
    e.direction = direction;
    e.fd = fd;
    e.result = result;
    return e;
}

std::vector<std::byte> file_fact(u64 name_id, u16 kind, u16 flags, const std::vector<std::string>& names) {
    std::string path;
    for (const std::string& name : names) path += name + '\0';
    iolens_file_fact fact{};
    fact.length = static_cast<u16>(path.size());
    path.resize((path.size() + 7) / 8 * 8);
    fact.h = {.ts = 1, .kind = IOLENS_KIND_FILE, .size = static_cast<u16>(sizeof fact + path.size()), .cpu = 0};
    fact.name_id = name_id;
    fact.kind = kind;
    fact.flags = flags;
    std::vector<std::byte> record(fact.h.size);
    std::memcpy(record.data(), &fact, sizeof fact);
    std::memcpy(record.data() + sizeof fact, path.data(), path.size());
    return record;
}

void write_fd_sample(const std::string& path) {
    // 2026-01-02 03:04:05.678 UTC at the first call
    constexpr u64 first = 1'000'000'000'000;
    constexpr u64 wall = 1'767'323'045'678'000'000;
    constexpr u16 read = 0;
    constexpr u16 write = 1;
    Recorder r(path);
    r.begin("fd", "6.1.0-test", wall - first);
    put(r, task_fact(1001, "worker,\x1b[1m"));
    u64 at = first;
    u64 id = 100;
    const auto on_file = [&](u16 kind, u16 flags, const std::vector<std::string>& names) {
        r.record(file_fact(++id, kind, flags, names));
        iolens_call_event e = call_event(at += 1'000'001, read, IOLENS_DIR_READ, 3, 4096);
        e.name_id = id;
        e.file = static_cast<u8>(kind);
        e.dev = 8U << 20 | 1;
        e.ino = id * 10;
        e.requested = 8192;
        e.offset = 65536;
        e.flags = IOLENS_CALL_HAS_OFFSET | IOLENS_CALL_HAS_REQUESTED;
        put(r, e);
    };
    on_file(IOLENS_FILE_REGULAR, 0, {"hosts", "etc"});
    on_file(IOLENS_FILE_REGULAR, 0, {"a \"b\",\n\x1b[31m\xff", "tmp"});
    on_file(IOLENS_FILE_REGULAR, IOLENS_FILE_DELETED, {"gone", "tmp"});
    on_file(IOLENS_FILE_REGULAR, IOLENS_FILE_CUT, {"deep", "down"});
    on_file(IOLENS_FILE_REGULAR, IOLENS_FILE_PSEUDO, {"memfd:x"});
    on_file(IOLENS_FILE_DIRECTORY, 0, {});
    on_file(IOLENS_FILE_ANON, IOLENS_FILE_PSEUDO, {"[eventfd]"});
    on_file(IOLENS_FILE_SOCKET, IOLENS_FILE_PSEUDO, {"/run/x.sock"});
    iolens_call_event e = call_event(at += 10, write, IOLENS_DIR_WRITE, 1, 7);
    e.file = IOLENS_FILE_PIPE;
    e.ino = 77;
    put(r, e);
    e = call_event(at += 10, write, IOLENS_DIR_WRITE, 5, 512);
    e.file = IOLENS_FILE_SOCKET;
    e.flags = IOLENS_CALL_HAS_PEER | IOLENS_CALL_STREAM;
    e.family = 2;
    e.port = 443;
    e.local_port = 50000;
    for (u8 i = 0; i < 4; ++i) e.peer[i] = static_cast<u8>(10 + i);
    put(r, e);
    e.h.ts += 5;
    e.family = 10;
    for (u8 i = 0; i < 16; ++i) e.peer[i] = i;
    put(r, e);
    e.flags = IOLENS_CALL_DATAGRAM;
    put(r, e);
    // a closed fd, a file without a name, an unknown thread, a call that moves no bytes
    put(r, call_event(at += 10, read, IOLENS_DIR_READ, 9, -9));
    e = call_event(at += 10, read, IOLENS_DIR_READ, 4, 0);
    e.file = IOLENS_FILE_REGULAR;
    e.name_id = 1;
    put(r, e);
    e = call_event(at += 10, write, IOLENS_DIR_WRITE, 2, 3);
    e.tid = 5;
    e.file = IOLENS_FILE_PIPE;
    put(r, e);
    put(r, call_event(at += 10, 3, IOLENS_DIR_NONE, 3, 0));
    iolens_loss loss{};
    loss.h = {.ts = at, .kind = IOLENS_KIND_LOSS, .size = sizeof loss, .cpu = 0};
    loss.n.seen = 21;
    loss.n.delivered = 16;
    loss.n.ring_full = 5;
    put(r, loss);
    r.finish();
}

void write_why_sample(const std::string& path) {
    Recorder r(path);
    r.begin("fd", "6.12.0-sample", 1'767'323'045'678'000'000 - 1'000'000'000'000);
    const u64 base = 1'000'000'000'000;
    const auto symbol = [&](u64 start, u64 end, const std::string& name) {
        iolens_symbol_fact fact{};
        fact.h = {.ts = 0, .kind = IOLENS_KIND_SYMBOL, .size = sizeof fact, .cpu = 0};
        fact.start = start;
        fact.end = end;
        std::copy_n(name.data(), name.size(), static_cast<u8*>(fact.name));
        put(r, fact);
    };
    symbol(0x1000, 0x1100, "io_schedule");
    symbol(0x2000, 0x2100, "folio_wait_writeback");
    symbol(0x3000, 0x3100, "jbd2_log_wait_commit");
    symbol(0x4000, 0x4100, "no function of the table's");
    symbol(0x5000, 0x5100, "filemap_fault");
    symbol(0x6000, 0x6100, "handle_mm_fault");
    symbol(0x7000, 0x7100, "do_syscall_64");
    put(r, disk_fact(8, 0, "sda"));
    put(r, task_fact(1001, "w\x1b[31mriter"));
    r.record(file_fact(5, IOLENS_FILE_REGULAR, 0, {"da\nta", "db"}));
    r.record(file_fact(6, IOLENS_FILE_REGULAR, 0, {"other", "db"}));
    const iolens_file_id mine{.ino = 12, .dev = 8U << 20 | 1, .generation = 3};
    const auto wait = [&](u64 start, u64 woken, u64 end, std::initializer_list<u64> frames) {
        iolens_wait_event w{};
        w.h = {.ts = base + end, .kind = IOLENS_KIND_WAIT, .size = sizeof w, .cpu = 0};
        w.start = base + start;
        w.woken = woken == 0 ? 0 : base + woken;
        w.tid = 1001;
        w.tgid = 1000;
        w.shown_tid = w.tid;
        w.shown_tgid = w.tgid;
        std::ranges::copy(frames, static_cast<u64*>(w.frames));
        put(r, w);
    };
    const auto request = [&](u64 created, u64 issued, u64 end, u32 tid, const std::string& comm, u8 kind) {
        iolens_block_event e = block_event(base + end, comm, IOLENS_OP_WRITE, 4096 + created / 1000, 8192);
        e.queue_ns = issued - created;
        e.device_ns = end - issued;
        e.tid = tid;
        e.tgid = tid;
        e.target.kind = kind;
        return e;
    };
    wait(1'000'000, 2'000'000, 2'500'000, {0x4050, 0x1010, 0x2010, 0x3010});  // maximum stack depth
    wait(3'000'000, 3'000'000, 3'250'000, {0x1010});                          // the CPU was busy
    wait(4'000'000, 0, 6'000'000, {0x9999, 0x3100, 0});                       // the wakeup was not seen
    wait(6'500'000, 7'500'000, 7'600'000, {0x9999});                          // in no known function
    wait(8'000'000, 9'000'000, 9'500'000, {0x1020, 0x9999});                  // a vague reason
    iolens_block_event own = request(500'000, 700'000, 2'000'000, 1001, "writer", IOLENS_TARGET_FILE);
    own.target.id = mine;
    own.target.name_id = 5;
    put(r, own);
    iolens_block_event merged = request(600'000, 800'000, 2'100'000, 77, "kworker/0:1", IOLENS_TARGET_FILE);
    merged.target.id = {.ino = 13, .dev = mine.dev, .generation = 1};
    merged.target.name_id = 6;
    merged.target.authors = 2;
    merged.target.author = 4321;
    std::copy_n("aut\"hor", 7, static_cast<u8*>(merged.target.author_comm));
    merged.target.more = 1;
    iolens_extra_targets extras{};
    extras.h = {.ts = merged.h.ts,
                .kind = IOLENS_KIND_EXTRA_TARGETS,
                .size = offsetof(iolens_extra_targets, targets) + sizeof(iolens_extra_target),
                .cpu = merged.h.cpu};
    extras.offset = offsetof(iolens_extra_targets, targets);
    extras.element_size = sizeof(iolens_extra_target);
    extras.targets[0].target.kind = IOLENS_TARGET_FILE;
    extras.targets[0].target.id = mine;
    extras.targets[0].target.name_id = 5;
    extras.targets[0].bytes = 4096;
    r.record(std::as_bytes(std::span(&extras, 1)).first(extras.h.size));
    put(r, merged);
    put(r, request(700'000, 900'000, 5'000'000, 78, "jbd2/sda1-8", IOLENS_TARGET_JOURNAL));
    iolens_block_event back = request(3'000'000, 3'000'000, 5'500'000, 0, "", IOLENS_TARGET_FILE);
    back.flags |= IOLENS_BLOCK_NO_CREATOR;
    back.target.id = mine;
    put(r, back);
    iolens_call_event call = call_event(base + 400'000, 74, IOLENS_DIR_NONE, 3, 0);  // fsync
    call.h.ts = base + 10'000'000;
    call.name_id = 5;
    call.ino = mine.ino;
    call.dev = mine.dev;
    call.generation = mine.generation;
    call.file = IOLENS_FILE_REGULAR;
    put(r, call);
    // requests of other files, or later ones, are unrelated
    iolens_block_event later = request(9'000'000, 9'100'000, 30'000'000, 79, "later", IOLENS_TARGET_FILE);
    later.target.id = {.ino = 99, .dev = mine.dev, .generation = 1};
    put(r, later);
    iolens_call_event idle = call_event(base + 40'000'000, 0, IOLENS_DIR_READ, 3, 4096);
    idle.h.ts = base + 42'000'000;
    idle.name_id = 6;
    idle.file = IOLENS_FILE_REGULAR;
    put(r, idle);
    // a page fault; one in a system call is part of that
    iolens_block_event cold = request(49'000'000, 49'100'000, 53'000'000, 1001, "writer", IOLENS_TARGET_FILE);
    cold.op = IOLENS_OP_READ;
    cold.target.id = mine;
    cold.target.name_id = 5;
    put(r, cold);
    wait(50'000'000, 53'000'000, 53'100'000, {0x1010, 0x5010, 0x6010, 0x9999});
    wait(60'000'000, 63'000'000, 63'100'000, {0x1010, 0x5010, 0x6010, 0x7010});
    r.finish();
}

void write_operations_sample(const std::string& path) {
    constexpr u64 first = 1'000'000'000'000;
    constexpr u64 wall = 1'767'323'045'678'000'000;
    Recorder r(path);
    r.begin("fd", "6.1.0-test", wall - first);
    put(r, task_fact(1001, "worker,\x1b[1m"));
    u64 at = first;
    const auto operation = [&](u8 op, s32 fd, s32 error, const std::string& one, const std::string& two = {},
                               u8 layer = IOLENS_LAYER_KERNEL, u64 bytes = 0) {
        iolens_operation_event e{};
        const std::size_t size = (sizeof e + one.size() + two.size() + 8) / 8 * 8;
        at += 1'000'000;
        e.h = {.ts = at + 224'000, .kind = IOLENS_KIND_OPERATION, .size = static_cast<u16>(size), .cpu = 0};
        e.start = at;
        e.bytes = bytes;
        e.tgid = 1000;
        e.tid = 1001;
        e.ppid = 999;
        e.error = error;
        e.fd = fd;
        e.call = 0xffff;
        e.op = op;
        e.layer = layer;
        e.length1 = static_cast<u16>(one.size());
        e.length2 = static_cast<u16>(two.size());
        std::vector<std::byte> record(size);
        std::memcpy(record.data(), &e, sizeof e);
        std::memcpy(record.data() + sizeof e, one.data(), one.size());
        std::memcpy(record.data() + sizeof e + one.size(), two.data(), two.size());
        r.record(record);
    };
    const auto given = [&](u16 call, const std::vector<std::string>& texts, unsigned which, u64 value = 0) {
        iolens_arguments a{};
        std::string all;
        for (const std::string& text : texts) all += text + '\0';
        all.resize((all.size() + 7) / 8 * 8);
        a.h = {.ts = at, .kind = IOLENS_KIND_ARGUMENTS, .size = static_cast<u16>(sizeof a + all.size()), .cpu = 0};
        a.values[0] = value;
        a.tid = 1001;
        a.call = call;
        a.texts = static_cast<u8>(which);
        std::vector<std::byte> record(a.h.size);
        std::memcpy(record.data(), &a, sizeof a);
        std::memcpy(record.data() + sizeof a, all.data(), all.size());
        r.record(record);
    };
    operation(IOLENS_OPERATION_START, 0, 0, std::string("sh\0-c\0echo \"a,b\"\0", 17));
    operation(IOLENS_OPERATION_CHDIR, -1, 0, "/home/x");
    at += 1'000'000;
    given(257, {"/tmp/a \x1b[31m\n,\"b\""}, 2);
    put(r, call_event(at, 257, IOLENS_DIR_NONE, 3, 3));
    put(r, call_event(at += 10, 1, IOLENS_DIR_WRITE, 3, 4));
    put(r, call_event(at += 10, 0, IOLENS_DIR_READ, 99, -9));
    given(82, {"/old", "/new"}, 3);
    put(r,
        call_event(at += 10, 82, IOLENS_DIR_NONE, -1, 0));  // emitted before the call started: belongs to another call
    at += 10;
    given(82, {"/old", "/new"}, 3);
    put(r, call_event(at, 82, IOLENS_DIR_NONE, -1, -2));
    at += 10;
    given(257, {"."}, 2);
    put(r, call_event(at, 257, IOLENS_DIR_NONE, 3, 3));
    at += 10;
    given(32, {}, 0, 3);
    put(r, call_event(at, 32, IOLENS_DIR_NONE, 8, 8));
    operation(IOLENS_OPERATION_OPEN, 4, 0, "/tmp/f", "w", IOLENS_LAYER_LIBC);
    operation(IOLENS_OPERATION_OPEN, -1, IOLENS_ERROR_UNKNOWN, "/tmp/none", "r", IOLENS_LAYER_LIBC);
    operation(IOLENS_OPERATION_WRITE, 4, 0, "", "", IOLENS_LAYER_LIBC, 1'234'567'890);
    operation(IOLENS_OPERATION_HTTP_REQ_SEND, 5, 0, "GET /x HTTP/1.1\r\nHost: \x1b]0;y\x07");
    operation(IOLENS_OPERATION_HTTP_RESP_RECV, 5, 0, "HTTP/1.1 404 Not Found\r\n");
    operation(IOLENS_OPERATION_DIRFD, 7, 0, "", "", IOLENS_LAYER_LIBC);
    operation(IOLENS_OPERATION_STOP, 0, 0, "");
    operation(200, 0, 0, "of a later version");
    r.finish();
}

void write_file_sample(const std::string& path) {
    constexpr u64 first = 1'000'000'000'000;
    constexpr u64 wall = 1'767'323'045'678'000'000;
    Recorder r(path);
    r.begin("file", "6.1.0-test", wall - first);
    const iolens_file_id id{.ino = 12, .dev = 8U << 20 | 1, .generation = 99};
    const auto name = [&](u64 name_id, const std::vector<std::string>& names, u16 flags = 0) {
        r.record(file_fact(name_id, IOLENS_FILE_REGULAR, flags, names));
    };
    put(r, disk_fact(8, 0, "sda"));
    name(1, {"data", "srv"});
    iolens_watch_fact fact{};
    fact.h = {.ts = 0, .kind = IOLENS_KIND_WATCH, .size = sizeof fact, .cpu = 0};
    fact.id = id;
    fact.name_id = 1;
    put(r, fact);
    u64 at = first;
    const auto access = [&](u8 level, u8 op, u64 address, u64 bytes, s64 result) {
        iolens_vfs_event e{};
        at += 1'000'000;
        e.h = {.ts = at + 250'000, .kind = IOLENS_KIND_VFS, .size = sizeof e, .cpu = 1};
        e.start = at;
        e.id = id;
        e.address = address;
        e.requested = bytes;
        e.result = result;
        e.cgroup_id = 7;
        e.tgid = 1000;
        e.tid = 1001;
        e.level = level;
        e.op = op;
        constexpr std::string_view comm = "wri;ter\x1b";
        comm.copy(reinterpret_cast<char*>(static_cast<u8*>(e.comm)), IOLENS_COMM_LEN - 1);
        if (level == IOLENS_LEVEL_BLK) {
            e.first_sector = 2048;
            e.disk = 8U << 20;
        } else {
            e.name_id = 1;
        }
        return e;
    };
    put(r, access(IOLENS_LEVEL_BLK, IOLENS_VFS_READ, 2048 + 1024, 65536, 65536));
    put(r, access(IOLENS_LEVEL_VFS, IOLENS_VFS_READ, 0, 4096, 4096));
    put(r, access(IOLENS_LEVEL_VFS, IOLENS_VFS_READ, 4096, 4096, 4096));
    put(r, access(IOLENS_LEVEL_VFS, IOLENS_VFS_READ, 1'000'000, 4096, 576));
    put(r, access(IOLENS_LEVEL_VFS, IOLENS_VFS_WRITE, 8192, 100, -28));
    name(2, {"second \x1b[31mname\n", "srv"}, IOLENS_FILE_DELETED);
    iolens_vfs_event e = access(IOLENS_LEVEL_VFS, IOLENS_VFS_WRITE, 8192, 100, 100);
    e.name_id = 2;
    e.flags = IOLENS_VFS_ASYNC;
    put(r, e);
    put(r, access(IOLENS_LEVEL_BLK, IOLENS_VFS_WRITE, 2048 + 1040, 4096, 4096));  // by the last name
    e = access(IOLENS_LEVEL_VFS, IOLENS_VFS_FSYNC, 0, 0, 0);
    e.flags = IOLENS_VFS_NO_ADDRESS;
    put(r, e);
    e = access(IOLENS_LEVEL_VFS, IOLENS_VFS_FAULT, 12288, 4096, 0);
    e.flags = IOLENS_VFS_STORE;
    put(r, e);
    e = access(IOLENS_LEVEL_VFS, IOLENS_VFS_FAULT, 16384, 4096, 0);
    e.flags = IOLENS_VFS_NO_END;
    put(r, e);
    put(r, access(IOLENS_LEVEL_VFS, IOLENS_VFS_DISCARD, 0, 1 << 20, 0));
    put(r, access(IOLENS_LEVEL_BLK, IOLENS_VFS_READ, 2048, 512, -5));
    e = access(IOLENS_LEVEL_BLK, IOLENS_VFS_READ, 2049, 512, 512);
    e.id.ino = 13;
    e.comm[0] = 0;
    put(r, e);
    // system calls as a fallback
    put(r, task_fact(1001, "cal\nler"));
    iolens_call_event call = call_event(at += 1'000'000, 17, IOLENS_DIR_READ, 3, 512);
    call.file = IOLENS_FILE_REGULAR;
    call.ino = id.ino;
    call.dev = id.dev;
    call.generation = id.generation;
    call.name_id = 1;
    call.offset = 2048;
    call.requested = 1000;
    call.flags = IOLENS_CALL_HAS_OFFSET | IOLENS_CALL_HAS_REQUESTED;
    put(r, call);
    call = call_event(at += 1'000'000, 74, IOLENS_DIR_NONE, 3, 0);
    call.ino = id.ino;
    call.dev = id.dev;
    call.generation = id.generation;
    call.name_id = 1;
    put(r, call);
    iolens_loss loss{};
    loss.h = {.ts = at, .kind = IOLENS_KIND_LOSS, .size = sizeof loss, .cpu = 0};
    loss.n.seen = 24;
    loss.n.delivered = 15;
    loss.n.filtered = 4;
    loss.n.ring_full = 3;
    loss.n.orphan = 3;
    loss.n.state_full = 2;
    loss.n.no_end = 1;
    loss.missed = 2;
    put(r, loss);
    r.finish();
}

}  // namespace iolens::test
