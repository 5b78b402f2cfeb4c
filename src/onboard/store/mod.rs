//! The encrypted ring of reads that matched nothing.

pub(crate) mod thumbnail;
