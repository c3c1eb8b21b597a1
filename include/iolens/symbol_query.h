/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A kernel symbol's name, and its address as found by bpf/symbols.bpf.c. */
#ifndef IOLENS_SYMBOL_QUERY_H
#define IOLENS_SYMBOL_QUERY_H

#include "iolens/event/header.h"

#define IOLENS_QUERY_NAME_LEN 64
#define IOLENS_SYMBOL_QUERIES 64

struct iolens_symbol_query {
	char name[IOLENS_QUERY_NAME_LEN];
	u64 address; /* 0: no such symbol */
};

#endif
