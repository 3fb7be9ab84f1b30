// SPDX-License-Identifier: GPL-2.0

/*
 * Revocations of Rust drivers: sections that use memory, and a switch that keeps new ones out.
 *
 * The number of sections and the switch are one atomic variable, so a section either starts
 * before the switch is set, and is waited for, or does not start. The count of one variable is
 * what a driver's rwsem would cost a fault. SRCU would cost less where many processors fault at
 * once, and more everywhere else: its readers have two calls, and a grace period takes thousands
 * of instructions and a kernel thread, also if there is no reader.
 */

#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/rust_mm.h>

/**
 * rust_mm_revocation_init() - Initialise a revocation
 * @revocation: The revocation. The memory is accessible.
 * @name: The name for lockdep; static.
 * @key: The class for lockdep; static.
 *
 * Context: Any context.
 */
void rust_mm_revocation_init(struct rust_mm_revocation *revocation,
			     const char *name, struct lock_class_key *key)
{
	atomic_set(&revocation->users, 0);
	lockdep_init_map(&revocation->dep_map, name, key, 0);
}

/* Returns whether a revocation that waits may go on. */
static bool may_go_on(struct rust_mm_revocation *revocation)
{
	/* What the sections have done comes before this. */
	unsigned int users = atomic_read_acquire(&revocation->users);

	/* If another thread has restored the memory, there may be sections forever. */
	return !(users & RUST_MM_REVOKED) ||
	       !(users & ~(RUST_MM_REVOKED | RUST_MM_REVOKED_FOREVER));
}

/**
 * rust_mm_revocation_revoke() - Set the switch, and wait for the sections
 * @revocation: The revocation.
 * @forever: Whether rust_mm_revocation_restore() has no effect from now on.
 *
 * If the switch is set already, the function still waits. If another thread restores the memory
 * in the meantime, the function does not wait any longer.
 *
 * Context: Sleeps until no thread is in a section. The caller must not be in one.
 */
void rust_mm_revocation_revoke(struct rust_mm_revocation *revocation,
			       bool forever)
{
	might_sleep();
#ifdef CONFIG_LOCKDEP
	lock_map_sync(&revocation->dep_map);
#endif
	atomic_or(RUST_MM_REVOKED | (forever ? RUST_MM_REVOKED_FOREVER : 0),
		  &revocation->users);
	/*
	 * The caller looks for entries to zap. A thread that maps memory without a section makes
	 * entries, and reads the switch then, with a full barrier between (revoke::check()).
	 */
	smp_mb__after_atomic();
	wait_var_event(&revocation->users, may_go_on(revocation));
}

/**
 * rust_mm_revocation_restore() - Reset the switch, unless the memory is revoked forever
 * @revocation: The revocation.
 *
 * Context: Any context but an interrupt. Does not sleep.
 */
void rust_mm_revocation_restore(struct rust_mm_revocation *revocation)
{
	int users = atomic_read(&revocation->users);

	do {
		if (!(users & RUST_MM_REVOKED) || users & RUST_MM_REVOKED_FOREVER)
			return;
	} while (!atomic_try_cmpxchg(&revocation->users, &users,
				     users & ~RUST_MM_REVOKED));
	wake_up_var(&revocation->users);
}
