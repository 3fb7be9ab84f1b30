// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files with userfaultfd: those of the sample driver rust_memfile must do what those of
 * memfd_create() do.
 */

#include "rust_memfile_fixture.h"
#include "rust_memfile_balance.h"

#include <linux/mman.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

/*
 * A memory file, a mapping of it, a userfaultfd that it is registered with, and a shared mapping
 * that is not registered.
 */
struct area {
	int fd, uffd;
	char *map, *other;
	size_t len;
};

/* Returns 0 or -errno. */
static int new_area(const FIXTURE_DATA(memory) *self, struct area *area, size_t pages, int flags,
		    uint64_t modes, uint64_t features)
{
	int ret;

	area->len = pages * self->page;
	area->fd = file_of(self, pages);
	if (area->fd < 0)
		return area->fd;
	area->map = map_pages(self, area->fd, pages, flags);
	area->other = map_pages(self, area->fd, pages, MAP_SHARED);
	if (!area->map || !area->other)
		return -errno;
	area->uffd = uffd_with(features, 0);
	if (area->uffd < 0)
		return area->uffd;
	ret = modes ? watch(area->uffd, area->map, area->len, modes) : 0;
	return ret;
}

static void drop_area(struct area *area)
{
	/* First: munmap() may wait until the userfaultfd's event is read. */
	close(area->uffd);
	munmap(area->map, area->len);
	munmap(area->other, area->len);
	close(area->fd);
}

/* --- missing pages */

/* An access to a hole waits until the page is copied; then all see it. */
TEST_F(memory, missing)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING, 0), 0);

	ASSERT_EQ(start_touch(&toucher, area.map + 3 * page + 7, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 3 * page), 0);
	ASSERT_FALSE(atomic_load(&toucher.done));
	ASSERT_EQ(fill_copy(area.uffd, area.map + 3 * page, from, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'c');

	ASSERT_EQ(start_touch(&toucher, area.map + 5 * page, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 5 * page), UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(fill_copy(area.uffd, area.map + 5 * page, from, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);

	/* The file has them, and so has the mapping that is not registered. */
	ASSERT_TRUE(has_bytes(area.fd, 3 * page, page, 'c'));
	ASSERT_TRUE(all_bytes(area.other + 3 * page, page, 'c'));
	ASSERT_EQ(area.other[5 * page], 'w');
	ASSERT_TRUE(all_bytes(area.other + 5 * page + 1, page - 1, 'c'));

	/* Pages that the file has are mapped without a word, and so is what others put there. */
	area.other[0] = 'o';
	ASSERT_TRUE(put_bytes(area.fd, page, page, 'p'));
	ASSERT_EQ(area.map[0], 'o');
	ASSERT_EQ(area.map[page], 'p');
	ASSERT_TRUE(has_bytes(area.fd, 6 * page, page, 0));
	ASSERT_TRUE(no_event(area.uffd));
	drop_area(&area);
}

/* In a private mapping, what is copied is anonymous memory: the hole stays. */
TEST_F(memory, missing_private)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 8, MAP_PRIVATE, MISSING, 0), 0);
	for (int write = 0; write < 2; write++) {
		char *at = area.map + (2 + write) * page;

		ASSERT_EQ(start_touch(&toucher, at, write, 'w'), 0);
		ASSERT_EQ(next_fault(area.uffd, at), write ? UFFD_PAGEFAULT_FLAG_WRITE : 0);
		ASSERT_EQ(fill_copy(area.uffd, at, from, page, 0), page);
		ASSERT_EQ(end_touch(&toucher), 0);
		ASSERT_EQ(at[0], write ? 'w' : 'c');
		ASSERT_TRUE(all_bytes(at + 1, page - 1, 'c'));
	}
	ASSERT_TRUE(is_hole(area.fd, 0, area.len));
	/* A page that the file has is not missing; but it can be covered by a copy. */
	ASSERT_TRUE(put_bytes(area.fd, 5 * page, 2 * page, 'f'));
	ASSERT_EQ(fill_copy(area.uffd, area.map + 6 * page, from, page, 0), page);
	ASSERT_EQ(area.map[5 * page], 'f');
	ASSERT_EQ(area.map[6 * page], 'c');
	ASSERT_TRUE(has_bytes(area.fd, 6 * page, page, 'f'));
	ASSERT_TRUE(no_event(area.uffd));
	drop_area(&area);
}

/* UFFDIO_ZEROPAGE, in a shared and a private mapping. */
TEST_F(memory, zeropage)
{
	const size_t page = self->page;

	for (int shared = 0; shared < 2; shared++) {
		struct toucher toucher;
		struct area area;

		ASSERT_EQ(new_area(self, &area, 8, shared ? MAP_SHARED : MAP_PRIVATE, MISSING, 0),
			  0);
		ASSERT_EQ(start_touch(&toucher, area.map + page, false, 1), 0);
		ASSERT_EQ(next_fault(area.uffd, area.map + page), 0);
		ASSERT_EQ(fill_zero(area.uffd, area.map + page, 2 * page, 0), 2 * page);
		ASSERT_EQ(end_touch(&toucher), 0);
		ASSERT_EQ(toucher.value, 0);
		ASSERT_TRUE(all_bytes(area.map + page, 2 * page, 0));
		area.map[page] = 'w';
		area.map[2 * page] = 'w';
		ASSERT_TRUE(has_bytes(area.fd, page, 1, shared ? 'w' : 0));
		ASSERT_EQ(is_hole(area.fd, 0, area.len), !shared);
		ASSERT_TRUE(no_event(area.uffd));
		drop_area(&area);
	}
}

/* Many pages with one ioctl; what stops it, and what it has done by then. */
TEST_F(memory, many_pages)
{
	const size_t page = self->page, len = 600 * page;
	struct area area, area2;
	char *from;

	ASSERT_EQ(new_area(self, &area, 600, MAP_SHARED, MISSING, 0), 0);
	from = mmap(NULL, len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(from, MAP_FAILED);
	for (size_t i = 0; i < len / 8; i++)
		((uint64_t *)from)[i] = i * 0x9e3779b97f4a7c15;
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, len, 0), len);
	ASSERT_EQ(memcmp(area.map, from, len), 0);
	ASSERT_TRUE(no_event(area.uffd));

	/* A page in the middle is there already. */
	ASSERT_EQ(fallocate(area.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, len), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map + 100 * page, from, page, 0), page);
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, len, 0), 100 * page);
	ASSERT_EQ(memcmp(area.map, from, 100 * page), 0);
	ASSERT_EQ(memcmp(area.map + 100 * page, from, page), 0);

	/* The second half is not registered: all or nothing, for there are two VMAs. */
	ASSERT_EQ(fallocate(area.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, len), 0);
	ASSERT_EQ(unwatch(area.uffd, area.map + 300 * page, 300 * page), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, len, 0), -ENOENT);
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, 300 * page, 0), 300 * page);
	ASSERT_TRUE(has_bytes(area.fd, 300 * page, 300 * page, 0));

	/* CONTINUE up to a hole. */
	ASSERT_EQ(new_area(self, &area2, 600, MAP_SHARED, MINOR, 0), 0);
	ASSERT_EQ(pwrite(area2.fd, from, 400 * page, 0), 400 * page);
	ASSERT_EQ(fallocate(area2.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 50 * page,
			    page), 0);
	ASSERT_EQ(fill_continue(area2.uffd, area2.map, len, 0), 50 * page);
	ASSERT_EQ(memcmp(area2.map, from, 50 * page), 0);
	ASSERT_EQ(fill_continue(area2.uffd, area2.map + 51 * page, 349 * page, 0), 349 * page);
	ASSERT_EQ(memcmp(area2.map + 51 * page, from + 51 * page, 349 * page), 0);
	ASSERT_TRUE(no_event(area2.uffd));
	drop_area(&area);
	drop_area(&area2);
	munmap(from, len);
}

/* The page to copy is not there itself: the kernel gives up its locks, and takes them again. */
TEST_F(memory, copy_from_absent_page)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c'), *source;
	int fd = file_of(self, 2);
	struct area area;

	ASSERT_GE(fd, 0);
	ASSERT_TRUE(put_bytes(fd, 0, 2 * page, 's'));
	source = map_pages(self, fd, 2, MAP_SHARED);
	ASSERT_NE(source, NULL);
	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING, 0), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map, source, 2 * page, 0), 2 * page);
	ASSERT_TRUE(all_bytes(area.map, 2 * page, 's'));
	/* From a page that does not exist: nothing is left of the attempt. */
	ASSERT_EQ(ftruncate(fd, page), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map + 4 * page, source + page, page, 0), -EFAULT);
	ASSERT_TRUE(is_hole(area.fd, 4 * page, 8 * page));
	ASSERT_EQ(fill_copy(area.uffd, area.map + 4 * page, from, page, 0), page);
	munmap(source, 2 * page);
	close(fd);
	drop_area(&area);
}

struct copier {
	int uffd;
	char *at, *from;
	size_t len;
	long result;
};

static void *copier_main(void *arg)
{
	struct copier *copier = arg;

	copier->result = fill_copy(copier->uffd, copier->at, copier->from, copier->len, 0);
	return NULL;
}

