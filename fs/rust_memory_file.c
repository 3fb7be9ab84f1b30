// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files for Rust: their pseudo file system, and their inodes.
 *
 * What the files do is in rust/kernel/fs/memory_file.rs and its submodules.
 */

#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/init.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/rust_memory_file.h>
#include <linux/security.h>
#include <linux/slab.h>
#include <linux/uio.h>

#define RUST_MEMORY_FILE_MAGIC	0x524d454d	/* "RMEM" */

static struct vfsmount *rust_memory_file_mnt __ro_after_init;
static struct kmem_cache *rust_memory_inode_cache __ro_after_init;

static struct inode *rust_memory_alloc_inode(struct super_block *sb)
{
	struct rust_memory_inode *memory;

	memory = alloc_inode_sb(sb, rust_memory_inode_cache, GFP_KERNEL);
	if (!memory)
		return NULL;
	memory->seals = F_SEAL_SEAL;
	memory->modes = 0;
	memory->flags = 0;
	memory->type = NULL;
	mpol_shared_policy_init(&memory->filemap.policy, NULL);
	return &memory->filemap.inode;
}

/* Unlike free_inode, not called by RCU. */
static void rust_memory_destroy_inode(struct inode *inode)
{
	mpol_free_shared_policy(&rust_memory_inode(inode)->filemap.policy);
}

static void rust_memory_free_inode(struct inode *inode)
{
	kmem_cache_free(rust_memory_inode_cache, rust_memory_inode(inode));
}

/*
 * Called when nothing has the inode any longer: no file, no mapping, and no watch of fsnotify.
 * The module of the driver may be unloaded as soon as its reference is dropped, so this is the
 * last thing.
 */
static void rust_memory_evict_inode(struct inode *inode)
{
	struct rust_memory_inode *memory = rust_memory_inode(inode);
	const struct rust_memory_type *type = memory->type;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	/* No type: it is the root directory, or the creation of the file has failed. */
	if (type) {
		struct module *owner = type->owner;

		memory->type = NULL;
		type->release(inode->i_private);
		module_put(owner);
	}
}

static const struct super_operations rust_memory_super_ops = {
	.alloc_inode	= rust_memory_alloc_inode,
	.destroy_inode	= rust_memory_destroy_inode,
	.free_inode	= rust_memory_free_inode,
	.evict_inode	= rust_memory_evict_inode,
	.drop_inode	= inode_just_drop,
	.statfs		= simple_statfs,
};

static int rust_memory_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, RUST_MEMORY_FILE_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &rust_memory_super_ops;
	/* No extended attributes: the first write finds that out, and the next need not look. */
	fc->sb_flags |= SB_NOSEC;
	return 0;
}

static struct file_system_type rust_memory_fs = {
	.name			= "rust_memory_file",
	.init_fs_context	= rust_memory_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static void rust_memory_inode_init_once(void *object)
{
	struct rust_memory_inode *memory = object;

	inode_init_once(&memory->filemap.inode);
}

static int __init rust_memory_file_init(void)
{
	rust_memory_inode_cache =
		kmem_cache_create("rust_memory_inode", sizeof(struct rust_memory_inode), 0,
				  SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT | SLAB_PANIC,
				  rust_memory_inode_init_once);
	rust_memory_file_mnt = kern_mount(&rust_memory_fs);
	return PTR_ERR_OR_ZERO(rust_memory_file_mnt);
}
fs_initcall(rust_memory_file_init);

static struct inode *rust_memory_make_inode(const struct rust_memory_tables *tables)
{
	struct inode *inode = new_inode(rust_memory_file_mnt->mnt_sb);
	int err;

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_ino = get_next_ino();
	inode_init_owner(&nop_mnt_idmap, inode, NULL, S_IFREG | 0600);
	simple_inode_init_ts(inode);
	/* Nothing is written back: an inode that is dirty already is not put on a list. */
	inode_state_assign_raw(inode, I_DIRTY);
	inode->i_op = tables->inode;
	inode->i_fop = tables->file;
	inode->i_mapping->a_ops = tables->space;
	/* The file has no name that could be looked up. */
	clear_nlink(inode);
	err = security_inode_init_security_anon(inode, &QSTR("[rust_memory_file]"), NULL);
	if (err) {
		iput(inode);
		return ERR_PTR(err);
	}
	return inode;
}

/**
 * rust_memory_file_create() - Make a memory file
 * @name: Name of the file, which /proc/<pid>/fd and /proc/<pid>/maps show.
 * @params: What the file is like.
 * @type: The type of the file; it must exist for as long as its owner is loaded.
 * @tables: The operations of all memory files.
 * @data: Data of the driver. The type's release gets it after the last reference to the inode
 * is dropped.
 *
 * Context: Process context. May sleep.
 * Return: The file, which no other thread has yet, or an error pointer: then, the caller keeps
 * @data. -ENOENT if the owner of the type is being unloaded; -EFBIG if the size is too large.
 */
struct file *rust_memory_file_create(const char *name,
				     const struct rust_memory_file_params *params,
				     const struct rust_memory_type *type,
				     const struct rust_memory_tables *tables, void *data)
{
	bool read_only = params->flags & RUST_MEMORY_FILE_READ_ONLY;
	struct rust_memory_inode *memory;
	struct address_space *mapping;
	struct inode *inode;
	struct file *file;

	/* The mount is missing only if there was not enough memory at boot. */
	if (IS_ERR_OR_NULL(rust_memory_file_mnt))
		return ERR_PTR(-ENODEV);
	if (params->size > MAX_LFS_FILESIZE)
		return ERR_PTR(-EFBIG);
	if (!try_module_get(type->owner))
		return ERR_PTR(-ENOENT);
	inode = rust_memory_make_inode(tables);
	if (IS_ERR(inode)) {
		file = ERR_CAST(inode);
		goto put_module;
	}
	i_size_write(inode, params->size);
	mapping = inode->i_mapping;
	if (!(params->flags & RUST_MEMORY_FILE_EVICTABLE))
		mapping_set_unevictable(mapping);
	if (params->flags & RUST_MEMORY_FILE_HUGE) {
		mapping_set_large_folios(mapping);
		/* For rust_memory_release_folio(). */
		mapping_set_release_always(mapping);
	}

	file = alloc_file_pseudo(inode, rust_memory_file_mnt, name,
				 (read_only ? O_RDONLY : O_RDWR) | O_LARGEFILE, tables->file);
	if (IS_ERR(file)) {
		iput(inode);
		goto put_module;
	}
	file->f_mode |= FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;

	/* From here on, evict_inode gives up the reference to the module. */
	memory = rust_memory_inode(inode);
	memory->seals = params->seals;
	memory->modes = params->modes;
	memory->flags = params->flags;
	inode->i_private = data;
	memory->type = type;
	return file;

put_module:
	module_put(type->owner);
	return file;
}
EXPORT_SYMBOL_GPL(rust_memory_file_create);

/**
 * rust_memory_file() - Find the memory file that a file is
 * @file: A file that is open, of any kind.
 *
 * Context: Any context.
 * Return: The inode of the memory file, or NULL if @file is another kind of file.
 */
struct rust_memory_inode *rust_memory_file(const struct file *file)
{
	struct inode *inode = file_inode(file);

