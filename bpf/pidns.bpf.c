/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the pid namespace of the running task. */
#include "lib/compat/base.bpf.h"
#include "lib/compat/task.bpf.h"

#include "iolens/pidns.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct iolens_pidns found = {};

/* Not attached: run by user space (BPF_PROG_TEST_RUN, 5.10). /proc does not show the level: it lists a process's
 * pids starting at the level of the namespace that /proc was mounted in. */
SEC("raw_tp/sys_enter")
int iolens_find_pidns(void *ctx __attribute__((unused)))
{
	compat_active_pidns((struct task_struct *)bpf_get_current_task(), &found.address, &found.level);
	return 0;
}
