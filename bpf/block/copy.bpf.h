/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copies of programs, for the runs that the kernel skips. It runs a program only once at a time per CPU: while it runs, it
 * is skipped for an interrupt on top of it (6.1, 05b24ff9b2cf), and for every other task if a task was preempted in it
 * (7.0, a46023d5616e: tracepoints run with preemption enabled). Each program has a guard of its own, so that a copy that is
 * attached after it to the same tracepoint runs, and handles what the first one did not.
 */
#ifndef IOLENS_BLOCK_COPY_BPF_H
#define IOLENS_BLOCK_COPY_BPF_H

#include "lib/compat/base.bpf.h"

/* Are there copies of the programs of starts (queue, issue), and of ends? */
const volatile bool copies_of_starts = false;
const volatile bool copies_of_ends = false;

/* Copies of each program that handles a start: what comes while tasks are preempted in all of them is lost. The programs that
 * handle ends have one copy: they are short, and rarely preempted. */
#define COPIES_OF_STARTS 2

/* Runs of copies in place of a skipped one. */
__u64 copy_runs = 0;

enum copied {
	COPIED_BIO_QUEUE,
	COPIED_RQ_ISSUE,
	COPIED_RQ_COMPLETE,
	COPIED_BIO_COMPLETE,
	COPIED_PROGRAMS,
};

/* The request or bio that a program last handled on this CPU. It spares its copy, which runs next, a lookup; other tasks and
 * interrupts may come between the two, so a different one says nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COPIED_PROGRAMS);
	__type(key, __u32);
	__type(value, __u64);
} copied_items SEC(".maps");

/* Marks a request or bio as handled. */
static __always_inline void copy_mark(__u32 program, __u64 item)
{
	bool copied = program <= COPIED_RQ_ISSUE ? copies_of_starts : copies_of_ends;
	__u64 *handled = copied ? bpf_map_lookup_elem(&copied_items, &program) : 0;

	if (handled)
		*handled = item;
}

/* Begins number `copy` of a program; 0 is the first one. Returns false if another one has surely handled the item: the last
 * copy removes the mark, so that it can't be that of an earlier request at the same address. */
static __always_inline bool copy_begin(__u32 program, __u64 item, int copy, bool last)
{
	__u64 *handled;

	if (!copy) {
		copy_mark(program, item);
		return true;
	}
	handled = bpf_map_lookup_elem(&copied_items, &program);
	if (!handled || *handled != item)
		return true;
	if (last)
		*handled = 0;
	return false;
}

/* A copy handles what the programs before it did not. The last one leaves no mark: nothing would remove it. */
static __always_inline void copy_take_over(__u32 program, __u64 item, bool last)
{
	if (!last)
		copy_mark(program, item);
	__sync_fetch_and_add(&copy_runs, 1);
}

#endif
