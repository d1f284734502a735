//! `app model`: looks at networks.

pub mod summary;
