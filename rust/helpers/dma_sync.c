// SPDX-License-Identifier: GPL-2.0

#include <linux/cacheinfo.h>
#include <linux/dma-mapping.h>

__rust_helper bool rust_helper_cpu_dcache_is_aliasing(void)
{
	return cpu_dcache_is_aliasing();
}

__rust_helper unsigned int rust_helper_dma_get_max_seg_size(struct device *dev)
{
	return dma_get_max_seg_size(dev);
}

__rust_helper unsigned long rust_helper_dma_get_seg_boundary(struct device *dev)
{
	return dma_get_seg_boundary(dev);
}

__rust_helper void rust_helper_dma_sync_sgtable_for_cpu(struct device *dev,
							struct sg_table *sgt,
							enum dma_data_direction dir)
{
	dma_sync_sgtable_for_cpu(dev, sgt, dir);
}

__rust_helper void
rust_helper_dma_sync_sgtable_for_device(struct device *dev,
					struct sg_table *sgt,
					enum dma_data_direction dir)
{
	dma_sync_sgtable_for_device(dev, sgt, dir);
}