/* As before, but the source comes from a userfaultfd as well, and the target changes meanwhile. */
TEST_F(memory, target_changes)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	static const char *const what[] = {
		"none", "unmapped", "another file", "unregistered", "truncated",
	};

	for (size_t i = 0; i < ARRAY_SIZE(what); i++) {
		struct copier copier;
		struct area area, source;
		pthread_t thread;
		int fd = file_of(self, 4);

		ASSERT_GE(fd, 0);
		ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING, 0), 0);
		ASSERT_EQ(new_area(self, &source, 4, MAP_SHARED, MISSING, 0), 0);
		copier = (struct copier){ area.uffd, area.map + page, source.map, page };
		ASSERT_EQ(pthread_create(&thread, NULL, copier_main, &copier), 0);
		ASSERT_EQ(next_fault(source.uffd, source.map), 0);
		switch (i) {
		case 1:
			ASSERT_EQ(munmap(area.map, area.len), 0);
			break;
		case 2:
			ASSERT_EQ(mmap(area.map, area.len, RW, MAP_SHARED | MAP_FIXED, fd, 0),
				  area.map);
			ASSERT_EQ(watch(area.uffd, area.map, area.len, MISSING), 0);
			break;
		case 3:
			ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
			break;
		case 4:
			ASSERT_EQ(ftruncate(area.fd, page), 0);
			break;
		}
		ASSERT_EQ(fill_copy(source.uffd, source.map, from, page, 0), page);
		ASSERT_EQ(pthread_join(thread, NULL), 0);
		switch (i) {
		case 0:
			EXPECT_EQ(copier.result, page);
			EXPECT_TRUE(all_bytes(area.map + page, page, 'c'));
			break;
		case 2:
			EXPECT_EQ(copier.result, -EAGAIN);
			break;
		case 4:
			EXPECT_EQ(copier.result, -EFAULT);
			ASSERT_EQ(ftruncate(area.fd, area.len), 0);
			break;
		default:
			EXPECT_EQ(copier.result, -ENOENT) TH_LOG("%s", what[i]);
			break;
		}
		/* Neither file has the page, unless the copy succeeded. */
		EXPECT_EQ(is_hole(area.fd, 0, area.len), i != 0) TH_LOG("%s", what[i]);
		EXPECT_TRUE(is_hole(fd, 0, area.len));
		drop_area(&area);
		drop_area(&source);
		close(fd);
	}
}

/* Several threads wait for one page: each has its event, and one copy wakes all. */
TEST_F(memory, threads_on_one_page)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct toucher touchers[8];
	struct area area;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(touchers); i++)
		ASSERT_EQ(start_touch(&touchers[i], area.map + page + i, i & 1, 'a' + i), 0);
	for (size_t i = 0; i < ARRAY_SIZE(touchers); i++)
		ASSERT_GE(next_fault(area.uffd, area.map + page), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map + page, from, page, 0), page);
	for (size_t i = 0; i < ARRAY_SIZE(touchers); i++) {
		ASSERT_EQ(end_touch(&touchers[i]), 0);
		ASSERT_EQ(area.map[page + i], (char)(i & 1 ? 'a' + i : 'c'));
	}
	ASSERT_TRUE(no_event(area.uffd));

	/* Not woken by the copy, but afterwards. */
	ASSERT_EQ(start_touch(&touchers[0], area.map, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, page, UFFDIO_COPY_MODE_DONTWAKE), page);
	usleep(50000);
	ASSERT_FALSE(atomic_load(&touchers[0].done));
	ASSERT_EQ(wake(area.uffd, area.map, page), 0);
	ASSERT_EQ(end_touch(&touchers[0]), 0);
	ASSERT_EQ(touchers[0].value, 'c');

	/* Woken without a page: it asks again. */
	ASSERT_EQ(start_touch(&touchers[0], area.map + 2 * page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page), 0);
	ASSERT_EQ(wake(area.uffd, area.map + 2 * page, page), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page), 0);
	ASSERT_EQ(fill_zero(area.uffd, area.map + 2 * page, page, 0), page);
	ASSERT_EQ(end_touch(&touchers[0]), 0);
	drop_area(&area);
}

/*
 * Who waited goes on when the range is unregistered or the userfaultfd closed: with an empty page,
 * with the one of the file, or with one that is no longer protected. If the range is not registered
 * for missing pages, the kernel leaves it to user space to wake up who waits.
 */
TEST_F(memory, unregister_with_waiters)
{
	const size_t page = self->page;
	static const struct {
		uint64_t mode, features;
		int flag;
	} ways[] = {
		{ MISSING },
		{ MINOR, 0, UFFD_PAGEFAULT_FLAG_MINOR },
		{ WP, 0, UFFD_PAGEFAULT_FLAG_WP },
		{ RWP, UFFD_FEATURE_RWP, UFFD_PAGEFAULT_FLAG_RWP },
		{ MISSING | MINOR, 0, UFFD_PAGEFAULT_FLAG_MINOR },
		{ MISSING | WP, 0, UFFD_PAGEFAULT_FLAG_WP },
	};
	const uint64_t features = uffd_features();
	struct toucher touchers[3];
	struct area area;

	for (size_t n = 0; n < 2 * ARRAY_SIZE(ways); n++) {
		const typeof(ways[0]) way = ways[n / 2];
		const bool by_close = n % 2;
		const bool wp = way.flag == UFFD_PAGEFAULT_FLAG_WP;
		const bool rwp = way.flag == UFFD_PAGEFAULT_FLAG_RWP;
		const char before = way.flag ? 'f' : 0;

		if (way.features & ~features)
			continue;
		ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, way.mode, way.features), 0);
		if (before)
			memset(area.other, before, area.len);
		if (wp || rwp) {
			/* Only pages that are mapped are protected. */
			ASSERT_TRUE(all_bytes(area.map, area.len, before));
			ASSERT_EQ((wp ? protect : protect_rw)(area.uffd, area.map, area.len, true),
				  0);
		}
		for (size_t i = 0; i < 3; i++) {
			/* Write protection lets reads through. */
			const bool write = i == 1 || wp;

			ASSERT_EQ(start_touch(&touchers[i], area.map + i * page, write, 'w'), 0);
			ASSERT_EQ(next_fault(area.uffd, area.map + i * page),
				  way.flag | (write ? UFFD_PAGEFAULT_FLAG_WRITE : 0))
				TH_LOG("mode %d", (int)way.mode);
		}
		if (by_close) {
			close(area.uffd);
			area.uffd = -1;
		} else {
			ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
			if (!(way.mode & MISSING)) {
				usleep(50000);
				for (size_t i = 0; i < 3; i++)
					ASSERT_FALSE(atomic_load(&touchers[i].done));
				ASSERT_EQ(wake(area.uffd, area.map, area.len), 0);
			}
		}
		for (size_t i = 0; i < 3; i++) {
			ASSERT_EQ(end_touch(&touchers[i]), 0) TH_LOG("mode %d", (int)way.mode);
			ASSERT_EQ(touchers[i].value, touchers[i].write ? 'w' : before);
			ASSERT_EQ(area.other[i * page], touchers[i].write ? 'w' : before);
		}
		/* Nothing is left of the registration. */
		ASSERT_EQ(area.map[3 * page], before);
		ASSERT_EQ(touch_write(area.map + 3 * page, 'x'), 0);
		ASSERT_EQ(area.other[3 * page], 'x');
		drop_area(&area);
	}
}

/* A child waits when it exits by a signal. */
TEST_F(memory, waiter_is_killed)
{
	const size_t page = self->page;
	struct area area;
	char byte;
	int go[2], sockets[2], uffd;
	pid_t pid;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, 0, 0), 0);
	ASSERT_EQ(pipe(go), 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		uffd = uffd_with(0, 0);
		if (uffd < 0 || watch(uffd, area.map, area.len, MISSING) ||
		    send_fd(sockets[1], uffd))
			_exit(1);
		touch_read(area.map + page);
		_exit(2);
	}
	uffd = receive_fd(sockets[0]);
	ASSERT_GE(uffd, 0);
	ASSERT_EQ(next_fault(uffd, area.map + page), 0);
	ASSERT_EQ(kill(pid, SIGKILL), 0);
	ASSERT_EQ(wait_child(pid), -1);
	/* Its mm is gone; its file is not. */
	byte = 'x';
	ASSERT_EQ(fill_copy(uffd, area.map + page, &byte, page, 0), -ESRCH);
	ASSERT_TRUE(is_hole(area.fd, 0, area.len));
	close(uffd);
	close(go[0]);
	close(go[1]);
	close(sockets[0]);
	close(sockets[1]);
	drop_area(&area);
}

/* The kernel itself needs a page, for a system call. */
TEST_F(memory, access_by_the_kernel)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c'), buf[4];
	struct area area;
	int pipes[2], user;
	pid_t pid;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING, 0), 0);
	ASSERT_EQ(pipe(pipes), 0);
	ASSERT_EQ(write(pipes[1], "text", 4), 4);
	/* The parent of the VMA fills while its child's system call waits. */
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct area own;
		pthread_t thread;
		struct copier copier;

		/* The registration is not inherited. */
		if (new_area(self, &own, 8, MAP_SHARED, MISSING, 0))
			_exit(1);
		copier = (struct copier){ own.uffd, own.map + page, own.map, page };
		if (pthread_create(&thread, NULL, copier_main, &copier) ||
		    next_fault(own.uffd, own.map) ||
		    fill_copy(own.uffd, own.map, from, page, 0) != (long)page ||
		    pthread_join(thread, NULL) || copier.result != (long)page ||
		    own.map[page] != 'c')
			_exit(2);
		_exit(0);
	}
	ASSERT_EQ(wait_child(pid), 0);

	/* If the userfaultfd is only for accesses in user mode, the system call fails. */
	user = uffd_with(0, UFFD_USER_MODE_ONLY);
	ASSERT_GE(user, 0);
	ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
	ASSERT_EQ(watch(user, area.map, area.len, MISSING), 0);
	ASSERT_EQ(read(pipes[0], area.map + 2 * page, 4), -1);
	ASSERT_EQ(errno, EFAULT);
	ASSERT_TRUE(no_event(user));
	ASSERT_EQ(fill_copy(user, area.map + 2 * page, from, page, 0), page);
	ASSERT_EQ(write(pipes[1], "text", 4), 4);
	ASSERT_EQ(read(pipes[0], area.map + 2 * page, 4), 4);
	ASSERT_EQ(memcmp(area.map + 2 * page, "text", 4), 0);
	ASSERT_EQ(pread(area.fd, buf, 4, 2 * page), 4);
	close(user);
	close(pipes[0]);
	close(pipes[1]);
	drop_area(&area);
}

