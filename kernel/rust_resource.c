// SPDX-License-Identifier: GPL-2.0

/* Device memory for Rust: exclusive claims, cache modes, and accesses for debuggers. */

#include <linux/err.h>
#include <linux/export.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/pfn.h>
#include <linux/rust_resource.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/unaligned.h>

/*
 * A claim is two nested resources: @place, a child of the device's resource, and within it
 * @busy, which makes other requests of the region fail. If the claim is of whole pages and the
 * device's resource ends within one, @rest is beside the device's resource, up to the end of that
 * page: no other device may get addresses there.
 *
 * __request_region() alone does not do: it inserts the region into the innermost resource
 * that has room. If another device has the same addresses, that can be the other device's
 * resource, and removing that device would remove the claim, too.
 */
struct rust_mem_claim {
	struct resource place;
	struct resource rest;
	struct resource *busy;
	/* A copy: the module with the original may be unloaded while the claim lasts. */
	char name[];
};

/* Claims what follows a resource in its last page, in the bus window that the resource is in. */
static int claim_rest(struct rust_mem_claim *claim, struct resource *of)
{
	if (PAGE_ALIGNED(of->end + 1))
		return 0;
	/* Nothing tells what follows a resource that is in no tree. */
	if (!of->parent)
		return -EINVAL;
	claim->rest.name = claim->name;
	claim->rest.start = of->end + 1;
	claim->rest.end = PAGE_ALIGN(of->end + 1) - 1;
	claim->rest.flags = claim->place.flags | IORESOURCE_BUSY;
	/* Fails if anything is there, or if the window ends before the page. */
	return request_resource(of->parent, &claim->rest);
}

/**
 * rust_mem_claim() - Claim a whole resource of a device
 * @of: The resource: a memory BAR, for example.
 * @name: Name of the owner; the function copies it.
 * @whole_pages: Whether to claim also what follows the resource in its last page. This is right
 * only where all that has addresses is in the resource tree, as on a PCI bus.
 *
 * Context: Process context. May sleep.
 * Return: The claim, which the caller ends with rust_mem_release(); an error pointer if it
 * is claimed already or memory is short.
 */
struct rust_mem_claim *rust_mem_claim(struct resource *of, const char *name,
				      bool whole_pages)
{
	struct rust_mem_claim *claim;
	size_t len = strlen(name) + 1;
	int ret;

	claim = kzalloc(struct_size(claim, name, len), GFP_KERNEL);
	if (!claim)
		return ERR_PTR(-ENOMEM);
	memcpy(claim->name, name, len);
	claim->place.name = claim->name;
	claim->place.start = of->start;
	claim->place.end = of->end;
	claim->place.flags = resource_type(of) | resource_ext_type(of);
	claim->place.desc = of->desc;
	/* The resources of devices from the device tree need not be in the resource tree. */
	ret = request_resource(of->parent ? of : &iomem_resource, &claim->place);
	if (ret)
		goto free;

	if (whole_pages) {
		ret = claim_rest(claim, of);
		if (ret)
			goto remove;
	}

	/* From the root, so that __request_region() also revokes mappings of /dev/mem. */
	claim->busy = __request_region(&iomem_resource, of->start,
				       resource_size(of), claim->name, 0);
	if (claim->busy)
		return claim;
	ret = -ENOMEM;
	if (claim->rest.parent)
		remove_resource(&claim->rest);
remove:
	remove_resource(&claim->place);
free:
	kfree(claim);
	return ERR_PTR(ret);
}
EXPORT_SYMBOL_GPL(rust_mem_claim);

/**
 * rust_mem_release() - End a claim
 * @claim: The claim; the function frees it.
 *
 * The resources of the claim may have been removed already: pci_resize_resource() moves BARs
 * and removes what is claimed of them. Unlike release_resource(), the function leaves
 * resources in the tree that other code has inserted below the claim.
 *
 * Context: Process context. May sleep.
 */
void rust_mem_release(struct rust_mem_claim *claim)
{
	if (claim->busy->parent)
		remove_resource(claim->busy);
	if (claim->place.parent)
		remove_resource(&claim->place);
	if (claim->rest.parent)
		remove_resource(&claim->rest);
	kfree(claim->busy);
	kfree(claim);
}
EXPORT_SYMBOL_GPL(rust_mem_release);

/**
 * rust_mem_reserve_wc() - Reserve the write-combined mode for device memory
 * @pfn: The first page.
 * @nr_pages: Number of pages.
 *
 * x86 has one cache mode for each page of device memory, and maps pages uncached for which no mode
 * is reserved. The kernel accepts a reservation that differs from one that exists, and gives it the
 * mode of that. Here, this is an error. On other architectures, there is nothing to reserve.
 *
 * Context: Process context. May sleep.
 * Return: 0, and the caller calls rust_mem_free_wc(); -EBUSY if another mode is reserved for a part
 * of the memory, which includes that the kernel has mapped it with ioremap(); -ENOMEM.
 */
