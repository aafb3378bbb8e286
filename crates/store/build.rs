//! Migrations are compiled in by a macro, which does not notice a new file.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