/* UFFD_FEATURE_SIGBUS: a signal instead of an event. */
TEST_F(memory, sigbus)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct area area;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING | MINOR, UFFD_FEATURE_SIGBUS), 0);
	ASSERT_EQ(touch_read(area.map), SIGBUS);
	ASSERT_EQ(touch_write(area.map, 'x'), SIGBUS);
	ASSERT_TRUE(no_event(area.uffd));
	ASSERT_TRUE(is_hole(area.fd, 0, area.len));
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, page, 0), page);
	ASSERT_EQ(touch_read(area.map), 0);
	/* Minor as well. */
	ASSERT_TRUE(put_bytes(area.fd, page, page, 'x'));
	ASSERT_EQ(touch_read(area.map + page), SIGBUS);
	ASSERT_EQ(fill_continue(area.uffd, area.map + page, page, 0), page);
	ASSERT_EQ(touch_read(area.map + page), 0);
	drop_area(&area);
}

/* Features that say more of a fault: who, and where exactly. */
TEST_F(memory, details)
{
	struct toucher toucher;
	struct uffd_msg msg;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING,
			   UFFD_FEATURE_THREAD_ID | UFFD_FEATURE_EXACT_ADDRESS), 0);
	ASSERT_EQ(start_touch(&toucher, area.map + self->page + 123, false, 0), 0);
	ASSERT_EQ(uffd_event(area.uffd, &msg, PATIENCE * 1000), 0);
	ASSERT_EQ(msg.event, UFFD_EVENT_PAGEFAULT);
	ASSERT_EQ(msg.arg.pagefault.address, (unsigned long)area.map + self->page + 123);
	ASSERT_NE(msg.arg.pagefault.feat.ptid, 0);
	ASSERT_NE(msg.arg.pagefault.feat.ptid, getpid());
	ASSERT_EQ(fill_zero(area.uffd, area.map + self->page, self->page, 0), self->page);
	ASSERT_EQ(end_touch(&toucher), 0);
	drop_area(&area);
}

/* --- minor faults */

