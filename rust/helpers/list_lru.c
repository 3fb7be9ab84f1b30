// SPDX-License-Identifier: GPL-2.0

#include <linux/list_lru.h>
#include <linux/nodemask.h>
#include <linux/preempt.h>

__rust_helper unsigned long rust_helper_list_lru_count(struct list_lru *lru)
{
	return list_lru_count(lru);
}

__rust_helper unsigned long
rust_helper_list_lru_walk(struct list_lru *lru, list_lru_walk_cb isolate,
			  void *cb_arg, unsigned long nr_to_walk)
{
	return list_lru_walk(lru, isolate, cb_arg, nr_to_walk);
}

__rust_helper int rust_helper_node_state(int node, enum node_states state)
{
	return node_state(node, state);
}

__rust_helper bool rust_helper_in_task(void)
{
	return in_task();
}
