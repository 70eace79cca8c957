/** Arguments that requests of /dev/iommu share. */
import type { CallArgument, CallArguments, CallContext } from './call.ts';
import { userNamed } from './users.ts';

export const SOURCE = 'include/uapi/linux/iommufd.h, Linux 6.2 on';

export const user: CallArgument = {
  name: 'user',
  kind: 'owner',
  about: 'the process that makes the request',
};
export const device: CallArgument = {
  name: 'device',
  kind: 'device',
  about: 'a device on vfio-pci, or an mdev',
};
export const iova: CallArgument = { name: 'iova', kind: 'address', about: 'I/O address' };
export const length: CallArgument = { name: 'length', kind: 'size', about: 'bytes' };

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

/** The descriptor of the process that makes the request. @throws KernelError EBADF */
export function contextOf(call: CallContext, args: CallArguments) {
  return userNamed(call, args.user).context;
}
