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

/* Mappings of a process: in a red-black tree before 6.1 (524e00b36e8c), then in a maple tree (d4af56c5c7c6). */
struct rb_node___here {
	struct rb_node___here *rb_right;
	struct rb_node___here *rb_left;
};
struct rb_root___here {
	struct rb_node___here *rb_node;
};
struct mm_struct___rb {
	struct rb_root___here mm_rb;
};
struct maple_tree___root {
	void *ma_root;
};
struct mm_struct___maple {
	struct maple_tree___root mm_mt;
};
struct maple_range_64___here {
	unsigned long pivot[15];
	void *slot[16];
};
struct maple_arange_64___here {
	unsigned long pivot[9];
	void *slot[10];
};
enum maple_type___here {
	maple_range_64___type,
	maple_arange_64___type,
};
struct vm_area_struct___rb {
	struct rb_node___here vm_rb;
};
struct vm_area_struct___range {
	unsigned long vm_start;
	unsigned long vm_end;
	unsigned long vm_flags;
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

static __always_inline __u64 compat_mapping_start(__u64 vma)
{
	return BPF_CORE_READ((struct vm_area_struct___range *)vma, vm_start);
}
static __always_inline __u64 compat_mapping_end(__u64 vma)
{
	return BPF_CORE_READ((struct vm_area_struct___range *)vma, vm_end);
}
static __always_inline bool compat_mapping_is_shared(__u64 vma)
{
	return BPF_CORE_READ((struct vm_area_struct___range *)vma, vm_flags) & VM_SHARED;
}

static __noinline __u64 compat_mapping_rb(__u64 mm, __u64 address)
{
	__u64 node = (__u64)BPF_CORE_READ((struct mm_struct___rb *)mm, mm_rb.rb_node), vma, found = 0;

	for (int i = 0; i < 64 && node; i++) {
		vma = node - bpf_core_field_offset(struct vm_area_struct___rb, vm_rb);
		if (compat_mapping_end(vma) > address) {
			found = vma;
			node = (__u64)BPF_CORE_READ((struct rb_node___here *)node, rb_left);
		} else {
			node = (__u64)BPF_CORE_READ((struct rb_node___here *)node, rb_right);
		}
	}
	return found;
}

/* Index of the entry for an address in a node of a maple tree. `last` becomes the last address of the entry. The last
 * entry has no pivot, or one that is 0: it ends with the node. */
static __noinline __u32 compat_maple_index(__u64 pivots, __u32 count, __u64 address, __u64 *last)
{
	__u64 pivot;

	for (__u32 i = 0; i < 15 && i < count; i++) {
		pivot = compat_number((void *)(pivots + i * sizeof(__u64)));
		if (pivot >= address) {
			*last = pivot;
			return i;
		}
		if (i && !pivot)
			return i;
	}
	return count;
}

/* Entry of a maple tree for an address; 0: nothing is mapped there. */
static __noinline __u64 compat_maple_entry(__u64 entry, __u64 address, __u64 *last)
{
	__u32 range = bpf_core_enum_value(enum maple_type___here, maple_range_64___type);
	__u32 arange = bpf_core_enum_value(enum maple_type___here, maple_arange_64___type), type, index;
	__u64 node;

	if ((entry & 3) != 2) /* xa_is_node(): the root is one, with more than one mapping */
		return 0;
	for (int depth = 0; depth < 12 && entry; depth++) {
		node = entry & ~255ULL;	 /* mte_to_node() */
		type = entry >> 3 & 15; /* mte_node_type() */
		if (type == arange) {
			index = compat_maple_index(node + bpf_core_field_offset(struct maple_arange_64___here, pivot), 9, address,
						   last);
			node += bpf_core_field_offset(struct maple_arange_64___here, slot);
		} else {
			index = compat_maple_index(node + bpf_core_field_offset(struct maple_range_64___here, pivot), 15, address,
						   last);
			node += bpf_core_field_offset(struct maple_range_64___here, slot);
		}
		entry = compat_number((void *)(node + index * sizeof(__u64)));
		if (type < range) /* ma_is_leaf() */
			return entry & 3 ? 0 : entry;
	}
	return 0;
}

static __noinline __u64 compat_mapping_maple(__u64 mm, __u64 address)
{
	__u64 root = (__u64)BPF_CORE_READ((struct mm_struct___maple *)mm, mm_mt.ma_root), last = ~0ULL, vma;

	vma = compat_maple_entry(root, address, &last);
	if (vma || last == ~0ULL)
		return vma;
	address = last + 1; /* two gaps in a row are one */
	return compat_maple_entry(root, address, &last);
}

/*
 * The struct vm_area_struct of the first mapping that ends after an address, as find_vma(); 0: none. Not locked: while
 * another thread changes mappings, a mapping may be missed. (bpf_find_vma() needs 5.17, skips no gap, and fails while
 * the lock is held.) A global function, which the verifier checks once.
 */
__noinline __u64 compat_mapping_at(__u64 mm, __u64 address)
{
	if (!mm)
		return 0;
	if (bpf_core_field_exists(struct mm_struct___rb, mm_rb))
		return compat_mapping_rb(mm, address);
	return compat_mapping_maple(mm, address);
}

#endif
