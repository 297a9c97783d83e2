/** The variants of the module by name, with the compiler's flags for each. */
export declare const VARIANTS: Readonly<Record<string, readonly string[]>>;
