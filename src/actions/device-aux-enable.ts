import { z } from 'zod';
import { defineAction } from './action.ts';
import { pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** IOMMU_DEV_FEAT_AUX on: from then on the device's DMA is told apart by PASID. */
export const enableAuxiliaryMode = defineAction({
  name: 'device.aux-enable',
  title: 'Switch auxiliary mode on',
  arguments: z.object({ device: pciAddress }),
  danger: 'none',
  disabledReason(host, { device }) {
    if (device === undefined) return undefined;
    const missing = missingDevice(host, device);
    if (missing !== undefined) return missing;
    if (host.device(device)?.auxiliaryMode === 'on') return `auxiliary mode of ${device} is on already`;
    const unmet = host.auxiliaryModeRequirements(device).find((requirement) => !requirement.met);
    return unmet === undefined ? undefined : `${device}: ${unmet.requirement} is missing (${unmet.where})`;
  },
  run(host, { device }) {
    host.enableAuxiliaryMode(device);
    return { summary: `auxiliary mode of ${device} is on`, value: { device, auxiliaryMode: 'on' } };
  },
  linuxCommand: (_host, { device }) => [
    `# in the driver of ${device}: iommu_dev_enable_feature(dev, IOMMU_DEV_FEAT_AUX)`,
  ],
  candidates: (host) =>
    allDevices(host)
      .filter((device) => device.auxiliaryMode === 'off')
      .map((device) => device.address),
});
