// SPDX-License-Identifier: Apache-2.0
#include "resolve/wait_reasons.h"

#include <array>
#include <unordered_map>

#include "iolens/schema.h"

namespace iolens {
namespace {

/// `vague`: called from many places; a more specific caller takes precedence. `fault`, `call`: no reason, but shows how
/// the thread came into the kernel.
struct Known {
    std::string_view function;
    WaitFor what;
    bool vague = false;
    bool fault = false;
    bool call = false;
};

/// Covers all supported kernels; each has some. A function that a kernel lacks is treated like an inlined one.
constexpr std::array known{
    Known{"balance_dirty_pages", WaitFor::dirty_pages},
    Known{"balance_dirty_pages_ratelimited", WaitFor::dirty_pages},
    Known{"balance_dirty_pages_ratelimited_flags", WaitFor::dirty_pages},
    // limits and throttling in the block layer
    Known{"blkcg_maybe_throttle_current", WaitFor::limit},
    Known{"blkcg_maybe_throttle_blkg", WaitFor::limit},
    Known{"ioc_rqos_throttle", WaitFor::limit},
    Known{"blkcg_iolatency_throttle", WaitFor::limit},
    Known{"mem_cgroup_handle_over_high", WaitFor::limit},
    Known{"__mem_cgroup_handle_over_high", WaitFor::limit},
    Known{"wbt_wait", WaitFor::queue},
    Known{"rq_qos_wait", WaitFor::queue},
    Known{"blk_mq_get_tag", WaitFor::queue},
    Known{"blk_queue_enter", WaitFor::queue},
    Known{"__bio_queue_enter", WaitFor::queue},
    // page writeback
    Known{"folio_wait_writeback", WaitFor::writeback},
    Known{"folio_wait_writeback_killable", WaitFor::writeback},
    Known{"wait_on_page_writeback", WaitFor::writeback},
    Known{"folio_wait_stable", WaitFor::writeback},
    Known{"wait_for_stable_page", WaitFor::writeback},
    Known{"wait_sb_inodes", WaitFor::writeback},
    Known{"wb_wait_for_completion", WaitFor::writeback},
    Known{"btrfs_wait_ordered_range", WaitFor::writeback},
    Known{"btrfs_start_ordered_extent", WaitFor::writeback},
    Known{"btrfs_start_ordered_extent_nowriteback", WaitFor::writeback},
    // filesystem journals and transactions
    Known{"jbd2_log_wait_commit", WaitFor::journal},
    Known{"jbd2_complete_transaction", WaitFor::journal},
    Known{"jbd2_journal_force_commit", WaitFor::journal},
    Known{"wait_transaction_locked", WaitFor::journal},
    Known{"wait_transaction_switching", WaitFor::journal},
    Known{"add_transaction_credits", WaitFor::journal},
    Known{"start_this_handle", WaitFor::journal},
    Known{"do_get_write_access", WaitFor::journal},
    Known{"jbd2_log_do_checkpoint", WaitFor::journal},
    Known{"__jbd2_log_wait_for_space", WaitFor::journal},
    Known{"ext4_fc_commit", WaitFor::journal},
    Known{"ext4_fc_start_update", WaitFor::journal},
    Known{"xfs_log_force", WaitFor::journal},
    Known{"xfs_log_force_seq", WaitFor::journal},
    Known{"xfs_log_force_lsn", WaitFor::journal},
    Known{"xlog_wait_on_iclog", WaitFor::journal},
    Known{"xlog_force_lsn", WaitFor::journal},
    Known{"xlog_grant_head_wait", WaitFor::journal},
    Known{"xlog_cil_force_seq", WaitFor::journal},
    Known{"btrfs_sync_log", WaitFor::journal},
    Known{"btrfs_commit_transaction", WaitFor::journal},
    Known{"btrfs_wait_for_commit", WaitFor::journal},
    Known{"wait_current_trans", WaitFor::journal},
    Known{"wait_for_commit", WaitFor::journal},
    Known{"wait_log_commit", WaitFor::journal},
    // direct I/O
    Known{"__iomap_dio_rw", WaitFor::direct_io},
    Known{"iomap_dio_rw", WaitFor::direct_io},
    Known{"__blkdev_direct_IO", WaitFor::direct_io},
    Known{"__blkdev_direct_IO_simple", WaitFor::direct_io},
    Known{"blkdev_direct_IO", WaitFor::direct_io},
    Known{"__blockdev_direct_IO", WaitFor::direct_io},
    Known{"dio_await_completion", WaitFor::direct_io},
    Known{"inode_dio_wait", WaitFor::direct_io},
    // the device itself
    Known{"blkdev_issue_flush", WaitFor::device},
    Known{"blkdev_issue_discard", WaitFor::device},
    Known{"blkdev_issue_zeroout", WaitFor::device},
    Known{"submit_bio_wait", WaitFor::device},
    Known{"bio_await", WaitFor::device},
    Known{"__wait_on_buffer", WaitFor::device},
    Known{"xfs_buf_iowait", WaitFor::device},
    Known{"blk_execute_rq", WaitFor::device},
    Known{"btrfs_read_extent_buffer", WaitFor::device},
    Known{"read_extent_buffer_pages", WaitFor::device},
    // page cache: reading or locking a page
    Known{"filemap_fault", WaitFor::page},
    Known{"filemap_get_pages", WaitFor::page},
    Known{"filemap_update_page", WaitFor::page},
    Known{"generic_file_buffered_read", WaitFor::page},
    Known{"filemap_read", WaitFor::page},
    Known{"folio_wait_bit_common", WaitFor::page, true},
    Known{"folio_wait_bit", WaitFor::page, true},
    Known{"__folio_lock", WaitFor::page, true},
    Known{"__folio_lock_killable", WaitFor::page, true},
    Known{"wait_on_page_bit_common", WaitFor::page, true},
    Known{"wait_on_page_bit", WaitFor::page, true},
    Known{"__lock_page", WaitFor::page, true},
    Known{"__lock_page_killable", WaitFor::page, true},
    Known{"io_schedule", WaitFor::device, true},
    // memory
    Known{"try_to_free_pages", WaitFor::memory},
    Known{"try_to_free_mem_cgroup_pages", WaitFor::memory},
    Known{"__alloc_pages_slowpath", WaitFor::memory},
    Known{"reclaim_throttle", WaitFor::memory},
    Known{"congestion_wait", WaitFor::memory},
    Known{"do_swap_page", WaitFor::memory},
    // locks
    Known{"rwsem_down_read_slowpath", WaitFor::lock},
    Known{"rwsem_down_write_slowpath", WaitFor::lock},
    Known{"down_read", WaitFor::lock},
    Known{"down_write", WaitFor::lock},
    Known{"__mutex_lock", WaitFor::lock},
    Known{"__mutex_lock_slowpath", WaitFor::lock},
    Known{"mutex_lock", WaitFor::lock},
    Known{"__down", WaitFor::lock},
    Known{"__down_common", WaitFor::lock},
    Known{"percpu_rwsem_wait", WaitFor::lock},
    Known{"__percpu_down_read", WaitFor::lock},
    Known{"posix_lock_inode_wait", WaitFor::lock},
    Known{"flock_lock_inode_wait", WaitFor::lock},
    Known{"locks_lock_inode_wait", WaitFor::lock},
    Known{"fcntl_setlk", WaitFor::lock},
    Known{"xfs_buf_lock", WaitFor::lock},
    Known{"__wait_on_freeing_inode", WaitFor::lock},
    // file servers (FUSE, network filesystems)
    Known{"request_wait_answer", WaitFor::fuse},
    Known{"__fuse_simple_request", WaitFor::fuse},
    Known{"rpc_wait_bit_killable", WaitFor::network_fs},
    Known{"wait_for_response", WaitFor::network_fs},
    // not disk I/O
    Known{"futex_wait", WaitFor::futex},
    Known{"__futex_wait", WaitFor::futex},
    Known{"futex_wait_queue", WaitFor::futex},
    Known{"futex_wait_queue_me", WaitFor::futex},
    Known{"futex_do_wait", WaitFor::futex},
    Known{"pipe_read", WaitFor::pipe},
    Known{"anon_pipe_read", WaitFor::pipe},
    Known{"pipe_write", WaitFor::pipe},
    Known{"anon_pipe_write", WaitFor::pipe},
    Known{"wait_for_partner", WaitFor::pipe},
    Known{"sk_wait_data", WaitFor::socket},
    Known{"sk_stream_wait_memory", WaitFor::socket},
    Known{"sock_alloc_send_pskb", WaitFor::socket},
    Known{"__skb_wait_for_more_packets", WaitFor::socket},
    Known{"unix_stream_read_generic", WaitFor::socket},
    Known{"unix_stream_data_wait", WaitFor::socket},
    Known{"inet_csk_accept", WaitFor::socket},
    Known{"inet_stream_connect", WaitFor::socket},
    Known{"__inet_stream_connect", WaitFor::socket},
    Known{"do_sys_poll", WaitFor::poll},
    Known{"do_select", WaitFor::poll},
    Known{"ep_poll", WaitFor::poll},
    Known{"do_epoll_wait", WaitFor::poll},
    Known{"io_cqring_wait", WaitFor::poll},
    Known{"read_events", WaitFor::poll},
    Known{"do_nanosleep", WaitFor::sleep},
    Known{"hrtimer_nanosleep", WaitFor::sleep},
    Known{"do_wait", WaitFor::child},
    // how the thread came into the kernel: a page fault; a system call of x86-64, of arm64 (one of the others may be
    // inlined)
    Known{.function = "handle_mm_fault", .what = WaitFor::other, .fault = true},
    Known{.function = "do_syscall_64", .what = WaitFor::other, .call = true},
    Known{.function = "do_el0_svc", .what = WaitFor::other, .call = true},
    Known{.function = "el0_svc_common", .what = WaitFor::other, .call = true},
    Known{.function = "invoke_syscall", .what = WaitFor::other, .call = true},
};

constexpr std::array<WaitWords, static_cast<std::size_t>(WaitFor::other) + 1> all_words{{
    {"dirty_pages", "dirty page throttling"},
    {"limit", "a cgroup limit"},
    {"writeback", "writeback"},
    {"journal", "the filesystem journal"},
    {"direct_io", "direct I/O"},
    {"page_cache", "a page cache page"},
    {"queue", "a free tag or slot in the disk's queue"},
    {"device", "the disk"},
    {"memory", "memory"},
    {"lock", "a lock"},
    {"fuse", "a FUSE server"},
    {"network_fs", "a network file server"},
    {"futex", "a futex"},
    {"pipe", "a pipe"},
    {"socket", "a socket"},
    {"poll", "an event"},
    {"sleep", "a timer (sleep)"},
    {"child", "a child process"},
    {"processor", "a CPU"},
    {"other", "something else"},
}};

const Known* find_known(std::string_view function) {
    // a hash table, because every kernel symbol is looked up
    static const std::unordered_map<std::string_view, const Known*> by_name = [] {
        std::unordered_map<std::string_view, const Known*> items;
        for (const Known& item : known) items.emplace(item.function, &item);
        return items;
    }();
    const auto it = by_name.find(function);
    return it == by_name.end() ? nullptr : it->second;
}

}  // namespace

const WaitWords& words_of(WaitFor reason) { return all_words.at(static_cast<std::size_t>(reason)); }

bool is_wait_function(std::string_view function) { return find_known(function) != nullptr; }

void WaitReasons::add(const iolens_symbol_fact& fact) {
    const std::string_view name = text_of(fact.name);
    const Known* function = find_known(name);
    if (function == nullptr) return;
    functions_[fact.start] = {.end = fact.end,
                              .name = std::string(name),
                              .what = function->what,
                              .vague = function->vague,
                              .fault = function->fault,
                              .call = function->call};
}

WaitReasons::Reason WaitReasons::find(std::span<const u64> frames) const {
    Reason specific;
    Reason vague;
    bool fault = false;
    bool call = frames.empty() || frames.back() != 0;  // the stack may be cut off before it
    for (const u64 frame : frames) {
        if (frame == 0) break;
        // a return address follows the call: it may already be the next function's first byte
        auto it = functions_.lower_bound(frame);
        if (it == functions_.begin()) continue;
        --it;
        const auto& [start, function] = *it;
        if (frame > function.end) continue;
        fault = fault || function.fault;
        call = call || function.call;
        if (function.fault || function.call) continue;
        Reason& reason = function.vague ? vague : specific;
        if (reason.function.empty()) reason = {.what = function.what, .function = function.name};
    }
    Reason& reason = specific.function.empty() ? vague : specific;
    reason.fault = fault && !call;
    return reason;
}

}  // namespace iolens
