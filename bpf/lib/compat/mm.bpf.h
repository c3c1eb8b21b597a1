/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Differences between kernels: pages and folios. */
#ifndef IOLENS_LIB_COMPAT_MM_BPF_H
#define IOLENS_LIB_COMPAT_MM_BPF_H

#include "lib/compat/base.bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Pages and folios of a bio. */
struct page___compound_head {
	unsigned long compound_head;
};
struct page___compound_info {
	unsigned long compound_info;
};
struct page___flags {
	unsigned long flags;
};
struct memdesc_flags___f { /* 6.18 */
	unsigned long f;
};
struct page___memdesc {
	struct memdesc_flags___f flags;
};
enum pageflags___uptodate {
	PG_uptodate___uptodate,
};
struct folio___mapping {
	struct address_space *mapping;
};
struct folio___index {
	unsigned long index;
};

#pragma clang attribute pop

/*
 * The first page of a compound page. 7.1 renamed compound_head to compound_info, which contains a mask where possible;
 * the high half of a pointer into the memory map is never all ones.
 */
static __always_inline __u64 compat_head_page(__u64 page)
{
	__u64 head;

	if (bpf_core_field_exists(struct page___compound_info, compound_info)) {
		head = BPF_CORE_READ((struct page___compound_info *)page, compound_info);
		if (head & 1)
			return head >> 32 == 0xffffffff ? page & head : head - 1;
	} else {
		head = BPF_CORE_READ((struct page___compound_head *)page, compound_head);
		if (head & 1)
			return head - 1;
	}
	return page;
}

/* page.mapping, or folio.mapping (5.16): valid in the first page. Bit 0: anonymous page. */
static __always_inline __u64 compat_mapping(__u64 page)
{
	if (bpf_core_field_exists(struct folio___mapping, mapping))
		return (__u64)BPF_CORE_READ((struct folio___mapping *)page, mapping);
	return (__u64)BPF_CORE_READ((struct page *)page, mapping);
}

/* PG_uptodate of a head page: clear while the page is being read, set while a program has it mapped. page.flags was
 * a number before 6.18 (53fbef56e07d). */
static __always_inline bool compat_is_uptodate(__u64 page)
{
	__u32 bit = bpf_core_enum_value(enum pageflags___uptodate, PG_uptodate___uptodate);
	__u64 flags;

	if (bpf_core_field_exists(struct page___memdesc, flags.f))
		flags = BPF_CORE_READ((struct page___memdesc *)page, flags.f);
	else
		flags = BPF_CORE_READ((struct page___flags *)page, flags);
	return flags >> (bit & 63) & 1;
}

/* Index of a folio's first page in its file. */
static __always_inline __u64 compat_folio_index(__u64 folio)
{
	return BPF_CORE_READ((struct folio___index *)folio, index);
}

#endif
