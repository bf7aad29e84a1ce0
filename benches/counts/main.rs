//! Runs one part of a push of 1,000 readings from 50 zones, for a tool that counts instructions: `make bench-counts`. Without an
//! argument, prints the names of all parts.
#![expect(clippy::expect_used, reason = "a benchmark without its own push is useless")]
#![expect(clippy::print_stdout, reason = "the names are the output")]

#[path = "../parts/pushes.rs"]
mod pushes;
#[path = "../parts/text.rs"]
mod text;
#[path = "../parts/work.rs"]
mod work;

use std::hint::black_box;

/// The function whose instructions are counted.
#[inline(never)]
fn counted(part: &dyn Fn() -> usize) -> usize {
    black_box(part())
}

fn main() {
    // Cargo adds `--bench`.
    let requested = std::env::args().skip(1).find(|argument| argument != "--bench");
    for (name, part) in work::parts(1_000, 50) {
        match &requested {
            None => println!("{name}"),
            Some(requested) if *requested == name => {
                // Once before, so that one-time initialization is not counted.
                black_box(part());
                counted(&part);
            }
            Some(_) => {}
        }
    }
}
