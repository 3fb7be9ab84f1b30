// SPDX-License-Identifier: GPL-2.0

/*
 * Operations of rust_mm_load.c that change mappings, and the choice of addresses. As in
 * rust_mm_load_ops.c, no stdio and no malloc.
 */

#include "rust_mm_load.h"

#define PFN_FILL	(1ull << 40)

#define RW	(PROT_READ | PROT_WRITE)

/* --- addresses */

char *arena(struct worker *w, bool shared)
{
	return (char *)ARENAS + (shared ? 0 : w->number + 1) * ARENA_DISTANCE;
}

/* Returns a random range, most often in the window around a page table boundary. */
struct range any_range(struct worker *w)
{
	unsigned long first, pages = 1 + below(w, below(w, 4) ? 4 : WINDOW);
	struct range r = { .shared = !below(w, 3) };

	first = HUGE / w->page - WINDOW / 2;
	if (below(w, 8))
		first += below(w, WINDOW - pages + 1);
	else
		first = below(w, ARENA_LEN / w->page - pages + 1);
	r.at = arena(w, r.shared) + first * w->page;
	r.len = pages * w->page;
	return r;
}

char *any_address(struct worker *w)
{
	struct range r = any_range(w);

	return r.at + below(w, r.len / w->page) * w->page;
}

/* Returns the first word of a page of a device, unless that is zero. */
static uint64_t tag(int device, unsigned long page)
{
	/* The driver writes the page offset. */
	if (device == RECLAIM)
		return page;
	/* Both views of rust_mmap_pfn show the same memory. */
	return 0x7275737400000000 | (uint64_t)device << 24 | (page & 0xffffff);
}

/* --- making and unmaking mappings */

/* Checks that a new mapping, in a range that no other thread changes, shows the right pages. */
static void check_pages(struct worker *w, char *at, unsigned long pages, int device,
			unsigned long first, bool write)
{
	for (int i = 0; i < 3; i++) {
		unsigned long page = below(w, pages);
		uint64_t expected = tag(device, first + page), value;

		if (access_word(at + page * w->page, &value, false))
			continue;
		if (value && value != expected)
			wrong(w, "%s, page %lu: %#lx", devices[device].name,
			      first + page, (unsigned long)value);
		if (write)
			access_word(at + page * w->page, &expected, true);
	}
}

void op_mmap(struct worker *w)
{
	struct range r = any_range(w);
	int device = any_device(w), flags = MAP_FIXED, prot = RW;
	unsigned long pages = r.len / w->page, first;
	enum kind kind = MMAP_SHARED;
	off_t view = 0;
	char *map;

	if (device == PFN && !below(w, 4)) {
		/* Length and alignment of a PMD mapping, exactly or nearly. */
		r.at = arena(w, r.shared) + below(w, 3) * HUGE;
		r.len = HUGE + below(w, 2) * HUGE - below(w, 2) * w->page;
		pages = r.len / w->page;
		first = below(w, 4) ? below(w, 4) * (HUGE / w->page) : 1;
	} else if (below(w, 16)) {
		first = below(w, devices[device].pages);
	} else {
		first = 1ul << below(w, 52);
	}
	if (device == PFN && below(w, 2))
		view = PFN_FILL;

	switch (below(w, 5)) {
	case 0:
		kind = MMAP_PRIVATE;
		flags |= MAP_PRIVATE;
		prot = below(w, 4) ? PROT_READ : RW;
		break;
	case 1:
		kind = MMAP_POPULATE;
		flags |= MAP_SHARED | MAP_POPULATE;
		break;
	default:
		flags |= MAP_SHARED;
		prot = below(w, 4) ? RW : PROT_READ;
	}
	/* It refuses one time in sixteen. */
	if (devices[device].read_only && below(w, 16))
		prot = PROT_READ;
	if (!below(w, 16))
		flags |= MAP_LOCKED;
	map = mmap(r.at, r.len, prot, flags, w->fds[device],
		   view + (off_t)(first * w->page));
	count(kind, map == MAP_FAILED ? -1 : 0);
	if (map == MAP_FAILED) {
		if (device == PFN && (errno == ENODEV || errno == EBADF))
			reopen(w, PFN);
		return;
	}
	if (map != r.at)
		wrong(w, "mmap at %p", map);
	if (!r.shared)
		check_pages(w, map, pages, device, first, prot == RW);
}

