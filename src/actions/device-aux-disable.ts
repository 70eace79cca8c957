import { z } from 'zod';
import { defineAction } from './action.ts';
import { pciAddress } from './arguments.ts';
import { allDevices, missingDevice } from './find.ts';

/** IOMMU_DEV_FEAT_AUX off: the device has one domain again. */
export const disableAuxiliaryMode = defineAction({
  name: 'device.aux-disable',
  title: 'Switch auxiliary mode off',
  arguments: z.object({ device: pciAddress }),
  danger: 'none',
  disabledReason(host, { device }) {
    if (device === undefined) return undefined;
    const missing = missingDevice(host, device);
    if (missing !== undefined) return missing;
    return host.device(device)?.auxiliaryMode === 'on' ? undefined : `auxiliary mode of ${device} is not on`;
  },
  run(host, { device }) {
    host.disableAuxiliaryMode(device);
    return { summary: `auxiliary mode of ${device} is off`, value: { device, auxiliaryMode: 'off' } };
  },
  linuxCommand: (_host, { device }) => [
    `# in the driver of ${device}: iommu_dev_disable_feature(dev, IOMMU_DEV_FEAT_AUX)`,
  ],
  candidates: (host) =>
    allDevices(host)
      .filter((device) => device.auxiliaryMode === 'on')
      .map((device) => device.address),
});
