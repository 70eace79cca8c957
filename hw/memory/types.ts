/** Numbers that must not be mixed up on the hot path, as branded integers. */

declare const brand: unique symbol;

/** An I/O virtual page: iova >> 12. Exact up to 2^52. */
export type Page = number & { readonly [brand]: 'page' };
/** A physical page frame: physical address >> 12. */
export type Frame = number & { readonly [brand]: 'frame' };
/** 20 bits. */
export type Pasid = number & { readonly [brand]: 'pasid' };
/** Bus 8 bits, device 5, function 3: the source id of a request. */
export type RequesterId = number & { readonly [brand]: 'requester id' };

/** Bytes in a page, and the shift that goes with it. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;
