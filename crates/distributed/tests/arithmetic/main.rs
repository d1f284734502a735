//! Data parallel computes what one process computes: ranks as threads, without a network.

mod metric;
mod sum;
mod turns;
