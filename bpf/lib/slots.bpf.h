/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * State of operations in flight, by a number that is not 0, such as an address: an array of slots if the kernel has
 * compare-and-swap (5.12), otherwise a hash map, which takes longer. A kernel with casts has it, so CASTS decides.
 *
 * The keys of eight slots share a cache line, a bucket. A key is in its own bucket or in the one beside it. A slot is claimed
 * by storing IOLENS_SLOT_BUSY in place of 0, filled, and published by storing its key; storing 0 releases it. A key is never
 * published and released at the same time, because only its own operation does either.
 *
 * A place is the number of a slot, from 1; in a hash map, it is the key. 0: none.
 */
#ifndef IOLENS_LIB_SLOTS_BPF_H
#define IOLENS_LIB_SLOTS_BPF_H

#include "lib/compat/base.bpf.h"
#include "lib/compat/cast.bpf.h"

#include "iolens/slots.h"

#define SLOTS_KEYS(name, entries)                                                                                         \
	struct {                                                                                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                         \
		__uint(map_flags, BPF_F_MMAPABLE);                                                                        \
		__uint(max_entries, entries);                                                                             \
		__type(key, __u32);                                                                                       \
		__type(value, struct iolens_slot_keys);                                                                   \
	} name##_keys SEC(".maps");                                                                                       \
	/* number of buckets - 1 */                                                                                       \
	const volatile __u32 name##_mask = 1

#if CASTS

#define SLOTS(name, state)                                                                                                \
	struct {                                                                                                          \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                                         \
		__uint(map_flags, BPF_F_MMAPABLE);                                                                        \
		__uint(max_entries, 2 * IOLENS_SLOTS_BUCKET); /* set before load */                                       \
		__type(key, __u32);                                                                                       \
		__type(value, state);                                                                                     \
	} name SEC(".maps");                                                                                              \
	SLOTS_KEYS(name, 2); /* set before load */                                                                        \
                                                                                                                          \
	/* Global functions, which the verifier checks once. */                                                           \
	__noinline __u64 name##_place(__u64 key)                                                                          \
	{                                                                                                                 \
		return slots_find(&name##_keys, key, name##_mask, false);                                                 \
	}                                                                                                                 \
	__noinline __u64 name##_claim(__u64 key)                                                                          \
	{                                                                                                                 \
		return slots_find(&name##_keys, key, name##_mask, true);                                                  \
	}                                                                                                                 \
	static __always_inline state *name##_at(__u64 place)                                                              \
	{                                                                                                                 \
		__u32 slot = place - 1;                                                                                   \
                                                                                                                          \
		return bpf_map_lookup_elem(&name, &slot);                                                                 \
	}                                                                                                                 \
	static __always_inline void name##_publish(__u64 place, __u64 key)                                                \
	{                                                                                                                 \
		slots_set(&name##_keys, place, key);                                                                      \
	}                                                                                                                 \
	static __always_inline void name##_release(__u64 place)                                                           \
	{                                                                                                                 \
		slots_set(&name##_keys, place, 0);                                                                        \
	}

#else

#define SLOTS(name, state)                                                                                                \
	struct {                                                                                                          \
		__uint(type, BPF_MAP_TYPE_HASH);                                                                          \
		__uint(max_entries, 1); /* set before load */                                                             \
		__type(key, __u64);                                                                                       \
		__type(value, state);                                                                                     \
	} name SEC(".maps");                                                                                              \
	SLOTS_KEYS(name, 1);                                                                                              \
	static const state name##_nothing = {};                                                                           \
                                                                                                                          \
	static __always_inline __u64 name##_place(__u64 key)                                                              \
	{                                                                                                                 \
		return key;                                                                                               \
	}                                                                                                                 \
	static __always_inline __u64 name##_claim(__u64 key)                                                              \
	{                                                                                                                 \
		return bpf_map_update_elem(&name, &key, &name##_nothing, BPF_NOEXIST) ? 0 : key;                          \
	}                                                                                                                 \
	static __always_inline state *name##_at(__u64 place)                                                              \
	{                                                                                                                 \
		return bpf_map_lookup_elem(&name, &place);                                                                \
	}                                                                                                                 \
	static __always_inline void name##_publish(__u64 place, __u64 key)                                                \
	{                                                                                                                 \
		(void)place; /* it has been */                                                                            \
		(void)key;                                                                                                \
	}                                                                                                                 \
	static __always_inline void name##_release(__u64 place)                                                           \
	{                                                                                                                 \
		bpf_map_delete_elem(&name, &place);                                                                       \
	}

#endif

static __always_inline __u32 slots_bucket(__u64 key, __u32 mask)
{
	return key * 0x9E3779B97F4A7C15ULL >> 32 & mask;
}

/* The place of a key; 0: it has none. With `claim`, a constant: of a free slot, which is then claimed; 0: both buckets are full. */
static __always_inline __u64 slots_find(void *keys, __u64 key, __u32 mask, bool claim)
{
	__u32 bucket = slots_bucket(key, mask);
	struct iolens_slot_keys *b;

#pragma unroll
	for (int half = 0; half < 2; half++, bucket ^= 1) {
		b = bpf_map_lookup_elem(keys, &bucket);
		if (!b)
			return 0;
#pragma unroll
		for (__u32 i = 0; i < IOLENS_SLOTS_BUCKET; i++) {
			if (claim ? !b->key[i] && !__sync_val_compare_and_swap(&b->key[i], 0, IOLENS_SLOT_BUSY) : b->key[i] == key)
				return bucket * IOLENS_SLOTS_BUCKET + i + 1;
		}
	}
	return 0;
}

static __always_inline void slots_set(void *keys, __u64 place, __u64 key)
{
	__u32 slot = place - 1, bucket = slot / IOLENS_SLOTS_BUCKET, i = slot % IOLENS_SLOTS_BUCKET;
	struct iolens_slot_keys *b = bpf_map_lookup_elem(keys, &bucket);

	if (!b)
		return;
#if defined(__TARGET_ARCH_arm64)
	__sync_lock_test_and_set(&b->key[i], key); /* orders what was read and written before */
#else
	*(volatile __u64 *)&b->key[i] = key;
#endif
}

#endif
