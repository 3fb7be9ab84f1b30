// SPDX-License-Identifier: GPL-2.0

/*
 * Memory files for Rust: how userfaultfd fills them.
 *
 * These are the callbacks of struct vm_uffd_ops that a driver does not have of its own:
 * rust/kernel/mm/uffd/table.rs makes the table. A folio that is filled is never in the page cache
 * without contents: the kernel allocates it, copies to it, and then adds it.
 *
 * They are exported because the table is in the module of the driver.
 */

#include <linux/err.h>
#include <linux/export.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rust_filemap.h>
#include <linux/rust_memory_file.h>
#include <linux/rust_uffd.h>

/**
 * rust_memory_can_userfault() - Check whether a memory file allows userfaultfd
 * @vma: A mapping of the file.
 * @flags: The flags that the VMA would have.
 *
 * Context: The mmap lock is held for writing.
 * Return: Whether the file allows all the modes in @flags.
 */
bool rust_memory_can_userfault(struct vm_area_struct *vma, vm_flags_t flags)
{
	return !(rust_uffd_modes(flags) & ~rust_memory_inode(file_inode(vma->vm_file))->modes);
}
EXPORT_SYMBOL_GPL(rust_memory_can_userfault);

/**
 * rust_memory_get_folio() - Find and lock the folio that has a page
 * @inode: The inode of a memory file.
 * @index: The page offset.
 *
 * Context: Process context. Sleeps until the folio is unlocked.
 * Return: The folio, with a reference, or an error: -ENOENT if there is none, the file ends before
 * it, or it has too many references to be mapped again; -EIO if it is not up to date.
 */
struct folio *rust_memory_get_folio(struct inode *inode, pgoff_t index)
{
	struct folio *folio = rust_filemap_get(inode->i_mapping, index, RUST_FILEMAP_LOCK);

	if (!folio)
		return ERR_PTR(-ENOENT);
	if (!IS_ERR(folio) && !rust_filemap_mappable(folio, index)) {
		folio_unlock(folio);
		folio_put_saturating(folio);
		return ERR_PTR(-ENOENT);
	}
	return folio;
}
EXPORT_SYMBOL_GPL(rust_memory_get_folio);

/**
 * rust_memory_alloc_folio() - Allocate a folio to be filled
 * @vma: A mapping of a memory file.
 * @addr: An address in it.
 *
 * Context: The VMA lock or the mmap lock is held. May sleep.
 * Return: A folio of one page, or NULL if there is no memory, or the file ends before @addr.
 */
struct folio *rust_memory_alloc_folio(struct vm_area_struct *vma, unsigned long addr)
{
	struct address_space *mapping = file_inode(vma->vm_file)->i_mapping;
	pgoff_t index = linear_page_index(vma, addr);
	struct folio *folio;

	/* The caller answers ENOMEM, as for a memfd. */
	if (rust_filemap_past_end(mapping, index))
		return NULL;
	folio = rust_filemap_alloc(mapping, vma->vm_mm, index, 0);
	return IS_ERR(folio) ? NULL : folio;
}
EXPORT_SYMBOL_GPL(rust_memory_alloc_folio);

/**
 * rust_memory_filemap_add() - Add a folio that was filled to the page cache
 * @folio: A folio of rust_memory_alloc_folio(), to which all bytes have been written.
 * @vma: The mapping.
 * @addr: The address.
 *
 * Context: As for rust_memory_alloc_folio().
 * Return: 0, with the folio locked; or as rust_filemap_fill().
 */
int rust_memory_filemap_add(struct folio *folio, struct vm_area_struct *vma, unsigned long addr)
{
	return rust_filemap_fill(file_inode(vma->vm_file)->i_mapping, folio,
				 linear_page_index(vma, addr), true);
}
EXPORT_SYMBOL_GPL(rust_memory_filemap_add);

/**
 * rust_memory_filemap_remove() - Remove a folio that could not be mapped
 * @folio: A folio that rust_memory_filemap_add() has added, and that is still locked.
 * @vma: The mapping.
 *
 * Context: As for rust_memory_alloc_folio(). Unlocks the folio.
 */
void rust_memory_filemap_remove(struct folio *folio, struct vm_area_struct *vma)
{
	rust_filemap_remove(file_inode(vma->vm_file)->i_mapping, folio);
	folio_unlock(folio);
}
EXPORT_SYMBOL_GPL(rust_memory_filemap_remove);
