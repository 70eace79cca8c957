/**
 * Kernel calls by name, for an operator who wants to walk through what the mails describe: each call with its arguments
 * as text, on objects that the operator named. The act of a call is the call itself; no rule lives here.
 */
import type { Device } from '../device.ts';
import type { DriverDomain } from '../iommu/driver.ts';
import type { Group } from '../iommu/group.ts';
import type { LinuxKernel } from '../kernel.ts';

export type CallArguments = Readonly<Record<string, string>>;

/** What a call gives back: plain JSON. */
export type CallValue =
  | string
  | number
  | boolean
  | null
  | readonly CallValue[]
  | { readonly [key: string]: CallValue };

export type ArgumentKind =
  | 'device'
  | 'group'
  /** A domain that exists, by the operator's name. */
  | 'domain'
  /** A name to be given. */
  | 'new name'
  | 'owner'
  | 'pasid'
  | 'address'
  | 'size'
  | 'text';

export interface CallArgument {
  readonly name: string;
  readonly kind: ArgumentKind;
  readonly about: string;
  readonly optional?: boolean;
  readonly choices?: readonly string[];
}

/** What a call finds its objects with. */
export interface CallContext {
  readonly kernel: LinuxKernel;
  device(name: string): Device;
  group(text: string): Group;
  domain(name: string): DriverDomain;
  nameDomain(name: string, domain: DriverDomain): void;
  forgetDomain(name: string): void;
  /** An owner by name: the same name is the same object. */
  owner(name: string): object;
  /** Frames for a buffer that goes with a domain. */
  buffer(domain: string, pages: number): number;
}

export interface KernelCall {
  /** As in the kernel or in the mail: "iommu_aux_attach_device". */
  readonly name: string;
  readonly about: string;
  /** "Linux 5.15", "mail of 24 December 2021 (proposed)". */
  readonly source: string;
  /** Who makes such a call: a driver in the kernel unless told. */
  readonly maker?: 'process';
  readonly arguments: readonly CallArgument[];
  run(context: CallContext, args: CallArguments): CallValue;
}
