//! The encrypted ring of reads that matched nothing.
