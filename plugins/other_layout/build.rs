//! Gives the types of this crate the layout package's name. abi_stable compares packages before it
//! looks at fields, and it is the fields that should be found to differ.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=CARGO_PKG_NAME=model-abi-layout");
}
