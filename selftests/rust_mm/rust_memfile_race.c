// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files whose pages are filled through userfaultfd while what they are filled into changes:
 * the mapping, the file, the process. In any order, a page has the bytes that were copied,
 * or zeros, and nothing remains of a fill that came too late.
 */

#include "rust_memfile_fixture.h"
#include "rust_memfile_balance.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#define PAGES	32
#define SECONDS	1

struct race {
	size_t page, len;
	int fd, uffd;
	char *map, *spare;	/* the mapping, and a place to move it to */
	char *from;		/* what page i is copied from, at i */
	bool cut;		/* the end of a page may be cut off */
	atomic_bool stop;
	atomic_ulong fills, failures, accesses, signals, wrong;
	atomic_int last_wrong;
};

/* Which byte a page is filled with. */
static char tag(size_t index)
{
	return 'A' + index;
}

/* Counts a result, and wakes who waits for the page if it was not filled. */
static void count(struct race *race, char *at, long result)
{
	switch (result) {
	case -EEXIST:	/* filled already */
	case -ENOENT:	/* no longer registered */
	case -EFAULT:	/* beyond the end, or CONTINUE of a hole */
	case -EAGAIN:	/* the mappings change */
	case -ENOMEM:	/* beyond the end, for COPY */
	case -EINVAL:	/* the VMA that is there now is not a memory file */
	case -ESRCH:	/* the process has exited */
		race->failures++;
		break;
	default:
		if (result == (long)race->page) {
			race->fills++;
			return;
		}
		race->last_wrong = result;
		race->wrong++;
	}
	wake(race->uffd, at, race->page);
}

static void *filler(void *arg)
{
	struct race *race = arg;

	for (size_t i = 0; !race->stop; i++) {
		size_t index = i % PAGES;
		char *at = race->map + index * race->page;

		count(race, at, fill_copy(race->uffd, at, race->from + index * race->page,
					  race->page, 0));
		if (i % 3 == 0)
			count(race, at, fill_continue(race->uffd, at, race->page, 0));
	}
	return NULL;
}

/* Whole pages at once, as read(2) sees them: nothing, or what was filled. */
static void check_file(struct race *race, size_t index)
{
	char bytes[65536];
	ssize_t got = pread(race->fd, bytes, race->page, index * race->page);

	if (got != (ssize_t)race->page)
		return;
	/* All bytes that are right, then. */
	if (race->cut)
		for (; got && (bytes[got - 1] == 0 || bytes[got - 1] == tag(index)); got--)
			;
	if (!all_bytes(bytes, got, 0) && !all_bytes(bytes, got, tag(index)))
		race->wrong++;
}

static void *accessor(void *arg)
{
	struct race *race = arg;

	for (size_t i = 0; !race->stop; i++) {
		size_t index = i * 7 % PAGES;
		char value;

		if (touch(race->map + index * race->page + i % race->page, false, &value))
			race->signals++;
		else if (value && value != tag(index))
			race->wrong++;
		race->accesses++;
		check_file(race, index);
	}
	return NULL;
}

