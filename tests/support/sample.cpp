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
    Recorder r(path, "block", "6.1.0-test", wall - first);
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
    // names that want to be more than names
    put(r, block_event(ts + 40, "a\nb\x1b[31m,\"x", IOLENS_OP_READ, 40, 512));
    put(r, block_event(ts + 50, "\xff\xfe n\xc3\xbc\xe2\x80\xae", IOLENS_OP_READ, 41, 512));
    e = block_event(ts + 60, "nameless disk", IOLENS_OP_READ, 48, 512);
    e.dev = 4095U << 20 | 7;
    put(r, e);
    // of a kind that isn't known yet, and an event of an older version that ended after `bytes`
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
              .stale = 0,
              .no_creator = 1,
              .fact_lost = 0};
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
    Recorder r(path, "fd", "6.1.0-test", wall - first);
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
    // a closed fd, a file whose name was never told, a thread of which nothing is known, a call that moves nothing
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

void write_operations_sample(const std::string& path) {
    constexpr u64 first = 1'000'000'000'000;
    constexpr u64 wall = 1'767'323'045'678'000'000;
    Recorder r(path, "fd", "6.1.0-test", wall - first);
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
    put(r, call_event(at += 10, 82, IOLENS_DIR_NONE, -1, 0));  // told before it began: of another call
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

}  // namespace iolens::test
