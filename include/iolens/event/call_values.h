/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of a call's columns that are computed from its event. Included by call.h. */
#ifndef IOLENS_EVENT_CALL_VALUES_H
#define IOLENS_EVENT_CALL_VALUES_H

#ifdef __cplusplus
#include "iolens/schema.h"

namespace iolens {

inline const iolens_call_event& as_call(const iolens_header& h) {
    return reinterpret_cast<const iolens_call_event&>(h);
}

/// IDs in the initial pid namespace, which also distinguish tasks outside of ours.
inline u32 host_tgid(const iolens_call_event& e) { return e.host_tid != 0 ? e.host_tgid : e.tgid; }
inline u32 host_tid(const iolens_call_event& e) { return e.host_tid != 0 ? e.host_tid : e.tid; }
/// An ID; null for an imported log without IDs.
inline Value call_task_id(const iolens_call_event& e, u32 id) {
    return host_tid(e) != 0 ? Value(u64{id}) : Value();
}

inline constexpr u32 no_end = u32{IOLENS_CALL_NO_TIME} | u32{IOLENS_CALL_NO_DURATION};
inline Value call_start(const iolens_call_event& e) {
    return (e.flags & IOLENS_CALL_NO_TIME) != 0 ? Value() : Value(e.start);
}
inline Value call_duration(const iolens_call_event& e) {
    return (e.flags & IOLENS_CALL_NO_DURATION) != 0 ? Value() : Value(e.h.ts - e.start);
}
/// An imported log has no inodes.
inline bool call_has_file(const iolens_call_event& e) {
    return e.file != IOLENS_FILE_NONE && (e.ino != 0 || e.dev != 0);
}
/// Not true for the addresses of unix and netlink sockets.
inline bool call_has_port(const iolens_call_event& e) {
    constexpr u16 unix = 1;
    constexpr u16 netlink = 16;
    return e.family != unix && e.family != netlink;
}
/// True if the return of the call was not seen: it has neither a result nor a duration.
inline bool call_is_unended(const iolens_call_event& e) {
    constexpr u32 both = u32{IOLENS_CALL_NO_RESULT} | u32{IOLENS_CALL_NO_DURATION};
    return (e.flags & both) == both;
}
/// Duration; 0 if unknown.
inline u64 call_time_ns(const iolens_call_event& e) {
    return (e.flags & IOLENS_CALL_NO_DURATION) != 0 ? 0 : e.h.ts - e.start;
}
/// recvfrom, recvmsg or recvmmsg, by its x86-64 number
inline bool call_receives(u16 call) { return call == 45 || call == 47 || call == 299; }
/// sendmmsg or recvmmsg
inline bool call_counts_messages(u16 call) { return call == 299 || call == 307; }
/// Bytes transferred: none by MSG_PEEK, which leaves the data in the socket, and with MSG_TRUNC those that fit in the
/// buffer, although the call returns the length of the whole datagram.
inline Value call_bytes(const iolens_call_event& e) {
    constexpr u64 peek = 0x2;
    constexpr u64 whole = 0x20;
    const bool none = e.direction == IOLENS_DIR_NONE || e.result < 0 || (e.flags & IOLENS_CALL_NO_RESULT) != 0;
    if (none) return {};
    const auto bytes = static_cast<u64>(e.result);
    if (!call_receives(e.call) || (e.flags & IOLENS_CALL_HAS_ASKED) == 0 || (e.asked & (peek | whole)) == 0) {
        return Value(bytes);
    }
    if ((e.asked & peek) != 0) return Value(u64{0});
    // recvmmsg: the buffers were not added up
    if ((e.flags & IOLENS_CALL_HAS_REQUESTED) == 0) return {};
    return Value(bytes < e.requested ? bytes : e.requested);
}
/// What the call returned; -1 on error.
inline Value call_result(const iolens_call_event& e) {
    if ((e.flags & IOLENS_CALL_NO_RESULT) != 0) return {};
    if (e.result < 0) return Value::signed_number(-1);
    if (call_counts_messages(e.call)) {
        // older recordings have no number of messages
        return e.messages != 0 || e.result == 0 ? Value(u64{e.messages}) : Value();
    }
    const Value result(static_cast<u64>(e.result));
    switch (e.call) {  // addresses of mmap, brk, mremap and shmat, and umask's mode
        case 9:
        case 12:
        case 25:
        case 30: return result.in_base(16);
        case 95: return result.in_base(8);
        default: return result;
    }
}
inline Value call_direction(const iolens_call_event& e) {
    return e.direction == IOLENS_DIR_NONE ? Value()
                                          : Value(std::string_view(e.direction == IOLENS_DIR_READ ? "R" : "W"));
}

}  // namespace iolens
#endif

#endif
