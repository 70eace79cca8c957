/** Operations of the kernel's IOMMUFD self-test: mock devices, accesses, looks into page tables (mock_*). */
import { iommufd, type Process } from '../../../hw/index.ts';
import { contextOf, type IommufdWorld } from './iommufd-operations.ts';
import type { Operation, OperationCall } from './operation.ts';

type Call = OperationCall<Process>;

const ACCESS_FLAGS = { NEEDS_PIN_PAGES: 1 };

const id = (call: Call, name: string): number => call.args.symbol(name) >>> 0;

function access(call: Call): iommufd.MockAccess {
  return call.process.object(call.args.symbol('access'), iommufd.MockAccess, 'EBADFD');
}

const toHex = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');

export const selftestOperations: Readonly<Record<string, Operation<IommufdWorld, Process>>> = {
  mock_device_attach(world, call) {
    const { args, symbols } = call;
    const made = world.selftest.attachDevice(contextOf(call), id(call, 'pt'), args.number('dev_flags'));
    const name = args.text('as');
    symbols.set(`${name}.stdev`, made.selftest);
    symbols.set(`${name}.dev`, made.device);
    symbols.set(`${name}.hwpt`, made.hwpt);
    return undefined;
  },

  mock_device_replace(world, call) {
    const device = call.symbols.get(`${call.args.text('device')}.stdev`) ?? -1;
    world.selftest.replace(contextOf(call), device >>> 0, id(call, 'pt'));
    return undefined;
  },

  mock_add_reserved(world, call) {
    const { args } = call;
    world.selftest.addReserved(contextOf(call), id(call, 'ioas'), args.wide('start'), args.wide('length'));
    return undefined;
  },

  mock_access_create(world, call) {
    const { args } = call;
    const made = world.selftest.createAccess(
      contextOf(call),
      id(call, 'ioas'),
      args.flags('flags', ACCESS_FLAGS),
    );
    const name = args.text('as');
    const descriptor = call.process.descriptors.install(made.file);
    if (name !== undefined) call.symbols.set(name, descriptor);
    return undefined;
  },

  mock_access_read(_world, call) {
    const { args } = call;
    const bytes = access(call).read(
      call.process,
      args.wide('iova'),
      args.wide('length'),
      args.number('flags'),
    );
    call.out.hex = toHex(bytes);
    return undefined;
  },

  mock_access_write(_world, call) {
    const { args } = call;
    const data = new Uint8Array(args.number('length')).fill(args.number('byte'));
    access(call).write(call.process, args.wide('iova'), data, args.number('flags'));
    return undefined;
  },

  mock_access_pin(_world, call) {
    const { args } = call;
    const pin = access(call).pin(
      call.process,
      args.wide('iova'),
      args.wide('length'),
      args.wide('user_va'),
      args.number('flags'),
    );
    const name = args.text('as');
    if (name !== undefined) call.symbols.set(name, pin);
    return undefined;
  },

  mock_access_unpin(_world, call) {
    access(call).unpin(call.args.symbol('pages'));
    return undefined;
  },

  mock_access_replace_ioas(_world, call) {
    access(call).access.replace(id(call, 'ioas'));
    return undefined;
  },

  mock_check_map(world, call) {
    const { args, process } = call;
    world.selftest.checkMap(
      contextOf(call),
      process,
      id(call, 'hwpt'),
      args.wide('iova'),
      args.wide('length'),
      args.wide('user_va'),
    );
    return undefined;
  },

  mock_check_iotlb(world, call) {
    const { args } = call;
    world.selftest.checkIotlb(contextOf(call), id(call, 'hwpt'), args.number('index'), args.number('value'));
    return undefined;
  },

  mock_device_writes(world, call) {
    const { args } = call;
    const range = { iova: args.wide('iova'), length: args.wide('length'), pageSize: args.wide('page_size') };
    const count = world.selftest.writePages(
      contextOf(call),
      id(call, 'hwpt'),
      range,
      args.list('pages').map(Number),
    );
    call.out.nr_dirty = count;
    return undefined;
  },
};
