//! Lets this package's programs find libtorch.

fn main() {
    rpath::link();
}
