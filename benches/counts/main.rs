//! Does one part of a push of 1,000 readings over 50 zones, for a tool that counts instructions: `make bench-counts`. Without
//! the name of one, prints all names.
#![expect(clippy::expect_used, reason = "without a push of ours there is nothing to measure")]
#![expect(clippy::print_stdout, reason = "the names are what it is asked for")]

#[path = "../../tests/it/support/memory.rs"]
#[expect(dead_code, unreachable_pub, reason = "tests look at more of it")]
mod memory;
#[path = "../parts/pushes.rs"]
mod pushes;
#[path = "../parts/text.rs"]
mod text;
#[path = "../parts/work.rs"]
mod work;

use std::hint::black_box;

/// What is counted is what happens in here.
#[inline(never)]
fn counted(part: &dyn Fn() -> usize) -> usize {
    black_box(part())
}

fn main() {
    // Cargo adds `--bench`.
    let asked = std::env::args().skip(1).find(|argument| argument != "--bench");
    for (name, part) in work::parts(1_000, 50) {
        match &asked {
            None => println!("{name}"),
            Some(asked) if *asked == name => {
                // Once before, so that what is made once a process is not counted.
                black_box(part());
                counted(&part);
            }
            Some(_) => {}
        }
    }
}
