/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Resolves the names of kernel symbols to addresses. */
#include "lib/compat/base.bpf.h"

#include "iolens/symbol_query.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct iolens_symbol_query symbols[IOLENS_SYMBOL_QUERIES] = {};

/* Run by user space (BPF_PROG_TEST_RUN; this program type since 5.14, the helper since 5.16, d6aef08a872b). Searches
 * a sorted list since 6.2 (60443c88f3a8); before, all symbols for each name. */
SEC("syscall")
int iolens_find_symbols(void *ctx __attribute__((unused)))
{
	for (int i = 0; i < IOLENS_SYMBOL_QUERIES; i++) {
		struct iolens_symbol_query *s = &symbols[i];

		if (!s->name[0])
			break;
		if (bpf_kallsyms_lookup_name(s->name, sizeof(s->name), 0, &s->address))
			s->address = 0;
	}
	return 0;
}