	/* A stacked file system has inodes of its own: this is the file that has the memory. */
	if (inode->i_sb->s_op != &rust_memory_super_ops)
		return NULL;
	return rust_memory_inode(inode);
}
EXPORT_SYMBOL_GPL(rust_memory_file);

/**
 * rust_memory_truncate() - Set the size of a memory file
 * @inode: The inode.
 * @size: The size.
 *
 * Removes what is beyond the size, from mappings as well.
 *
 * When a large folio that extends past the end of the file is split, the kernel drops what is
 * beyond, and accounts dirty pages as cleaned. They were never accounted as dirty, which is only
 * for files with writeback. So a large folio must not be split if the file ends in it or before it:
 * see rust_memory_release_folio(). The kernel looks at the size a second time after it has called
 * that function. Therefore, before the size is written, large folios beyond the new size are
 * removed, and the one that the file is going to end in is split. If that one cannot be split, its
 * lock keeps others from trying meanwhile.
 *
 * Context: Process context. May sleep. The caller holds the lock of the inode. Takes
 * mapping->invalidate_lock, so that no large folio is added.
 */
void rust_memory_truncate(struct inode *inode, loff_t size)
{
	struct address_space *mapping = inode->i_mapping;
	struct folio *folio = ERR_PTR(-ENOENT);

	filemap_invalidate_lock(mapping);
	if (size < i_size_read(inode) && mapping_large_folio_support(mapping)) {
		loff_t start = round_up(size, PAGE_SIZE);

		/* All at once, and not by folio. Copy-on-write pages remain until it is the end. */
		unmap_mapping_range(mapping, start, 0, 0);
		truncate_inode_pages(mapping, start);
		folio = filemap_lock_folio(mapping, size >> PAGE_SHIFT);
	}
	i_size_write(inode, size);
	/*
	 * Pairs with the barrier in rust_filemap_fill(): a page that is added sees the new size,
	 * or truncate_pagecache() sees the page.
	 */
	smp_mb();
	if (!IS_ERR(folio)) {
		folio_unlock(folio);
		folio_put(folio);
	}
	/* Also if the file has become larger: there may be pages past the end. */
	truncate_pagecache(inode, size);
	filemap_invalidate_unlock(mapping);
}

/**
 * rust_memory_release_folio() - Check whether a folio may be split, or leave the page cache
 * @folio: A locked folio of a memory file with large folios.
 * @gfp: Not used.
 *
 * ->release_folio: the folios have no private data that could be released.
 *
 * Context: Any context.
 * Return: Whether the file does not end in the folio, or before it.
 */
bool rust_memory_release_folio(struct folio *folio, gfp_t gfp)
{
	loff_t size = i_size_read(folio->mapping->host);

	return !folio_test_large(folio) ||
	       folio_next_index(folio) <= DIV_ROUND_UP_ULL(size, PAGE_SIZE);
}

/**
 * rust_memory_read_hole() - Read zeroes
 * @len: The number of bytes, at most PAGE_SIZE.
 * @to: Where they go.
 *
 * User space gets a copy of the zero page: copies are better optimised than clear_user(). A pipe
 * gets pages of its own, not the zero page several times in a row.
 *
 * Context: Process context. May sleep.
 * Return: The number of bytes that were written.
 */
size_t rust_memory_read_hole(size_t len, struct iov_iter *to)
{
	if (user_backed_iter(to))
		return copy_page_to_iter(ZERO_PAGE(0), 0, len, to);
	return iov_iter_zero(len, to);
}
