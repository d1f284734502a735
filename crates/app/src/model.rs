//! `app model`: looks at networks.

pub mod list;
pub mod summary;
