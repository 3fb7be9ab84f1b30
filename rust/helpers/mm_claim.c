// SPDX-License-Identifier: GPL-2.0

/* Claims of the memory of a device. */

#include <linux/err.h>
#include <linux/ioport.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/string.h>

/*
 * @place is in the resource of the device, and in it @busy, which is what others
 * meet. __request_region() alone takes a place in the innermost resource that has
 * room. That may be one of another device, which has the same addresses, and takes
 * the claim along when it goes.
 */
struct mem_claim {
	struct resource place;
	struct resource *busy;
	/* The caller may be a module that is gone before the device's driver is. */
	char name[];
};

/* Made of void: what only helpers know has no type in Rust. */
__rust_helper void *rust_helper_claim_mem(struct resource *of, const char *name)
{
	struct mem_claim *claim;
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
	/* What the device tree tells of is in no tree here. */
	ret = request_resource(of->parent ? of : &iomem_resource, &claim->place);
	if (ret)
		goto free;

	/* From the root on, so that what is mapped of /dev/mem goes, too. */
	claim->busy = __request_region(&iomem_resource, of->start,
				       resource_size(of), claim->name, 0);
	if (claim->busy)
		return claim;
	ret = -ENOMEM;
	remove_resource(&claim->place);
free:
	kfree(claim);
	return ERR_PTR(ret);
}

/*
 * Whoever moves BARs takes out what is claimed of them: pci_resize_resource(). What
 * others have put below a claim stays, unlike with release_resource().
 */
__rust_helper void rust_helper_release_mem_claim(void *data)
{
	struct mem_claim *claim = data;

	if (claim->busy->parent)
		remove_resource(claim->busy);
	if (claim->place.parent)
		remove_resource(&claim->place);
	kfree(claim->busy);
	kfree(claim);
}

#ifdef CONFIG_PCI
/* Of a memory BAR that has a place in the address space; NULL otherwise. */
__rust_helper struct resource *rust_helper_pci_mem_bar(struct pci_dev *pdev,
						       unsigned int bar)
{
	struct resource *res;

	/* Not a bridge's windows, in which other devices are, nor a function's. */
	if (bar >= PCI_STD_NUM_BARS)
		return NULL;
	res = pci_resource_n(pdev, bar);
	if (!(res->flags & IORESOURCE_MEM) || !res->parent ||
	    res->flags & (IORESOURCE_UNSET | IORESOURCE_DISABLED))
		return NULL;
	return res;
}
#endif
