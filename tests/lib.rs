//! Integration tests of oxiseg: the program and the crates, used from outside. See `main.rs`.
