declare const brand: unique symbol;

/** A plain `T` at run time that no other brand, and no bare `T`, can be mistaken for. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