int rust_mem_reserve_wc(unsigned long pfn, unsigned long nr_pages)
{
	const pgprot_t want = pgprot_writecombine(PAGE_KERNEL);
	resource_size_t start = PFN_PHYS(pfn);
	resource_size_t size = PFN_PHYS(nr_pages);
	pgprot_t got = want;
	int ret = arch_io_reserve_memtype_wc(start, size);

	if (ret)
		return ret;
	/* Reservations that overlap have the same mode, so one page tells. */
	pfnmap_setup_cachemode_pfn(pfn, &got);
	if (pgprot_val(got) == pgprot_val(want))
		return 0;
	arch_io_free_memtype_wc(start, size);
	return -EBUSY;
}
EXPORT_SYMBOL_GPL(rust_mem_reserve_wc);

/**
 * rust_mem_free_wc() - End a reservation
 * @pfn: The first page.
 * @nr_pages: Number of pages, as in rust_mem_reserve_wc().
 *
 * Context: Process context. Does not sleep. Mappings of the pages should be gone.
 */
void rust_mem_free_wc(unsigned long pfn, unsigned long nr_pages)
{
	arch_io_free_memtype_wc(PFN_PHYS(pfn), PFN_PHYS(nr_pages));
}
EXPORT_SYMBOL_GPL(rust_mem_free_wc);

#ifdef CONFIG_HAS_IOMEM
/* Returns the largest size of an access at an address that is aligned, and not beyond @len. */
static size_t access_size(unsigned long addr, size_t len)
{
	size_t size = sizeof(long);

	while (addr & (size - 1) || size > len)
		size /= 2;
	return size;
}

/* Bytes keep their order: readw() and the others return what is little-endian in the memory. */
static void read_io(void *to, const void __iomem *from, size_t size)
{
	switch (size) {
	case 1:
		*(u8 *)to = readb(from);
		break;
	case 2:
		put_unaligned_le16(readw(from), to);
		break;
	case 4:
		put_unaligned_le32(readl(from), to);
		break;
#ifdef CONFIG_64BIT
	case 8:
		put_unaligned_le64(readq(from), to);
		break;
#endif
	}
}

static void write_io(void __iomem *to, const void *from, size_t size)
{
	switch (size) {
	case 1:
		writeb(*(const u8 *)from, to);
		break;
	case 2:
		writew(get_unaligned_le16(from), to);
		break;
	case 4:
		writel(get_unaligned_le32(from), to);
		break;
#ifdef CONFIG_64BIT
	case 8:
		writeq(get_unaligned_le64(from), to);
		break;
#endif
	}
}

/**
 * rust_mem_access() - Copy from or to a page of device memory
 * @pfn: The page, which is not RAM.
 * @wc: Whether user space maps it write-combined.
 * @offset: Offset of the first byte in the page.
 * @buf: The buffer, which the function writes only if @write is false.
 * @len: Number of bytes, all of them in the page.
 * @write: Whether to write to the device.
 *
 * The memory can be registers, so the accesses are as large as alignment and @len permit, each byte
 * is accessed once, and in order. memcpy_fromio() promises none of this.
 *
 * Context: Process context. May sleep. The caller keeps the device's memory accessible.
 * Return: 0, or -ENOMEM.
 */
int rust_mem_access(unsigned long pfn, bool wc, size_t offset, void *buf,
		    size_t len, bool write)
{
	void __iomem *page, *io;

	if (wc)
		page = ioremap_wc(PFN_PHYS(pfn), PAGE_SIZE);
	else
		page = ioremap(PFN_PHYS(pfn), PAGE_SIZE);
	if (!page)
		return -ENOMEM;
	io = page + offset;
	while (len) {
		size_t size = access_size((unsigned long)io, len);

		if (write)
			write_io(io, buf, size);
		else
			read_io(buf, io, size);
		io += size;
		buf += size;
		len -= size;
	}
	iounmap(page);
	return 0;
}
EXPORT_SYMBOL_GPL(rust_mem_access);
#endif /* CONFIG_HAS_IOMEM */

#ifdef CONFIG_HAVE_IOREMAP_PROT
/**
 * rust_mem_access_mapped() - Copy from or to device memory that is mapped
 * @vma: The VMA, a PFNMAP one.
 * @addr: An address in it.
 * @buf: The buffer, which the function writes only if @write is 0.
 * @len: Number of bytes.
 * @write: Whether to write to the device.
 *
 * As generic_access_phys(), which maps the page for itself, and warns if it is RAM: that of
 * Linux 7.2 of any RAM, and later ones of some that is reserved.
 *
 * Context: Process context. May sleep. The caller holds the mmap lock.
 * Return: The number of bytes, which may be less; -EINVAL if nothing is mapped there, if it is RAM,
 * or if it cannot be written; or -ENOMEM.
 */
int rust_mem_access_mapped(struct vm_area_struct *vma, unsigned long addr,
			   void *buf, int len, int write)
{
	struct follow_pfnmap_args args = { .vma = vma, .address = addr };
	phys_addr_t start;

	if (follow_pfnmap_start(&args))
		return -EINVAL;
	start = PFN_PHYS(args.pfn);
	follow_pfnmap_end(&args);
	if (region_intersects(start, PAGE_SIZE, IORESOURCE_SYSTEM_RAM,
			      IORES_DESC_NONE) != REGION_DISJOINT)
		return -EINVAL;
	return generic_access_phys(vma, addr, buf, len, write);
}
EXPORT_SYMBOL_GPL(rust_mem_access_mapped);
#endif /* CONFIG_HAVE_IOREMAP_PROT */