/*
 * Returns a random range, and half of the time covers it with one mapping first: the
 * kernel refuses most operations on ranges with holes or with several mappings.
 */
struct range covered_range(struct worker *w)
{
	struct range r = any_range(w);
	unsigned long pages = r.len / w->page, first;
	int device = below(w, 2 * NR_MAPPABLE);

	if (below(w, 2))
		return r;
	if (device >= NR_MAPPABLE) {
		mmap(r.at, r.len, RW, MAP_FIXED | MAP_ANONYMOUS |
		     (device & 1 ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	} else {
		if (pages > devices[device].pages)
			pages = devices[device].pages;
		r.len = pages * w->page;
		first = below(w, devices[device].pages - pages + 1);
		mmap(r.at, r.len, devices[device].read_only ? PROT_READ : RW,
		     MAP_FIXED | MAP_SHARED, w->fds[device], first * w->page);
	}
	if (below(w, 2))
		access_word(r.at + 64, &(uint64_t){ 0 }, below(w, 2));
	return r;
}

/* Maps anonymous memory, so that device mappings get different neighbours. */
void op_mmap_other(struct worker *w)
{
	struct range r = any_range(w);
	bool none = !below(w, 4);
	void *map = mmap(r.at, r.len, none ? PROT_NONE : RW, MAP_FIXED |
			 MAP_ANONYMOUS | (below(w, 2) ? MAP_SHARED : MAP_PRIVATE),
			 -1, 0);

	count(none ? MMAP_NONE : MMAP_ANON, map == MAP_FAILED ? -1 : 0);
}

void op_munmap(struct worker *w)
{
	struct range r = any_range(w);

	if (!below(w, 64))
		count(MUNMAP_MANY, munmap(arena(w, r.shared), ARENA_LEN));
	else
		count(MUNMAP_PART, munmap(r.at, r.len));
}

/* Returns a target for mremap(), which mostly does not overlap the source and succeeds. */
static char *other_place(struct worker *w, struct range *r)
{
	char *base = arena(w, r->shared);
	unsigned long last = (ARENA_LEN - 2 * r->len) / w->page;

	if (below(w, 16))
		return base + HUGE + below(w, 2 * WINDOW) * w->page;
	return base + below(w, last + 1) * w->page;
}

void op_mremap(struct worker *w)
{
	struct range r = covered_range(w);
	size_t half = (r.len / 2 + w->page - 1) & -w->page;
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	uint64_t before = 0, after = 0;
	char *to = other_place(w, &r);
	enum kind kind;
	void *ret;

	switch (below(w, 8)) {
	case 0:
		kind = REMAP_SHRINK;
		ret = mremap(r.at, r.len, half, 0);
		break;
	case 1:
		/* The grown range stays in the arena. */
		kind = REMAP_GROW;
		ret = mremap(r.at, half, r.len, 0);
		break;
	case 2:
		kind = REMAP_GROW_MOVE;
		ret = mremap(r.at, r.len, r.len + w->page, flags, to);
		break;
	case 3:
		kind = REMAP_DONTUNMAP;
		ret = mremap(r.at, r.len, r.len, flags | MREMAP_DONTUNMAP, to);
		break;
	case 4:
		kind = REMAP_OLD_LEN_0;
		ret = mremap(r.at, 0, r.len, flags, to);
		break;
	default:
		kind = REMAP_MOVE;
		/* Moving a mapping must not change its pages. */
		if (access_word(r.at, &before, false))
			before = 0;
		ret = mremap(r.at, r.len, r.len, flags, to);
		if (ret == to && !r.shared &&
		    (access_word(to, &after, false) || !before || !after))
			after = before;
		if (ret == to && !r.shared && before != after)
			wrong(w, "moved: %#lx is now %#lx", (unsigned long)before,
			      (unsigned long)after);
	}
	count(kind, ret == MAP_FAILED ? -1 : 0);
}

void op_mprotect(struct worker *w)
{
	static const int prots[] = { PROT_NONE, PROT_READ, RW, RW, RW };
	struct range r = covered_range(w);

	count(MPROTECT, mprotect(r.at, r.len, prots[below(w, 5)]));
}

/* --- advice */

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

static const struct {
	enum kind kind;
	int advice;
} advices[] = {
	{ ADVISE_NORMAL, MADV_NORMAL }, { ADVISE_RANDOM, MADV_RANDOM },
	{ ADVISE_SEQUENTIAL, MADV_SEQUENTIAL },
	{ ADVISE_WILLNEED, MADV_WILLNEED }, { ADVISE_DONTNEED, MADV_DONTNEED },
	{ ADVISE_FREE, MADV_FREE }, { ADVISE_REMOVE, MADV_REMOVE },
	{ ADVISE_DONTFORK, MADV_DONTFORK }, { ADVISE_DOFORK, MADV_DOFORK },
	{ ADVISE_MERGEABLE, MADV_MERGEABLE },
	{ ADVISE_UNMERGEABLE, MADV_UNMERGEABLE },
	{ ADVISE_HUGEPAGE, MADV_HUGEPAGE },
	{ ADVISE_NOHUGEPAGE, MADV_NOHUGEPAGE },
	{ ADVISE_DONTDUMP, MADV_DONTDUMP }, { ADVISE_DODUMP, MADV_DODUMP },
	{ ADVISE_WIPEONFORK, MADV_WIPEONFORK },
	{ ADVISE_KEEPONFORK, MADV_KEEPONFORK }, { ADVISE_COLD, MADV_COLD },
	{ ADVISE_PAGEOUT, MADV_PAGEOUT },
	{ ADVISE_POPULATE_READ, MADV_POPULATE_READ },
	{ ADVISE_POPULATE_WRITE, MADV_POPULATE_WRITE },
	{ ADVISE_DONTNEED_LOCKED, MADV_DONTNEED_LOCKED },
	{ ADVISE_COLLAPSE, MADV_COLLAPSE },
	{ ADVISE_GUARD_INSTALL, MADV_GUARD_INSTALL },
	{ ADVISE_GUARD_REMOVE, MADV_GUARD_REMOVE },
};

#define NR_ADVICES ARRAY_SIZE(advices)

void op_madvise(struct worker *w)
{
	struct range r = covered_range(w);
	int i = below(w, NR_ADVICES);

	if (advices[i].kind == ADVISE_COLLAPSE && below(w, 2)) {
		/* A huge page needs an aligned range. */
		r.at = arena(w, r.shared);
		r.len = HUGE;
		if (below(w, 2) && mmap(r.at, r.len, RW, MAP_FIXED | MAP_PRIVATE |
					MAP_ANONYMOUS, -1, 0) == r.at)
			access_word(r.at, &(uint64_t){ 0 }, true);
	}
	count(advices[i].kind, madvise(r.at, r.len, advices[i].advice));
}

/* Returns whether the operation can succeed with this kernel and on this machine. */
bool kind_is_possible(enum kind kind)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (kind == REBIND)
		return devices[PFN].there;
	/* It needs pages that are present and a free huge page. */
	if (kind == ADVISE_COLLAPSE)
		return false;
	for (size_t i = 0; i < NR_ADVICES; i++) {
		bool possible = false;

		if (advices[i].kind != kind)
			continue;
		for (int shared = 0; shared < 2; shared++) {
			char *map = mmap(NULL, page, RW, MAP_ANONYMOUS |
					 (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);

			possible |= !madvise(map, page, advices[i].advice);
			munmap(map, page);
		}
		return possible;
	}
	return true;
}
