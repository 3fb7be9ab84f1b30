// SPDX-License-Identifier: GPL-2.0

/* list_lru_count() and list_lru_walk() are in binder.c. */

#include <linux/nodemask.h>
#include <linux/preempt.h>

__rust_helper int rust_helper_node_state(int node, enum node_states state)
{
	return node_state(node, state);
}

__rust_helper bool rust_helper_in_task(void)
{
	return in_task();
}

__rust_helper void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

__rust_helper void rust_helper_preempt_enable(void)
{
	preempt_enable();
}