static int begin(const FIXTURE_DATA(memory) *self, struct race *race, int flags)
{
	*race = (struct race){ .page = self->page, .len = PAGES * self->page };
	race->fd = file_of(self, PAGES);
	race->uffd = uffd_with(0, 0);
	if (race->fd < 0 || race->uffd < 0)
		return 1;
	race->map = map_pages(self, race->fd, PAGES, flags);
	race->spare = mmap(NULL, race->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	race->from = mmap(NULL, race->len, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!race->map || race->spare == MAP_FAILED || race->from == MAP_FAILED)
		return 2;
	for (size_t i = 0; i < PAGES; i++)
		memset(race->from + i * race->page, tag(i), race->page);
	return watch(race->uffd, race->map, race->len, MISSING | MINOR);
}

/* What happens meanwhile, again and again. Each returns 0, or a number that tells what failed. */

static int change_mapping(struct race *race, unsigned int round)
{
	size_t at = round % 3 * 8 * race->page, len = 8 * race->page;

	/* Something else is there for a moment, and then the file again. */
	if (mmap(race->map + at, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		return 1;
	if (mmap(race->map + at, len, RW, MAP_SHARED | MAP_FIXED, race->fd, at) == MAP_FAILED)
		return 2;
	if (watch(race->uffd, race->map + at, len, MISSING | MINOR))
		return 3;
	return round % 8 ? 0 : madvise(race->map, race->len, MADV_REMOVE);
}

static int change_size(struct race *race, unsigned int round)
{
	race->cut = true;
	if (ftruncate(race->fd, round % PAGES * race->page + round % 11))
		return 1;
	return ftruncate(race->fd, race->len);
}

static int change_pages(struct race *race, unsigned int round)
{
	if (fallocate(race->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      round % PAGES * race->page, 5 * race->page))
		return 1;
	if (madvise(race->map + round % 24 * race->page, 8 * race->page, MADV_DONTNEED))
		return 2;
	return fallocate(race->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			 round % 4 ? race->page : race->len);
}

static int change_place(struct race *race, unsigned int round)
{
	char *half = race->map + PAGES / 2 * race->page;
	size_t len = race->len / 2;

	/* Away and back: mremap() ends the registration, since nothing asked for its events. */
	if (mremap(half, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, race->spare) != race->spare)
		return 1;
	if (mremap(race->spare, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, half) != half)
		return 2;
	if (watch(race->uffd, half, len, MISSING | MINOR))
		return 3;
	return round % 4 ? 0 : madvise(race->map, race->len, MADV_REMOVE);
}

static int change_registration(struct race *race, unsigned int round)
{
	size_t at = round % 5 * race->page, len = 20 * race->page;

	if (unwatch(race->uffd, race->map + at, len))
		return 1;
	if (watch(race->uffd, race->map + at, len, round & 1 ? MISSING : MISSING | MINOR))
		return 2;
	/* Who waited for a minor fault, and no longer has to, is not woken by the kernel. */
	if (wake(race->uffd, race->map, race->len))
		return 3;
	return round % 4 ? 0 : madvise(race->map, race->len, MADV_REMOVE);
}

static int change_guards(struct race *race, unsigned int round)
{
	char *at = race->map + round % 28 * race->page;

	if (madvise(at, 4 * race->page, MADV_GUARD_INSTALL))
		return 1;
	if (madvise(at, 4 * race->page, MADV_GUARD_REMOVE))
		return 2;
	return round % 4 ? 0 : madvise(race->map, race->len, MADV_REMOVE);
}

static int change_process(struct race *race, unsigned int round)
{
	pid_t pid = fork();

	if (pid < 0)
		return 1;
	if (!pid) {
		/* Not registered here. Each page comes from the file. */
		for (size_t i = 0; i < PAGES; i++) {
			char value;

			if (touch(race->map + i * race->page, false, &value) ||
			    (value && value != tag(i)))
				_exit(1);
		}
		_exit(0);
	}
	if (wait_child(pid))
		return 2;
	return madvise(race->map, race->len, MADV_REMOVE);
}

static int change_by_threads(struct race *race, unsigned int round)
{
	return madvise(race->map, race->len, round & 1 ? MADV_DONTNEED : MADV_REMOVE);
}

/* Two threads fill, two access, and this one changes what they use. */
static void run(struct __test_metadata *_metadata, const FIXTURE_DATA(memory) *self,
		int (*change)(struct race *race, unsigned int round))
{
	pthread_t threads[4];
	unsigned int rounds = 0;
	struct race race;
	double end;

	ASSERT_EQ(begin(self, &race, MAP_SHARED), 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, i & 1 ? accessor : filler, &race), 0);
	end = seconds() + SECONDS;
	for (; seconds() < end; rounds++)
		ASSERT_EQ(change(&race, rounds), 0);
	/* With the registration, the waiting ends. */
	race.stop = true;
	ASSERT_EQ(unwatch(race.uffd, race.map, race.len), 0);
	ASSERT_EQ(wake(race.uffd, race.map, race.len), 0);
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);

	EXPECT_EQ(atomic_load(&race.wrong), 0) TH_LOG("%d", atomic_load(&race.last_wrong));
	EXPECT_GT(atomic_load(&race.fills), 0);
	EXPECT_GT(atomic_load(&race.accesses), 0);
	EXPECT_GT(rounds, 0);
	for (size_t i = 0; i < PAGES; i++)
		check_file(&race, i);
	EXPECT_EQ(atomic_load(&race.wrong), 0);
	/* Nothing is left that no longer belongs to the file. */
	ASSERT_EQ(ftruncate(race.fd, 0), 0);
	ASSERT_EQ(ftruncate(race.fd, race.len), 0);
	EXPECT_TRUE(is_hole(race.fd, 0, race.len));
	EXPECT_TRUE(all_bytes(race.map, race.len, 0));
}

TEST_F_TIMEOUT(memory, fill_by_threads, 120)
{
	run(_metadata, self, change_by_threads);
}

TEST_F_TIMEOUT(memory, fill_while_mapping_changes, 120)
{
	run(_metadata, self, change_mapping);
}

TEST_F_TIMEOUT(memory, fill_while_truncated, 120)
{
	run(_metadata, self, change_size);
}

TEST_F_TIMEOUT(memory, fill_while_punched, 120)
{
	run(_metadata, self, change_pages);
}

TEST_F_TIMEOUT(memory, fill_while_moved, 120)
{
	run(_metadata, self, change_place);
}

TEST_F_TIMEOUT(memory, fill_while_registered, 120)
{
	run(_metadata, self, change_registration);
}

TEST_F_TIMEOUT(memory, fill_while_guarded, 120)
{
	run(_metadata, self, change_guards);
}

TEST_F_TIMEOUT(memory, fill_while_forked, 120)
{
	run(_metadata, self, change_process);
}

/* The process exits while another one fills its memory. */
TEST_F_TIMEOUT(memory, fill_while_exiting, 120)
{
	double end = seconds() + SECONDS;
	unsigned int rounds = 0;
	struct race race;

	ASSERT_EQ(begin(self, &race, MAP_SHARED), 0);
	ASSERT_EQ(unwatch(race.uffd, race.map, race.len), 0);
	for (; seconds() < end; rounds++) {
		int sockets[2], own = race.uffd;
		pthread_t thread;
		pid_t pid;

		ASSERT_EQ(madvise(race.map, race.len, MADV_REMOVE), 0);
		ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
		pid = fork();
		ASSERT_GE(pid, 0);
		if (!pid) {
			int uffd = uffd_with(0, 0);
			char byte;

			close(sockets[0]);
			if (uffd < 0 || watch(uffd, race.map, race.len, MISSING | MINOR) ||
			    send_fd(sockets[1], uffd) || read(sockets[1], &byte, 1) != 1)
				_exit(1);
			close(uffd);
			/* With some of the pages there, some of them missing. */
			if (rounds % 2)
				exit(touch_read(race.map));
			raise(SIGKILL);
		}
		close(sockets[1]);
		race.uffd = receive_fd(sockets[0]);
		ASSERT_GE(race.uffd, 0);
		race.stop = false;
		ASSERT_EQ(pthread_create(&thread, NULL, filler, &race), 0);
		ASSERT_EQ(write(sockets[0], "x", 1), 1);
		EXPECT_EQ(wait_child(pid), rounds % 2 ? 0 : -1);
		race.stop = true;
		ASSERT_EQ(pthread_join(thread, NULL), 0);
		/* No fill holds the mm now. */
		ASSERT_EQ(fill_copy(race.uffd, race.map, race.from, race.page, 0), -ESRCH);
		close(race.uffd);
		close(sockets[0]);
		race.uffd = own;
	}
	EXPECT_EQ(atomic_load(&race.wrong), 0) TH_LOG("%d", atomic_load(&race.last_wrong));
	EXPECT_GT(atomic_load(&race.fills), 0);
	for (size_t i = 0; i < PAGES; i++)
		check_file(&race, i);
	EXPECT_EQ(atomic_load(&race.wrong), 0);
}

/* Of all who fill a page, one succeeds. */
struct claimant {
	struct race *race;
	pthread_t thread;
	char value;
	unsigned long won;
	char *from;
};

static void *claim(void *arg)
{
	struct claimant *claimant = arg;
	struct race *race = claimant->race;

	for (size_t i = 0; i < PAGES; i++) {
		long ret = fill_copy(race->uffd, race->map + i * race->page, claimant->from,
				     race->page, 0);

		if (ret == (long)race->page)
			claimant->won++;
		else if (ret != -EEXIST)
			race->wrong++;
	}
	return NULL;
}

TEST_F_TIMEOUT(memory, one_fill_wins, 120)
{
	struct claimant claimants[4];
	struct race race;

	for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++) {
		ASSERT_EQ(begin(self, &race, flags), 0);
		for (int round = 0; round < 20; round++) {
			unsigned long won = 0;

			for (size_t i = 0; i < ARRAY_SIZE(claimants); i++) {
				claimants[i] = (struct claimant){
					.race = &race, .value = 'a' + i,
					.from = race.from + i * race.page,
				};
				memset(claimants[i].from, claimants[i].value, race.page);
				ASSERT_EQ(pthread_create(&claimants[i].thread, NULL, claim,
							 &claimants[i]), 0);
			}
			for (size_t i = 0; i < ARRAY_SIZE(claimants); i++) {
				ASSERT_EQ(pthread_join(claimants[i].thread, NULL), 0);
				won += claimants[i].won;
			}
			ASSERT_EQ(won, PAGES);
			for (size_t i = 0; i < PAGES; i++) {
				char *at = race.map + i * race.page;

				ASSERT_TRUE(all_bytes(at, race.page, at[0]));
				ASSERT_TRUE(at[0] >= 'a' && at[0] < 'a' + 4);
			}
			ASSERT_EQ(madvise(race.map, race.len,
					  flags == MAP_SHARED ? MADV_REMOVE : MADV_DONTNEED), 0);
		}
		ASSERT_EQ(atomic_load(&race.wrong), 0);
		munmap(race.map, race.len);
		close(race.fd);
		close(race.uffd);
	}
}

int main(int argc, char **argv)
{
	return run_balanced(test_harness_run, argc, argv);
}
