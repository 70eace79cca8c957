/** Drivers that count as an owner of their group (iommu_device_use_default_domain), for who knows them by name only. */

/** Those with driver_managed_dma: port services and user-space drivers. */
const MANAGES_DMA = new Set(['pcieport', 'vfio-pci', 'pci-stub']);

/** Whether a driver does DMA through the kernel. Null or undefined: none is bound. */
export function usesKernelDma(driver: string | null | undefined): boolean {
  return driver !== undefined && driver !== null && !MANAGES_DMA.has(driver);
}