/* The page is in the file, and not mapped: user space says when. */
TEST_F(memory, minor)
{
	const size_t page = self->page;
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MINOR, 0), 0);
	area.other[2 * page] = 'o';
	ASSERT_TRUE(put_bytes(area.fd, 3 * page, page, 'f'));

	ASSERT_EQ(start_touch(&toucher, area.map + 2 * page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page), UFFD_PAGEFAULT_FLAG_MINOR);
	/* The page is changed before the thread goes on. */
	area.other[2 * page] = 'n';
	ASSERT_EQ(fill_continue(area.uffd, area.map + 2 * page, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'n');

	ASSERT_EQ(start_touch(&toucher, area.map + 3 * page, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 3 * page),
		  UFFD_PAGEFAULT_FLAG_MINOR | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(fill_continue(area.uffd, area.map + 3 * page, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(area.other[3 * page], 'w');

	/* Once mapped, nothing more; again after it was unmapped. */
	ASSERT_EQ(area.map[3 * page + 1], 'f');
	ASSERT_EQ(fill_continue(area.uffd, area.map + 3 * page, page, 0), -EEXIST);
	ASSERT_EQ(madvise(area.map + 3 * page, page, MADV_DONTNEED), 0);
	ASSERT_EQ(start_touch(&toucher, area.map + 3 * page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 3 * page), UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(fill_continue(area.uffd, area.map + 3 * page, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'w');

	/* A hole is not minor: without MISSING it is filled with zeros. */
	ASSERT_EQ(fill_continue(area.uffd, area.map + 5 * page, page, 0), -EFAULT);
	ASSERT_EQ(area.map[5 * page], 0);
	ASSERT_TRUE(no_event(area.uffd));
	drop_area(&area);
}

/* Minor faults of a private mapping; the page that CONTINUE maps is still copied on write. */
TEST_F(memory, minor_private)
{
	const size_t page = self->page;
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 4, MAP_PRIVATE, MINOR, 0), 0);
	ASSERT_TRUE(put_bytes(area.fd, 0, 4 * page, 'f'));
	ASSERT_EQ(start_touch(&toucher, area.map, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map), UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(fill_continue(area.uffd, area.map, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'f');
	area.map[0] = 'p';
	ASSERT_TRUE(has_bytes(area.fd, 0, 1, 'f'));
	ASSERT_TRUE(put_bytes(area.fd, 0, page, 'g'));
	ASSERT_EQ(area.map[0], 'p');
	ASSERT_EQ(area.map[1], 'f');
	ASSERT_TRUE(no_event(area.uffd));
	drop_area(&area);
}

/* Both: the flags of the event tell which it is. */
TEST_F(memory, missing_and_minor)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING | MINOR, 0), 0);
	ASSERT_TRUE(put_bytes(area.fd, page, page, 'f'));
	ASSERT_EQ(start_touch(&toucher, area.map, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(start_touch(&toucher, area.map + page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + page), UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(fill_continue(area.uffd, area.map + page, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'f');

	/* Missing, and by the time that it is handled the file has been written to. */
	ASSERT_EQ(start_touch(&toucher, area.map + 2 * page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page), 0);
	ASSERT_TRUE(put_bytes(area.fd, 2 * page, page, 'g'));
	ASSERT_EQ(fill_copy(area.uffd, area.map + 2 * page, from, page, 0), -EEXIST);
	ASSERT_EQ(wake(area.uffd, area.map + 2 * page, page), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page), UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(fill_continue(area.uffd, area.map + 2 * page, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'g');
	drop_area(&area);
}

/* --- write protection */

/* A write to a protected page waits; reads do not. */
TEST_F(memory, write_protect)
{
	const size_t page = self->page;
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, WP, 0), 0);
	memset(area.map, 'a', area.len);
	ASSERT_EQ(protect(area.uffd, area.map, 4 * page, true), 0);
	ASSERT_TRUE(pagemap_entry(area.map) & PM_UFFD_WP);
	ASSERT_FALSE(pagemap_entry(area.map + 4 * page) & PM_UFFD_WP);
	ASSERT_EQ(touch_read(area.map), 0);
	ASSERT_EQ(touch_write(area.map + 4 * page, 'b'), 0);
	ASSERT_TRUE(no_event(area.uffd));

	ASSERT_EQ(start_touch(&toucher, area.map + page, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + page),
		  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(area.other[page], 'a');
	ASSERT_EQ(protect(area.uffd, area.map + page, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(area.other[page], 'w');
	ASSERT_FALSE(pagemap_entry(area.map + page) & PM_UFFD_WP);

	/* The protection is that of the mapping, not of the file. */
	area.other[2 * page] = 'o';
	ASSERT_TRUE(put_bytes(area.fd, 3 * page, 1, 'f'));
	ASSERT_EQ(area.map[2 * page], 'o');
	ASSERT_EQ(area.map[3 * page], 'f');
	ASSERT_TRUE(no_event(area.uffd));

	/* It stays when the page is unmapped, and goes with the registration. */
	ASSERT_EQ(madvise(area.map, page, MADV_DONTNEED), 0);
	ASSERT_TRUE(pagemap_entry(area.map) & PM_UFFD_WP);
	ASSERT_EQ(touch_read(area.map), 0);
	ASSERT_EQ(start_touch(&toucher, area.map, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map),
		  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
	ASSERT_EQ(wake(area.uffd, area.map, page), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(touch_write(area.map + 3 * page, 'x'), 0);
	drop_area(&area);
}

/* Pages that come write-protected: MISSING, MINOR and WP together. */
TEST_F(memory, all_modes)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING | MINOR | WP, 0), 0);
	ASSERT_EQ(start_touch(&toucher, area.map, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map), UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(fill_copy(area.uffd, area.map, from, page, UFFDIO_COPY_MODE_WP), page);
	ASSERT_EQ(next_fault(area.uffd, area.map),
		  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(protect(area.uffd, area.map, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(area.map[0], 'w');

	ASSERT_TRUE(put_bytes(area.fd, page, page, 'f'));
	ASSERT_EQ(start_touch(&toucher, area.map + page, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + page),
		  UFFD_PAGEFAULT_FLAG_MINOR | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(fill_continue(area.uffd, area.map + page, page, UFFDIO_CONTINUE_MODE_WP), page);
	ASSERT_EQ(next_fault(area.uffd, area.map + page),
		  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_TRUE(has_bytes(area.fd, page, page, 'f'));
	ASSERT_EQ(protect(area.uffd, area.map + page, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_TRUE(has_bytes(area.fd, page, 1, 'w'));

	/* A hole that is protected is missing first. */
	ASSERT_EQ(protect(area.uffd, area.map + 2 * page, page, true), 0);
	ASSERT_TRUE(pagemap_entry(area.map + 2 * page) & PM_UFFD_WP);
	ASSERT_TRUE(is_hole(area.fd, 2 * page, area.len));
	ASSERT_EQ(start_touch(&toucher, area.map + 2 * page, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page), UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(fill_copy(area.uffd, area.map + 2 * page, from, page, UFFDIO_COPY_MODE_WP), page);
	ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page),
		  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(protect(area.uffd, area.map + 2 * page, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_TRUE(no_event(area.uffd));
	drop_area(&area);
}

/* What a child inherits of write protection: nothing, unless the userfaultfd gets fork events. */
TEST_F(memory, write_protect_and_fork)
{
	struct area area;
	pid_t pid;

	for (int shared = 0; shared < 2; shared++) {
		ASSERT_EQ(new_area(self, &area, 4, shared ? MAP_SHARED : MAP_PRIVATE, WP, 0), 0);
		memset(area.map, 'a', area.len);
		ASSERT_EQ(protect(area.uffd, area.map, area.len, true), 0);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			if (pagemap_entry(area.map) & PM_UFFD_WP)
				_exit(1);
			_exit(touch_write(area.map, 'c') || area.map[1] != 'a');
		}
		ASSERT_EQ(wait_child(pid), 0);
		ASSERT_TRUE(pagemap_entry(area.map) & PM_UFFD_WP);
		ASSERT_EQ(area.map[0], shared ? 'c' : 'a');
		ASSERT_TRUE(no_event(area.uffd));
		drop_area(&area);
	}
}

/* Asynchronous write protection: no events, but PAGEMAP_SCAN tells what was written to. */
TEST_F(memory, written_pages)
{
	const size_t page = self->page;
	const uint64_t scan = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;
	struct page_region regions[8];
	struct area area;

	ASSERT_EQ(new_area(self, &area, 16, MAP_SHARED, WP,
			   UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED), 0);
	memset(area.map, 'a', 8 * page);
	ASSERT_EQ(protect(area.uffd, area.map, area.len, true), 0);
	ASSERT_EQ(scan_pages(area.map, area.len, PAGE_IS_WRITTEN, 0, regions, 8), 0);

	/* Pages that are there, and one that is not; reads do not count. */
	area.map[2 * page] = 'w';
	area.map[3 * page + 5] = 'w';
	area.map[6 * page] = 'w';
	area.map[12 * page] = 'w';
	ASSERT_EQ(touch_read(area.map), 0);
	ASSERT_EQ(touch_read(area.map + 9 * page), 0);
	/* Nor does what is written elsewhere. */
	area.other[4 * page] = 'o';
	ASSERT_TRUE(put_bytes(area.fd, 5 * page, 1, 'f'));
	ASSERT_TRUE(no_event(area.uffd));

	/* The scan protects what it returns. */
	for (int again = 0; again < 2; again++) {
		ASSERT_EQ(scan_pages(area.map, area.len, PAGE_IS_WRITTEN, again ? scan : 0, regions,
				     8), 3);
		ASSERT_EQ(regions[0].start, (unsigned long)area.map + 2 * page);
		ASSERT_EQ(regions[0].end, (unsigned long)area.map + 4 * page);
		ASSERT_EQ(regions[1].start, (unsigned long)area.map + 6 * page);
		ASSERT_EQ(regions[1].end, (unsigned long)area.map + 7 * page);
		ASSERT_EQ(regions[2].start, (unsigned long)area.map + 12 * page);
		ASSERT_EQ(regions[2].end, (unsigned long)area.map + 13 * page);
	}
	ASSERT_EQ(scan_pages(area.map, area.len, PAGE_IS_WRITTEN, scan, regions, 8), 0);
	area.map[3 * page] = 'x';
	ASSERT_EQ(scan_pages(area.map, area.len, PAGE_IS_WRITTEN, scan, regions, 8), 1);
	ASSERT_EQ(regions[0].start, (unsigned long)area.map + 3 * page);
	ASSERT_EQ(regions[0].end, (unsigned long)area.map + 4 * page);

	/* Since Linux 7.3, only what is registered for write protection counts. */
	ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
	for (int missing = 0; missing < 2; missing++) {
		if (missing)
			ASSERT_EQ(watch(area.uffd, area.map, area.len, MISSING), 0);
		area.map[3 * page] = 'y';
		if (uffd_features() & UFFD_FEATURE_RWP)
			ASSERT_EQ(scan_pages(area.map, area.len, PAGE_IS_WRITTEN, 0, regions, 8),
				  0);
	}
	drop_area(&area);
}

/* --- read and write protection, of Linux 7.3 */

TEST_F(memory, access_protect)
{
	const size_t page = self->page;
	struct toucher toucher;
	struct area area;

	if (!(uffd_features() & UFFD_FEATURE_RWP))
		SKIP(return, "the kernel does not have UFFD_FEATURE_RWP");
	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, RWP, UFFD_FEATURE_RWP), 0);
	memset(area.map, 'a', area.len);
	ASSERT_EQ(protect_rw(area.uffd, area.map, 2 * page, true), 0);
	ASSERT_EQ(touch_read(area.map + 2 * page), 0);
	ASSERT_TRUE(no_event(area.uffd));

	ASSERT_EQ(start_touch(&toucher, area.map, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map), UFFD_PAGEFAULT_FLAG_RWP);
	ASSERT_TRUE(has_bytes(area.fd, 0, page, 'a'));
	ASSERT_TRUE(put_bytes(area.fd, 0, page, 'b'));
	ASSERT_EQ(protect_rw(area.uffd, area.map, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'b');

	ASSERT_EQ(start_touch(&toucher, area.map + page, true, 'w'), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + page),
		  UFFD_PAGEFAULT_FLAG_RWP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(protect_rw(area.uffd, area.map + page, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_TRUE(has_bytes(area.fd, page, 1, 'w'));

	/* The end of the registration restores the access. */
	ASSERT_EQ(protect_rw(area.uffd, area.map, area.len, true), 0);
	ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
	ASSERT_EQ(area.map[0], 'b');
	ASSERT_EQ(touch_write(area.map + page, 'x'), 0);
	drop_area(&area);
}

/* Asynchronous: PAGEMAP_SCAN tells what was accessed. UFFDIO_SET_MODE switches. */
TEST_F(memory, accessed_pages)
{
	const size_t page = self->page;
	struct page_region regions[8];
	struct uffdio_set_mode mode = { .disable = UFFD_FEATURE_RWP_ASYNC };
	struct toucher toucher;
	struct area area;

	if (!(uffd_features() & UFFD_FEATURE_RWP_ASYNC))
		SKIP(return, "the kernel does not have UFFD_FEATURE_RWP_ASYNC");
	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, RWP,
			   UFFD_FEATURE_RWP | UFFD_FEATURE_RWP_ASYNC), 0);
	memset(area.map, 'a', area.len);
	ASSERT_EQ(protect_rw(area.uffd, area.map, area.len, true), 0);
	ASSERT_EQ(scan_pages(area.map, area.len, PAGE_IS_ACCESSED, 0, regions, 8), 0);
	ASSERT_EQ(touch_read(area.map + 2 * page), 0);
	ASSERT_EQ(touch_write(area.map + 3 * page, 'w'), 0);
	ASSERT_EQ(touch_read(area.map + 7 * page), 0);
	ASSERT_EQ(scan_pages(area.map, area.len, PAGE_IS_ACCESSED, 0, regions, 8), 2);
	ASSERT_EQ(regions[0].start, (unsigned long)area.map + 2 * page);
	ASSERT_EQ(regions[0].end, (unsigned long)area.map + 4 * page);
	ASSERT_EQ(regions[1].start, (unsigned long)area.map + 7 * page);
	ASSERT_EQ(regions[1].end, (unsigned long)area.map + 8 * page);
	ASSERT_TRUE(no_event(area.uffd));

	/* From now on with events, and back. */
	ASSERT_EQ(ioctl(area.uffd, UFFDIO_SET_MODE, &mode), 0);
	ASSERT_EQ(start_touch(&toucher, area.map, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map), UFFD_PAGEFAULT_FLAG_RWP);
	mode = (struct uffdio_set_mode){ .enable = UFFD_FEATURE_RWP_ASYNC };
	ASSERT_EQ(ioctl(area.uffd, UFFDIO_SET_MODE, &mode), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'a');

	/* No other feature can be switched. */
	mode = (struct uffdio_set_mode){ .enable = UFFD_FEATURE_WP_ASYNC };
	ASSERT_EQ(ioctl(area.uffd, UFFDIO_SET_MODE, &mode), -1);
	ASSERT_EQ(errno, EINVAL);
	drop_area(&area);
}

/* --- what is taken and what is refused */

enum { SHARED, PRIVATE };

/* Before the ioctl, in a range that is registered for MISSING, MINOR, and WP or RWP. */
enum state {
	HOLE, CACHED, MAPPED, PROTECTED_HOLE, GUARD, GUARD_CACHED, POISONED, BEYOND, STATES
};

static const char *const states[] = {
	"hole", "page in the file", "mapped page", "write-protected hole", "guard marker on a hole",
	"guard marker on a page", "poisoned", "beyond the end",
};

enum op {
	COPY, COPY_WP, ZEROPAGE, CONTINUE, CONTINUE_WP, POISON, MOVE, PROTECT, UNPROTECT,
	/* Those of Linux 7.3, in a range that is registered for RWP. */
	PROTECT_RW, UNPROTECT_RW, OPS
};

static const char *const ops[] = {
	"UFFDIO_COPY", "UFFDIO_COPY, _MODE_WP", "UFFDIO_ZEROPAGE", "UFFDIO_CONTINUE",
	"UFFDIO_CONTINUE, _MODE_WP", "UFFDIO_POISON", "UFFDIO_MOVE", "UFFDIO_WRITEPROTECT, on",
	"UFFDIO_WRITEPROTECT, off", "UFFDIO_RWPROTECT, on", "UFFDIO_RWPROTECT, off",
};

#define OK	0

/* The errnos of memfd in Linux 7.3. */
static const int expected[2][OPS][STATES] = {
	[SHARED] = {
		[COPY] = { OK, EEXIST, EEXIST, OK, EEXIST, EEXIST, OK, ENOMEM },
		[COPY_WP] = { OK, EEXIST, EEXIST, OK, EEXIST, EEXIST, OK, ENOMEM },
		[ZEROPAGE] = { OK, EEXIST, EEXIST, OK, EEXIST, EEXIST, OK, ENOMEM },
		[CONTINUE] = { EFAULT, OK, EEXIST, EFAULT, EFAULT, EEXIST, EFAULT, EFAULT },
		[CONTINUE_WP] = { EFAULT, OK, EEXIST, EFAULT, EFAULT, EEXIST, EFAULT, EFAULT },
		[POISON] = { OK, OK, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EFAULT },
		[MOVE] = { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		[PROTECT] = { OK, OK, OK, OK, OK, OK, OK, OK },
		[UNPROTECT] = { OK, OK, OK, OK, OK, OK, OK, OK },
		[PROTECT_RW] = { OK, OK, OK, OK, OK, OK, OK, OK },
		[UNPROTECT_RW] = { OK, OK, OK, OK, OK, OK, OK, OK },
	},
	[PRIVATE] = {
		[COPY] = { OK, OK, EEXIST, OK, EEXIST, EEXIST, OK, EFAULT },
		[COPY_WP] = { OK, OK, EEXIST, OK, EEXIST, EEXIST, OK, EFAULT },
		[ZEROPAGE] = { OK, OK, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EFAULT },
		[CONTINUE] = { EFAULT, OK, EEXIST, EFAULT, EFAULT, EEXIST, EFAULT, EFAULT },
		[CONTINUE_WP] = { EFAULT, OK, EEXIST, EFAULT, EFAULT, EEXIST, EFAULT, EFAULT },
		[POISON] = { OK, OK, EEXIST, EEXIST, EEXIST, EEXIST, EEXIST, EFAULT },
		[MOVE] = { EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL },
		[PROTECT] = { OK, OK, OK, OK, OK, OK, OK, OK },
		[UNPROTECT] = { OK, OK, OK, OK, OK, OK, OK, OK },
		[PROTECT_RW] = { OK, OK, OK, OK, OK, OK, OK, OK },
		[UNPROTECT_RW] = { OK, OK, OK, OK, OK, OK, OK, OK },
	},
};

/* Brings the page at @at, of file page @index, into a state. Returns 0, or what failed. */
static int prepare(struct area *area, char *at, size_t index, size_t page, enum state state,
		   bool rw)
{
	off_t offset = index * page;

	switch (state) {
	case CACHED:
	case MAPPED:
	case GUARD_CACHED:
		if (!put_bytes(area->fd, offset, page, 'f'))
			return 1;
		if (state == MAPPED)
			return fill_continue(area->uffd, at, page, 0) != (long)page;
		if (state == GUARD_CACHED)
			return madvise(at, page, MADV_GUARD_INSTALL);
		return 0;
	case PROTECTED_HOLE:
		return rw ? protect_rw(area->uffd, at, page, true) :
			protect(area->uffd, at, page, true);
	case GUARD:
		return madvise(at, page, MADV_GUARD_INSTALL);
	case POISONED:
		return fill_poison(area->uffd, at, page, 0) != (long)page;
	case BEYOND:
		return ftruncate(area->fd, offset);
	default:
		return 0;
	}
}

/* Returns 0 or -errno. */
static int perform(struct area *area, char *at, char *spare, size_t page, enum op op)
{
	long ret;

	switch (op) {
	case COPY:
		ret = fill_copy(area->uffd, at, spare, page, 0);
		break;
	case COPY_WP:
		ret = fill_copy(area->uffd, at, spare, page, UFFDIO_COPY_MODE_WP);
		break;
	case ZEROPAGE:
		ret = fill_zero(area->uffd, at, page, 0);
		break;
	case CONTINUE:
		ret = fill_continue(area->uffd, at, page, 0);
		break;
	case CONTINUE_WP:
		ret = fill_continue(area->uffd, at, page, UFFDIO_CONTINUE_MODE_WP);
		break;
	case POISON:
		ret = fill_poison(area->uffd, at, page, 0);
		break;
	case MOVE:
		ret = fill_move(area->uffd, at, spare, page, 0);
		break;
	case PROTECT:
	case UNPROTECT:
		ret = protect(area->uffd, at, page, op == PROTECT);
		break;
	case PROTECT_RW:
	case UNPROTECT_RW:
		ret = protect_rw(area->uffd, at, page, op == PROTECT_RW);
		break;
	default:
		ret = -EDOM;
		break;
	}
	return ret < 0 ? ret : 0;
}

/* Each ioctl on a page in each state; and what the file has then. */
TEST_F_TIMEOUT(memory, table, 120)
{
	const size_t page = self->page, index = 2;
	const enum op end = uffd_features() & UFFD_FEATURE_RWP ? OPS : PROTECT_RW;

	for (int kind = SHARED; kind <= PRIVATE; kind++)
		for (enum op op = 0; op < end; op++)
			for (enum state state = 0; state < STATES; state++) {
				const bool had = state == CACHED || state == MAPPED ||
					state == GUARD_CACHED;
				const bool rw = op >= PROTECT_RW;
				char *spare = page_of(self, 's'), *at;
				struct area area;
				bool fills;
				int error;

				ASSERT_EQ(new_area(self, &area, 4,
						   kind == SHARED ? MAP_SHARED : MAP_PRIVATE,
						   MISSING | MINOR | (rw ? RWP : WP),
						   rw ? UFFD_FEATURE_RWP : 0), 0);
				at = area.map + index * page;
				ASSERT_EQ(prepare(&area, at, index, page, state, rw), 0)
					TH_LOG("%s", states[state]);
				error = perform(&area, at, spare, page, op);
				EXPECT_EQ(error, -expected[kind][op][state])
					TH_LOG("%s, %s, %s", kind ? "private" : "shared", ops[op],
					       states[state]);
				/* What fails has left nothing, also beyond the end. */
				if (state == BEYOND)
					ASSERT_EQ(ftruncate(area.fd, area.len), 0);
				fills = !error && kind == SHARED && op <= ZEROPAGE;
				EXPECT_EQ(is_hole(area.fd, index * page, (index + 1) * page),
					  !had && !fills)
					TH_LOG("%s, %s, %s", kind ? "private" : "shared", ops[op],
					       states[state]);
				EXPECT_TRUE(has_bytes(area.fd, index * page, page,
						      had ? 'f' :
						      fills && op != ZEROPAGE ? 's' : 0));
				EXPECT_TRUE(is_hole(area.fd, (index + 1) * page, area.len));
				munmap(spare, page);
				drop_area(&area);
			}
}

/* What can be registered, and which ioctls the kernel then offers. */
TEST_F(memory, registration)
{
	const uint64_t fill = 1 << _UFFDIO_COPY | 1 << _UFFDIO_ZEROPAGE | 1 << _UFFDIO_WAKE |
		1 << _UFFDIO_POISON | 1 << _UFFDIO_MOVE;
	const struct {
		uint64_t modes;
		int error;
		uint64_t ioctls;
	} cases[] = {
		{ MISSING, 0, fill },
		{ MINOR, 0, fill | 1 << _UFFDIO_CONTINUE },
		{ WP, 0, fill | 1 << _UFFDIO_WRITEPROTECT },
		{ MISSING | MINOR, 0, fill | 1 << _UFFDIO_CONTINUE },
		{ MISSING | WP, 0, fill | 1 << _UFFDIO_WRITEPROTECT },
		{ MINOR | WP, 0, fill | 1 << _UFFDIO_CONTINUE | 1 << _UFFDIO_WRITEPROTECT },
		{ MISSING | MINOR | WP, 0,
		  fill | 1 << _UFFDIO_CONTINUE | 1 << _UFFDIO_WRITEPROTECT },
		{ 0, -EINVAL },
		{ 1 << 10, -EINVAL },
		/* Not without the feature. */
		{ RWP, -EINVAL },
		{ WP | RWP, -EINVAL },
	};

	for (int shared = 0; shared < 2; shared++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct area area;
			uint64_t ioctls;
			int ret;

			ASSERT_EQ(new_area(self, &area, 4, shared ? MAP_SHARED : MAP_PRIVATE, 0,
					   0), 0);
			ret = watch_ioctls(area.uffd, area.map, area.len, cases[i].modes, &ioctls);
			EXPECT_EQ(ret, cases[i].error) TH_LOG("%#jx", (uintmax_t)cases[i].modes);
			if (!ret)
				EXPECT_EQ(ioctls, cases[i].ioctls)
					TH_LOG("%#jx", (uintmax_t)cases[i].modes);
			drop_area(&area);
		}
}

/* Access protection goes with missing pages and with minor faults, but not with the other. */
TEST_F(memory, registration_for_access)
{
	const uint64_t fill = 1 << _UFFDIO_COPY | 1 << _UFFDIO_ZEROPAGE | 1 << _UFFDIO_WAKE |
		1 << _UFFDIO_POISON | 1 << _UFFDIO_MOVE | 1 << _UFFDIO_RWPROTECT;
	const struct {
		uint64_t modes;
		int error;
		uint64_t ioctls;
	} cases[] = {
		{ RWP, 0, fill },
		{ RWP | MISSING, 0, fill },
		{ RWP | MINOR, 0, fill | 1 << _UFFDIO_CONTINUE },
		{ RWP | MISSING | MINOR, 0, fill | 1 << _UFFDIO_CONTINUE },
		{ RWP | WP, -EINVAL },
		{ RWP | WP | MISSING, -EINVAL },
	};

	if (!(uffd_features() & UFFD_FEATURE_RWP))
		SKIP(return, "the kernel does not have UFFD_FEATURE_RWP");
	for (int shared = 0; shared < 2; shared++)
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct area area;
			uint64_t ioctls;
			int ret;

			ASSERT_EQ(new_area(self, &area, 4, shared ? MAP_SHARED : MAP_PRIVATE, 0,
					   UFFD_FEATURE_RWP), 0);
			ret = watch_ioctls(area.uffd, area.map, area.len, cases[i].modes, &ioctls);
			EXPECT_EQ(ret, cases[i].error) TH_LOG("%#jx", (uintmax_t)cases[i].modes);
			if (!ret)
				EXPECT_EQ(ioctls, cases[i].ioctls)
					TH_LOG("%#jx", (uintmax_t)cases[i].modes);
			drop_area(&area);
		}
}

/* A range belongs to one userfaultfd; some modes cannot be given back without all. */
TEST_F(memory, register_again)
{
	const bool new_kernel = uffd_features() & UFFD_FEATURE_RWP;
	struct area area;
	int other;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING, 0), 0);
	other = uffd_with(0, 0);
	ASSERT_GE(other, 0);
	ASSERT_EQ(watch(other, area.map, area.len, MISSING), -EBUSY);
	ASSERT_EQ(unwatch(other, area.map, area.len), -EINVAL);
	/* But any userfaultfd of the mm may fill it. */
	ASSERT_EQ(fill_zero(other, area.map, self->page, 0), self->page);
	ASSERT_EQ(watch(area.uffd, area.map, area.len, MISSING | WP), 0);
	/* Up to Linux 7.2, write protection can be left out. */
	ASSERT_EQ(watch(area.uffd, area.map, area.len, MISSING), new_kernel ? -EBUSY : 0);
	ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
	ASSERT_EQ(watch(other, area.map, area.len, MINOR), 0);
	ASSERT_EQ(watch(other, area.map, area.len, MISSING), 0);
	close(other);
	/* Who closes a userfaultfd gives back its ranges. */
	ASSERT_EQ(watch(area.uffd, area.map, area.len, WP), 0);
	drop_area(&area);
}

/* Only a mapping that may be written to, and no sealed file. */
TEST_F(memory, register_without_writing)
{
	const size_t page = self->page;
	int fd = file_with(self, 4 * page, RUST_MEMFILE_SEALABLE), ro, uffd = uffd_with(0, 0);
	char *map, *from = page_of(self, 'c');

	ASSERT_GE(fd, 0);
	ASSERT_GE(uffd, 0);
	ro = reopen(fd, O_RDONLY);
	ASSERT_GE(ro, 0);
	map = mmap(NULL, 4 * page, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(watch(uffd, map, 4 * page, MISSING), -EPERM);
	munmap(map, 4 * page);

	/* PROT_READ and PROT_NONE do not matter, for mprotect() could change them. */
	map = mmap(NULL, 4 * page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(watch(uffd, map, 4 * page, MISSING), 0);
	ASSERT_EQ(fill_copy(uffd, map, from, page, 0), page);
	ASSERT_EQ(touch_write(map, 'x'), SIGSEGV);
	ASSERT_EQ(mprotect(map, page, PROT_NONE), 0);
	ASSERT_EQ(mprotect(map + page, page, PROT_NONE), 0);
	ASSERT_EQ(fill_copy(uffd, map + page, from, page, 0), page);
	ASSERT_EQ(touch_read(map + page), SIGSEGV);
	ASSERT_EQ(mprotect(map, 4 * page, RW), 0);
	ASSERT_TRUE(all_bytes(map, 2 * page, 'c'));
	map[0] = 'w';
	/* Fills need no seal to be absent: the mapping could write as well. */
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ASSERT_EQ(errno, EBUSY);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	ASSERT_EQ(fill_copy(uffd, map + 3 * page, from, page, 0), page);
	munmap(map, 4 * page);

	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	map = mmap(NULL, 4 * page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(map, MAP_FAILED);
	ASSERT_EQ(watch(uffd, map, 4 * page, MISSING), -EPERM);
	munmap(map, 4 * page);
	/* Of a private mapping, only its own pages are filled. */
	map = map_pages(self, fd, 4, MAP_PRIVATE);
	ASSERT_NE(map, NULL);
	ASSERT_EQ(watch(uffd, map, 4 * page, MISSING), 0);
	ASSERT_EQ(fill_copy(uffd, map + 2 * page, from, page, 0), page);
	ASSERT_TRUE(has_bytes(fd, 2 * page, page, 0));
	munmap(map, 4 * page);
	close(uffd);
	close(ro);
	close(fd);
}

/* Beyond the end of the file there is SIGBUS, and no event. */
TEST_F(memory, beyond_the_end)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING | MINOR, 0), 0);
	ASSERT_EQ(ftruncate(area.fd, 4 * page + 10), 0);
	ASSERT_EQ(touch_read(area.map + 5 * page), SIGBUS);
	ASSERT_EQ(touch_write(area.map + 7 * page, 'x'), SIGBUS);
	ASSERT_TRUE(no_event(area.uffd));
	/* The page with the end is in the file. */
	ASSERT_EQ(fill_copy(area.uffd, area.map + 3 * page, from, page, 0), page);
	ASSERT_EQ(fill_copy(area.uffd, area.map + 4 * page, from, page, 0), page);
	ASSERT_TRUE(has_bytes(area.fd, 4 * page, 10, 'c'));

	/* The file shrinks while a thread waits. */
	ASSERT_EQ(ftruncate(area.fd, 8 * page), 0);
	ASSERT_EQ(start_touch(&toucher, area.map + 6 * page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 6 * page), 0);
	ASSERT_EQ(ftruncate(area.fd, 2 * page), 0);
	ASSERT_LT(fill_copy(area.uffd, area.map + 6 * page, from, page, 0), 0);
	ASSERT_EQ(wake(area.uffd, area.map + 6 * page, page), 0);
	ASSERT_EQ(end_touch(&toucher), SIGBUS);
	/* It grows again: the page is missing again, and empty. */
	ASSERT_EQ(ftruncate(area.fd, 8 * page), 0);
	ASSERT_TRUE(has_bytes(area.fd, 0, 8 * page, 0));
	ASSERT_EQ(start_touch(&toucher, area.map + 6 * page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + 6 * page), 0);
	ASSERT_EQ(fill_copy(area.uffd, area.map + 6 * page, from, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 'c');
	drop_area(&area);
}

/* The page goes between the event and the answer. */
TEST_F(memory, page_goes)
{
	const size_t page = self->page;
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MINOR, 0), 0);
	ASSERT_TRUE(put_bytes(area.fd, 0, 4 * page, 'f'));
	ASSERT_EQ(start_touch(&toucher, area.map + page, false, 1), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + page), UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(fallocate(area.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, page, page), 0);
	ASSERT_EQ(fill_continue(area.uffd, area.map + page, page, 0), -EFAULT);
	ASSERT_EQ(wake(area.uffd, area.map + page, page), 0);
	/* It is a hole now, for which no thread waits. */
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(toucher.value, 0);

	/* A page that was filled is punched, and is missing again. */
	ASSERT_EQ(unwatch(area.uffd, area.map, area.len), 0);
	ASSERT_EQ(watch(area.uffd, area.map, area.len, MISSING), 0);
	ASSERT_EQ(fallocate(area.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, area.len), 0);
	for (int i = 0; i < 3; i++) {
		char *from = page_of(self, '0' + i);

		ASSERT_EQ(start_touch(&toucher, area.map + 2 * page, false, 0), 0);
		ASSERT_EQ(next_fault(area.uffd, area.map + 2 * page), 0);
		ASSERT_EQ(fill_copy(area.uffd, area.map + 2 * page, from, page, 0), page);
		ASSERT_EQ(end_touch(&toucher), 0);
		ASSERT_EQ(toucher.value, '0' + i);
		ASSERT_EQ(fallocate(area.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * page,
				    page), 0);
	}
	drop_area(&area);
}

/* UFFDIO_POISON: an access is SIGBUS, in this mapping only. */
TEST_F(memory, poison)
{
	const size_t page = self->page;
	struct toucher toucher;
	struct area area;

	ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING, 0), 0);
	ASSERT_EQ(start_touch(&toucher, area.map + page, false, 0), 0);
	ASSERT_EQ(next_fault(area.uffd, area.map + page), 0);
	ASSERT_EQ(fill_poison(area.uffd, area.map + page, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), SIGBUS);
	ASSERT_TRUE(is_hole(area.fd, 0, area.len));
	area.other[page] = 'o';
	ASSERT_EQ(touch_read(area.map + page), SIGBUS);
	ASSERT_EQ(madvise(area.map + page, page, MADV_DONTNEED), 0);
	ASSERT_EQ(area.map[page], 'o');
	drop_area(&area);
}

/* --- events */

struct event_reader {
	pthread_t thread;
	int uffd, ret;
	struct uffd_msg msg;
};

static void *event_reader_main(void *arg)
{
	struct event_reader *reader = arg;

	reader->ret = uffd_event(reader->uffd, &reader->msg, PATIENCE * 1000);
	return NULL;
}

static int start_reader(struct event_reader *reader, int uffd)
{
	reader->uffd = uffd;
	return pthread_create(&reader->thread, NULL, event_reader_main, reader);
}

/* Returns the event, or -errno. */
static int end_reader(struct event_reader *reader)
{
	pthread_join(reader->thread, NULL);
	return reader->ret ? reader->ret : reader->msg.event;
}

/* The child's memory comes with a userfaultfd of its own. */
TEST_F(memory, fork_event)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct event_reader reader;
	struct toucher toucher;

	for (int shared = 0; shared < 2; shared++) {
		struct area area;
		pid_t pid;
		int child;

		ASSERT_EQ(new_area(self, &area, 4, shared ? MAP_SHARED : MAP_PRIVATE, MISSING | WP,
				   UFFD_FEATURE_EVENT_FORK), 0);
		ASSERT_EQ(fill_copy(area.uffd, area.map, from, page, UFFDIO_COPY_MODE_WP), page);
		ASSERT_EQ(start_reader(&reader, area.uffd), 0);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			if (area.map[0] != 'c' || area.map[2 * page] != 'c')
				_exit(1);
			_exit(touch_write(area.map, 'w'));
		}
		ASSERT_EQ(end_reader(&reader), UFFD_EVENT_FORK);
		child = reader.msg.arg.fork.ufd;
		ASSERT_EQ(next_fault(child, area.map + 2 * page), 0);
		ASSERT_EQ(fill_copy(child, area.map + 2 * page, from, page, 0), page);
		ASSERT_EQ(next_fault(child, area.map),
			  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
		ASSERT_EQ(protect(child, area.map, page, false), 0);
		ASSERT_EQ(wait_child(pid), 0);
		ASSERT_EQ(area.map[0], shared ? 'w' : 'c');
		ASSERT_TRUE(has_bytes(area.fd, 2 * page, page, shared ? 'c' : 0));
		/* The parent's own registration is as it was. */
		ASSERT_EQ(start_touch(&toucher, area.map + page, false, 0), 0);
		ASSERT_EQ(next_fault(area.uffd, area.map + page), 0);
		ASSERT_EQ(fill_zero(area.uffd, area.map + page, page, 0), page);
		ASSERT_EQ(end_touch(&toucher), 0);
		close(child);
		drop_area(&area);
	}
}

/* mremap(): the registration moves along and says so, or it ends. */
TEST_F(memory, remap_event)
{
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct event_reader reader;
	struct toucher toucher;

	for (int event = 0; event < 2; event++) {
		struct area area;
		char *target, *old;

		ASSERT_EQ(new_area(self, &area, 4, MAP_SHARED, MISSING,
				   event ? UFFD_FEATURE_EVENT_REMAP : 0), 0);
		ASSERT_EQ(fill_copy(area.uffd, area.map, from, page, 0), page);
		target = mmap(NULL, area.len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(target, MAP_FAILED);
		if (event)
			ASSERT_EQ(start_reader(&reader, area.uffd), 0);
		old = area.map;
		area.map = mremap(old, area.len, area.len, MREMAP_MAYMOVE | MREMAP_FIXED, target);
		ASSERT_EQ(area.map, target);
		ASSERT_EQ(area.map[0], 'c');
		if (!event) {
			ASSERT_EQ(area.map[page], 0);
			ASSERT_EQ(fill_copy(area.uffd, area.map + 2 * page, from, page, 0),
				  -ENOENT);
			drop_area(&area);
			continue;
		}
		ASSERT_EQ(end_reader(&reader), UFFD_EVENT_REMAP);
		ASSERT_EQ(reader.msg.arg.remap.from, (unsigned long)old);
		ASSERT_EQ(reader.msg.arg.remap.to, (unsigned long)target);
		ASSERT_EQ(reader.msg.arg.remap.len, area.len);
		ASSERT_EQ(start_touch(&toucher, area.map + page, true, 'w'), 0);
		ASSERT_EQ(next_fault(area.uffd, area.map + page), UFFD_PAGEFAULT_FLAG_WRITE);
		ASSERT_EQ(fill_copy(area.uffd, area.map + page, from, page, 0), page);
		ASSERT_EQ(end_touch(&toucher), 0);
		ASSERT_TRUE(has_bytes(area.fd, page, 1, 'w'));
		ASSERT_EQ(fill_copy(area.uffd, old + 2 * page, from, page, 0), -ENOENT);
		drop_area(&area);
	}
}

struct remover {
	pthread_t thread;
	char *at;
	size_t len;
	int advice, ret;	/* advice 0: munmap() */
	atomic_bool done;
};

static void *remover_main(void *arg)
{
	struct remover *remover = arg;

	remover->ret = remover->advice ? madvise(remover->at, remover->len, remover->advice) :
		munmap(remover->at, remover->len);
	remover->done = true;
	return NULL;
}

/* madvise() and munmap() wait until the event is read; meanwhile nothing is filled. */
TEST_F(memory, remove_and_unmap_events)
{
	const size_t page = self->page;
	const int advices[] = { MADV_DONTNEED, MADV_REMOVE, 0 };
	char *from = page_of(self, 'c');

	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		struct remover remover;
		struct uffd_msg msg;
		struct area area;
		long ret;

		ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING,
				   UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP), 0);
		ASSERT_EQ(fill_copy(area.uffd, area.map + 2 * page, from, page, 0), page);
		remover = (struct remover){
			.at = area.map + 2 * page, .len = 2 * page, .advice = advices[i],
		};
		ASSERT_EQ(pthread_create(&remover.thread, NULL, remover_main, &remover), 0);
		for (double end = seconds() + PATIENCE; no_event(area.uffd);)
			ASSERT_LT(seconds(), end);
		/*
		 * Until the event is read, who removes waits, and fills fail. munmap() is through
		 * with its work by then, but for the return.
		 */
		ret = fill_copy(area.uffd, area.map + 5 * page, from, page, 0);
		ASSERT_EQ(ret, -EAGAIN);
		ASSERT_FALSE(atomic_load(&remover.done));
		ASSERT_EQ(uffd_event(area.uffd, &msg, PATIENCE * 1000), 0);
		ASSERT_EQ(msg.event, advices[i] ? UFFD_EVENT_REMOVE : UFFD_EVENT_UNMAP);
		ASSERT_EQ(msg.arg.remove.start, (unsigned long)area.map + 2 * page);
		ASSERT_EQ(msg.arg.remove.end, (unsigned long)area.map + 4 * page);
		ASSERT_EQ(pthread_join(remover.thread, NULL), 0);
		ASSERT_EQ(remover.ret, 0);
		ASSERT_EQ(fill_copy(area.uffd, area.map + 5 * page, from, page, 0), page);
		ASSERT_EQ(is_hole(area.fd, 0, 5 * page), advices[i] == MADV_REMOVE);
		if (!advices[i])
			ASSERT_EQ(touch_read(area.map + 2 * page), SIGSEGV);
		drop_area(&area);
	}
}

/* --- a mapping that is not registered, of a file that is */

TEST_F(memory, unregistered_mapping)
{
	const size_t page = self->page;
	struct area area;
	char *private;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING | MINOR | WP, 0), 0);
	ASSERT_EQ(protect(area.uffd, area.map, area.len, true), 0);
	private = map_pages(self, area.fd, 8, MAP_PRIVATE);
	ASSERT_NE(private, NULL);
	for (size_t i = 0; i < 8; i++) {
		ASSERT_EQ(area.other[i * page], 0);
		area.other[i * page] = 'a' + i;
		ASSERT_EQ(private[i * page], (char)('a' + i));
		private[i * page] = 'p';
		ASSERT_TRUE(has_bytes(area.fd, i * page, 1, 'a' + i));
	}
	ASSERT_EQ(ftruncate(area.fd, 2 * page), 0);
	ASSERT_EQ(touch_read(area.other + 2 * page), SIGBUS);
	ASSERT_TRUE(no_event(area.uffd));
	/* Registered in part only. */
	ASSERT_EQ(ftruncate(area.fd, 8 * page), 0);
	ASSERT_EQ(unwatch(area.uffd, area.map + 4 * page, 4 * page), 0);
	ASSERT_EQ(area.map[5 * page], 0);
	area.map[6 * page] = 'x';
	ASSERT_EQ(area.other[6 * page], 'x');
	ASSERT_TRUE(no_event(area.uffd));
	munmap(private, 8 * page);
	drop_area(&area);
}

/* --- references */

/* Returns how many bytes of memory are free. */
static long free_memory(void)
{
	return sysconf(_SC_AVPHYS_PAGES) * sysconf(_SC_PAGESIZE);
}

/* No fill and no fault keeps a reference to a page: F_SEAL_WRITE fails if there is one. */
TEST_F(memory, no_reference_is_left)
{
	const size_t page = self->page, len = 8 * page;
	int fd = file_with(self, len, RUST_MEMFILE_SEALABLE), uffd = uffd_with(0, 0);
	char *from = page_of(self, 'c'), *map;
	struct toucher toucher;

	ASSERT_GE(fd, 0);
	ASSERT_GE(uffd, 0);
	map = map_pages(self, fd, 8, MAP_SHARED);
	ASSERT_NE(map, NULL);
	ASSERT_EQ(watch(uffd, map, len, MISSING | MINOR | WP), 0);
	/* Missing pages. */
	ASSERT_EQ(start_touch(&toucher, map, true, 'w'), 0);
	ASSERT_EQ(next_fault(uffd, map), UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(fill_copy(uffd, map, from, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(fill_zero(uffd, map + page, page, 0), page);
	ASSERT_EQ(fill_copy(uffd, map, from, page, 0), -EEXIST);
	/* Minor faults. */
	ASSERT_TRUE(put_bytes(fd, 2 * page, 2 * page, 'f'));
	ASSERT_EQ(start_touch(&toucher, map + 2 * page, false, 0), 0);
	ASSERT_EQ(next_fault(uffd, map + 2 * page), UFFD_PAGEFAULT_FLAG_MINOR);
	ASSERT_EQ(fill_copy(uffd, map + 2 * page, from, page, 0), -EEXIST);
	ASSERT_EQ(fill_continue(uffd, map + 2 * page, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(fill_continue(uffd, map + 2 * page, page, 0), -EEXIST);
	/* Write protection. */
	ASSERT_EQ(fill_continue(uffd, map + 3 * page, page, UFFDIO_CONTINUE_MODE_WP), page);
	ASSERT_EQ(start_touch(&toucher, map + 3 * page, true, 'w'), 0);
	ASSERT_EQ(next_fault(uffd, map + 3 * page),
		  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(protect(uffd, map + 3 * page, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	/* Faults that are not raised. */
	ASSERT_EQ(unwatch(uffd, map, len), 0);
	ASSERT_EQ(touch_write(map + 5 * page, 'x'), 0);
	ASSERT_EQ(touch_read(map + 6 * page), 0);
	ASSERT_TRUE(has_bytes(fd, 2 * page, page, 'f'));

	ASSERT_EQ(munmap(map, len), 0);
	ASSERT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	close(uffd);
	close(fd);
}

/* The page of a fill that fails is freed, also if it was in the file for a moment. */
TEST_F_TIMEOUT(memory, failed_fills_are_freed, 120)
{
	const unsigned int rounds = 8192;
	const size_t page = self->page;
	char *from = page_of(self, 'c');
	struct area area;
	long before;

	ASSERT_EQ(new_area(self, &area, 8, MAP_SHARED, MISSING, 0), 0);
	/* The marker makes the kernel fail when it maps the page. */
	ASSERT_EQ(madvise(area.map, page, MADV_GUARD_INSTALL), 0);
	/* This page is there already. */
	ASSERT_EQ(fill_copy(area.uffd, area.map + page, from, page, 0), page);
	before = free_memory();
	for (unsigned int i = 0; i < rounds; i++) {
		ASSERT_EQ(fill_copy(area.uffd, area.map, from, page, 0), -EEXIST);
		ASSERT_EQ(fill_copy(area.uffd, area.map + page, from, page, 0), -EEXIST);
	}
	/* Half of what it would be if the pages of one of them were leaked. */
	ASSERT_LT(before - free_memory(), (long)(rounds / 2 * page));
	drop_area(&area);
}

/* --- large folios, which only the files of the driver have without a setting of the system */

#define HUGE	(2UL << 20)

FIXTURE(large)
{
	size_t page, len;
	int device, fd;
	char *map;
	uint64_t *from;	/* what the file has */
};

FIXTURE_SETUP(large)
{
	int ret = load_module(MODULE, "");

	if (ret == -ENOENT && !getenv("RUST_MM_MODULES"))
		SKIP(return, "no " MODULE ".ko, and no $RUST_MM_MODULES");
	ASSERT_EQ(ret, 0);
	catch_signals();
	self->page = sysconf(_SC_PAGESIZE);
	self->len = 2 * HUGE;
	self->device = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_GE(self->device, 0);
	self->fd = rust_memfile(self->device, self->len, ALL_MODES, RUST_MEMFILE_HUGE);
	ASSERT_GE(self->fd, 0);
	self->from = mmap(NULL, self->len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(self->from, MAP_FAILED);
	for (size_t i = 0; i < self->len / 8; i++)
		self->from[i] = i * 0x9e3779b97f4a7c15;
	self->map = mmap(NULL, self->len, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(self->map, MAP_FAILED);
}

FIXTURE_TEARDOWN_PARENT(large)
{
	struct rust_memfile_stats stats = { 1 };
	int device = open(DEVICE, O_RDWR | O_CLOEXEC);

	ASSERT_GE(device, 0);
	EXPECT_EQ(ioctl(device, RUST_MEMFILE_STATS, &stats), 0);
	EXPECT_EQ(stats.files, 0);
	close(device);
	ASSERT_EQ(unload_module(MODULE), 0);
}

/* A large folio is mapped by one entry, as the mapping is aligned like the file. */
TEST_F(large, mapped_by_one_entry)
{
	struct page_region region = {};
	int found = 0;

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK))
		SKIP(return, "no CONFIG_TRANSPARENT_HUGEPAGE");
	/* There may be no such block of memory at first. */
	for (int i = 0; i < 10 && !found; i++) {
		write_text("/proc/sys/vm/compact_memory", "1");
		ASSERT_EQ(ftruncate(self->fd, 0), 0);
		ASSERT_EQ(ftruncate(self->fd, self->len), 0);
		ASSERT_EQ(pwrite(self->fd, self->from, self->len, 0), self->len);
		ASSERT_EQ(memcmp(self->map, self->from, self->len), 0);
		found = scan_pages(self->map, self->len, PAGE_IS_HUGE, 0, &region, 1);
	}
	ASSERT_EQ(found, 1);
	ASSERT_EQ(region.start % HUGE, 0);
	ASSERT_EQ(region.end % HUGE, 0);
	ASSERT_LT(region.start, region.end);
}

/* Missing pages are filled one by one, wherever a large folio would fit. */
TEST_F(large, missing)
{
	const size_t page = self->page;
	struct toucher toucher;
	int uffd = uffd_with(0, 0);

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(watch(uffd, self->map, self->len, MISSING), 0);
	ASSERT_EQ(start_touch(&toucher, self->map + 5 * page, false, 0), 0);
	ASSERT_EQ(next_fault(uffd, self->map + 5 * page), 0);
	ASSERT_EQ(fill_copy(uffd, self->map + 5 * page, self->from, page, 0), page);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_EQ(memcmp(self->map + 5 * page, self->from, page), 0);
	ASSERT_TRUE(is_hole(self->fd, 0, 5 * page));
	ASSERT_TRUE(is_hole(self->fd, 6 * page, self->len));
	ASSERT_EQ(fill_copy(uffd, self->map + HUGE, self->from, HUGE, 0), HUGE);
	ASSERT_EQ(memcmp(self->map + HUGE, self->from, HUGE), 0);
	/* A part of what another mapping has filled by a large folio. */
	ASSERT_EQ(ftruncate(self->fd, 0), 0);
	ASSERT_EQ(ftruncate(self->fd, self->len), 0);
	ASSERT_EQ(pwrite(self->fd, self->from, HUGE, 0), HUGE);
	ASSERT_EQ(fill_copy(uffd, self->map + 7 * page, self->from, page, 0), -EEXIST);
	ASSERT_EQ(memcmp(self->map, self->from, HUGE), 0);
	ASSERT_TRUE(no_event(uffd));
}

/* CONTINUE maps a page of a large folio, and no other. */
TEST_F(large, minor)
{
	const size_t page = self->page;
	struct toucher toucher;
	int uffd = uffd_with(0, 0);

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(pwrite(self->fd, self->from, self->len, 0), self->len);
	ASSERT_EQ(watch(uffd, self->map, self->len, MINOR), 0);
	for (size_t i = 3; i < 512; i += 100) {
		ASSERT_EQ(start_touch(&toucher, self->map + i * page, false, 0), 0);
		ASSERT_EQ(next_fault(uffd, self->map + i * page), UFFD_PAGEFAULT_FLAG_MINOR);
		ASSERT_EQ(fill_continue(uffd, self->map + i * page, page, 0), page);
		ASSERT_EQ(end_touch(&toucher), 0);
		ASSERT_EQ(memcmp(self->map + i * page, (char *)self->from + i * page, page), 0);
		ASSERT_FALSE(pagemap_entry(self->map + (i + 1) * page) & PM_PRESENT);
	}
	ASSERT_EQ(fill_continue(uffd, self->map + HUGE, HUGE, 0), HUGE);
	ASSERT_EQ(memcmp(self->map + HUGE, (char *)self->from + HUGE, HUGE), 0);
	ASSERT_TRUE(no_event(uffd));
}

/* Write protection of a part of what one PMD maps. */
TEST_F(large, write_protect)
{
	const uint64_t scan = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC;
	const size_t page = self->page;
	struct page_region regions[4];
	struct toucher toucher;
	int uffd = uffd_with(0, 0), async;

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(pwrite(self->fd, self->from, self->len, 0), self->len);
	ASSERT_EQ(memcmp(self->map, self->from, self->len), 0);
	ASSERT_EQ(watch(uffd, self->map, self->len, WP), 0);
	ASSERT_EQ(protect(uffd, self->map + 9 * page, page, true), 0);
	ASSERT_EQ(touch_write(self->map + 8 * page, 'x'), 0);
	ASSERT_EQ(touch_write(self->map + 10 * page, 'x'), 0);
	ASSERT_TRUE(no_event(uffd));
	ASSERT_EQ(start_touch(&toucher, self->map + 9 * page, true, 'w'), 0);
	ASSERT_EQ(next_fault(uffd, self->map + 9 * page),
		  UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_WRITE);
	ASSERT_EQ(protect(uffd, self->map + 9 * page, page, false), 0);
	ASSERT_EQ(end_touch(&toucher), 0);
	ASSERT_TRUE(has_bytes(self->fd, 9 * page, 1, 'w'));
	close(uffd);

	async = uffd_with(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED, 0);
	ASSERT_GE(async, 0);
	ASSERT_EQ(watch(async, self->map, self->len, WP), 0);
	ASSERT_EQ(protect(async, self->map, self->len, true), 0);
	self->map[3 * page] = 'a';
	self->map[HUGE + 100 * page] = 'b';
	ASSERT_EQ(scan_pages(self->map, self->len, PAGE_IS_WRITTEN, scan, regions, 4), 2);
	ASSERT_EQ(regions[0].start, (unsigned long)self->map + 3 * page);
	ASSERT_EQ(regions[0].end, (unsigned long)self->map + 4 * page);
	ASSERT_EQ(regions[1].start, (unsigned long)self->map + HUGE + 100 * page);
	ASSERT_EQ(regions[1].end, (unsigned long)self->map + HUGE + 101 * page);
	ASSERT_EQ(scan_pages(self->map, self->len, PAGE_IS_WRITTEN, scan, regions, 4), 0);
}

/* Pages that are punched out of a large folio are missing, and the others are not. */
TEST_F(large, punched)
{
	const size_t page = self->page;
	struct toucher toucher;
	int uffd = uffd_with(0, 0);
	char *zeros = calloc(1, page);

	ASSERT_GE(uffd, 0);
	ASSERT_EQ(pwrite(self->fd, self->from, self->len, 0), self->len);
	ASSERT_EQ(memcmp(self->map, self->from, self->len), 0);
	ASSERT_EQ(watch(uffd, self->map, self->len, MISSING), 0);
	ASSERT_EQ(fallocate(self->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 20 * page,
			    2 * page), 0);
	ASSERT_EQ(memcmp(self->map, self->from, 20 * page), 0);
	ASSERT_EQ(memcmp(self->map + 22 * page, (char *)self->from + 22 * page,
			 self->len - 22 * page), 0);
	ASSERT_TRUE(no_event(uffd));
	/* Where the folio could be split, there is a hole; else, zeros. */
	if (is_hole(self->fd, 20 * page, 22 * page)) {
		ASSERT_EQ(start_touch(&toucher, self->map + 21 * page, false, 0), 0);
		ASSERT_EQ(next_fault(uffd, self->map + 21 * page), 0);
		ASSERT_EQ(fill_copy(uffd, self->map + 20 * page, zeros, page, 0), page);
		ASSERT_EQ(fill_zero(uffd, self->map + 21 * page, page, 0), page);
		ASSERT_EQ(end_touch(&toucher), 0);
	}
	ASSERT_TRUE(all_bytes(self->map + 20 * page, 2 * page, 0));
	ASSERT_TRUE(no_event(uffd));
	free(zeros);
}

int main(int argc, char **argv)
{
	return run_balanced(test_harness_run, argc, argv);
}
